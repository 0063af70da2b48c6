"""Frames as projections of one object: a volume is made of the measured frames and projected at the other angles."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .kriging import kriged
from .projection import project
from .reconstruction import os_em, sirt
from .residual import N_BANDS, carried_residual, residual_weights
from .tilt_series import TiltSeries

FINE_PX = 128  # frames up to this width get voxels of half a pixel


@dataclass(frozen=True, kw_only=True)
class ReprojectionSettings:
    """How the object is found.

    n_iterations    of OS-EM, in all
    n_rounds        in which they are done where the probe is wide: each begins with sharpening what is still missing
    regularisation  of that sharpening, see `ProbeBlur.sharpen`: frequencies that the probe passes with less than the
                    root of it are left out; noise in the frames raises it
    wide_px         radius in pixels, of the circle that holds half of the probe, beyond which it counts as wide
    oversampling    voxels per pixel along x and z; None is 2 for frames up to 128 px wide, and 1 for larger ones
    """

    n_iterations: int = 30
    n_rounds: int = 10
    regularisation: float = 2e-3
    wide_px: float = 2.0
    oversampling: int | None = None


def sirt_reprojection(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Projections of the volume that SIRT (100 iterations, non-negative) makes of the frames."""
    return project(_sirt_volume(series), tilt_deg=tilt_deg)


def reprojection(
    series: TiltSeries,
    tilt_deg: np.ndarray,
    *,
    checkpoint=None,
    settings: ReprojectionSettings = ReprojectionSettings(),
) -> np.ndarray:
    """Frames of the `FittedObject`, plus what it misses: the residual of the measured frames.

    The object carries what moves with the angle. The residual, what no object explains, is its mean over the frames,
    and what is left is carried over by a cubic spline, as much of it as is not noise and lasts from frame to frame: see
    `residual_weights_of`.
    """
    fitted = fitted_object(series, settings)
    residual = missed_by_object(series, settings)
    mean = residual.mean(axis=0)
    weights = residual_weights_of(series, settings)
    carried = carried_residual(residual - mean, measured_deg=series.tilt_deg, tilt_deg=tilt_deg, weights=weights)
    return fitted.frames(tilt_deg) + mean + carried


def kriging(
    series: TiltSeries,
    tilt_deg: np.ndarray,
    *,
    checkpoint=None,
    settings: ReprojectionSettings = ReprojectionSettings(),
) -> np.ndarray:
    """Frames of the `FittedObject`, plus the residual of the measured frames by `kriging.kriged`.

    Where the residual changes altogether from frame to frame, as the halo of a wide probe on a crystal does, that is
    nearer than a spline; where it changes slowly, the spline of `reprojection` is.
    """
    fitted = fitted_object(series, settings)
    residual = missed_by_object(series, settings)
    return fitted.frames(tilt_deg) + kriged(residual, measured_deg=series.tilt_deg, tilt_deg=tilt_deg)


@lru_cache(maxsize=2)
def residual_weights_of(series: TiltSeries, settings: ReprojectionSettings) -> np.ndarray:
    """`residual.residual_weights` (5, 5), learnt from every second frame between the first and the last.

    An object fitted to the others predicts them. Of two frames none can be left out, and the weights are 1.
    """
    out = np.arange(1, len(series) - 1, 2)
    if len(out) == 0:
        return np.ones((N_BANDS, N_BANDS))
    kept = series.subset(np.setdiff1d(np.arange(len(series)), out))
    fitted = fitted_object(kept, settings)
    return residual_weights(
        kept.frames - fitted.frames(kept.tilt_deg),
        measured_deg=kept.tilt_deg,
        left_out=series.frames[out] - fitted.frames(series.tilt_deg[out]),
        left_out_deg=series.tilt_deg[out],
    )


@dataclass(frozen=True, eq=False)
class FittedObject:
    """A volume (n_y, n_z, n_x), `oversampling` voxels per pixel along z and x, and the probe that blurs its frames."""

    volume: np.ndarray
    oversampling: int
    blur: "ProbeBlur | None"  # noqa: F821  (abTEM takes seconds to import)

    def frames(self, tilt_deg) -> np.ndarray:
        """Frames (n_tilt, n_y, n_x) in the unit of the series."""
        frames = project(self.volume, tilt_deg=tilt_deg)
        frames = frames @ _resampling(frames.shape[2], frames.shape[2] // self.oversampling)
        return frames if self.blur is None else self.blur(frames)


@lru_cache(maxsize=2)
def fitted_object(series: TiltSeries, settings: ReprojectionSettings) -> FittedObject:
    """The object behind the frames, kept for the next call with the same series.

    OS-EM on voxels finer than the pixels, since frames sampled near Nyquist's limit leave no room for the projector's
    linear interpolation. A wide probe is undone step by step: what the object's frames lack is sharpened, added to its
    projections, and OS-EM goes on from there. That converges ten times as fast as OS-EM with the probe inside, and so
    reaches detail that a probe with a faint halo all but hides.
    """
    n_x = series.frames.shape[2]
    oversampling = settings.oversampling or (2 if n_x <= FINE_PX else 1)
    refine = _resampling(n_x, n_x * oversampling)
    blur = _wide_probe(series, settings)
    n_rounds = 1 if blur is None else settings.n_rounds
    n_iterations = max(1, settings.n_iterations // n_rounds)
    fitted = None
    for _ in range(n_rounds):
        missing = series.frames if fitted is None else series.frames - fitted.frames(series.tilt_deg)
        target = (missing if blur is None else blur.sharpen(missing, regularisation=settings.regularisation)) @ refine
        if fitted is not None:
            target += project(fitted.volume, tilt_deg=series.tilt_deg)
        start = None if fitted is None else fitted.volume
        volume = os_em(replace(series, frames=target.clip(0)), n_iterations=n_iterations, microscope=None, start=start)
        fitted = FittedObject(volume, oversampling, blur)
    return fitted


@lru_cache(maxsize=2)
def missed_by_object(series: TiltSeries, settings: ReprojectionSettings) -> np.ndarray:
    """Residuals (n_tilt, n_y, n_x): the frames less the `fitted_object`'s; kept, and not to be written to."""
    return series.frames - fitted_object(series, settings).frames(series.tilt_deg)


@lru_cache(maxsize=1)
def _sirt_volume(series: TiltSeries) -> np.ndarray:
    return sirt(series, n_iterations=100, non_negative=True, allow_negative=True)


def _wide_probe(series: TiltSeries, settings: ReprojectionSettings):
    """The `ProbeBlur` of the microscope that the metadata name, None where its probe is not wide or there is none."""
    if not series.metadata.get("microscope"):
        return None
    from .probe import probe_radius_A  # abTEM takes seconds to import
    from .probe_blur import ProbeBlur, microscope_of

    microscope = microscope_of(series)
    if probe_radius_A(microscope, fraction=0.5) < settings.wide_px * series.pixel_size_A:
        return None
    return ProbeBlur(shape=series.frames.shape[1:], pixel_size_A=series.pixel_size_A, microscope=microscope)


@lru_cache(maxsize=8)
def _resampling(n: int, m: int) -> np.ndarray:
    """(n, m): n samples at pixel centres to m of the same interval, through the cosine series of the lesser number."""
    if n == m:
        return np.eye(n, dtype=np.float32)
    order = np.arange(min(n, m))
    analysis, synthesis = (np.cos(np.pi * order * (np.arange(k)[:, None] + 0.5) / k) for k in (n, m))
    return (analysis * np.where(order == 0, 1, 2) / n @ synthesis.T).astype(np.float32)
