"""Frames as projections of one object: a volume is made from the measured frames and projected at other angles."""

from functools import partial

import numpy as np

from ..reconstruction.projection import project
from ..tilt_series import TiltSeries
from .fitted_object import FINE_PX
from .fitted_series import FittedSeries
from .kriging import kriged
from .large_series import is_large
<<<<<<< HEAD
from .residual import N_BANDS, carried_residual, residual_weights, spectrum_of, white_noise_bound

FINE_PX = 128  # frames up to this width get voxels of half a pixel


@dataclass(frozen=True, kw_only=True)
class ReprojectionSettings:
    """How the object is fitted.

    n_iterations    total number of OS-EM iterations; None means 10 for frames more than 128 px wide with a narrow
                    probe, which gain nothing from more and would fit their noise, and 30 otherwise
    n_rounds        rounds in which these are done if the probe is wide; each starts by sharpening what is still missing
    regularisation  of this sharpening (see `ProbeBlur.sharpen`): it leaves out frequencies whose transfer is below its
                    square root; noise in the frames raises it
    wide_px         a probe counts as wide if the circle that contains half of it has a radius above this, in pixels
    oversampling    voxels per pixel along x and z; None means 2 for frames up to 128 px wide, and 1 for larger ones
    """

    n_iterations: int | None = None
    n_rounds: int = 10
    regularisation: float = 2e-3
    wide_px: float = 2.0
    oversampling: int | None = None


def sirt_reprojection(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Projections of the volume that SIRT (100 iterations, non-negative) makes from the frames."""
    n_x = series.frames.shape[2]
    if n_x > FINE_PX:
        return _sirt_object(series).projections(tilt_deg)
    return project(_sirt_volume(series), tilt_deg=tilt_deg, n_pixels=n_x)


def reprojection(
    series: TiltSeries,
    tilt_deg: np.ndarray,
    *,
    checkpoint=None,
    settings: ReprojectionSettings = ReprojectionSettings(),
) -> np.ndarray:
    """Frames of the `FittedObject`, plus the residual of the measured frames, which the object misses.

    The object carries everything that moves with the angle. To this is added the mean residual over the frames. A cubic
    spline interpolates the rest of the residual, as far as it is not noise and persists from frame to frame; see
    `residual_weights_of`.
=======
from .residual import carried_residual, spectrum_of


def sirt_reprojection(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Projections of the volume that SIRT (100 iterations, non-negative) makes of the frames."""
    fitted, n_x = FittedSeries.of(series).sirt_object, series.frames.shape[2]
    return fitted.projections(tilt_deg) if n_x > FINE_PX else project(fitted, tilt_deg=tilt_deg, n_pixels=n_x)


def reprojection(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Frames of the `FittedObject`, plus what it misses: the residual of the measured frames.

    The object carries what moves with the angle. The residual, what no object explains, is its mean over the frames,
    and what is left is carried over by a cubic spline, as much of it as is not noise and lasts from frame to frame: see
    `FittedSeries.residual_weights`.
>>>>>>> f0c6c85 (What methods learn of a series is kept by a FittedSeries that is handed to them, and goes with it)
    """
    fitted = FittedSeries.of(series)
    residual = fitted.missed()
    mean = residual.mean(axis=0)
    residual = np.subtract(residual, mean, out=residual if is_large(residual) else None)
    angles_and_weights = {"measured_deg": series.tilt_deg, "weights": fitted.residual_weights}
    carried = partial(carried_residual, spectrum_of(residual), **angles_and_weights)
    frames = fitted.object.frames(tilt_deg)
    if not is_large(series.frames):
        return frames + mean + carried(tilt_deg=tilt_deg)
    for k in range(len(frames)):
        frames[k] += mean + carried(tilt_deg=tilt_deg[k : k + 1])[0]
    return frames


def kriging(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Frames of the `FittedObject`, plus the residual of the measured frames by `kriging.kriged`.

    If the residual changes completely from frame to frame, as the halo of a wide probe on a crystal does, kriging is
    closer to the truth than a spline; if it changes slowly, the spline of `reprojection` is closer.
    """
    fitted = FittedSeries.of(series)
    angles = {"measured_deg": series.tilt_deg, "tilt_deg": tilt_deg}
    frames = kriged(fitted.missed(), **angles, overwrite=is_large(series.frames))
    frames += fitted.object.frames(tilt_deg)
    return frames
<<<<<<< HEAD


@lru_cache(maxsize=2)
def residual_weights_of(series: TiltSeries, settings: ReprojectionSettings) -> np.ndarray:
    """`residual.residual_weights` (5, 5), learnt from every second frame between the first and the last.

    An object fitted to the others predicts them. With two frames, neither can be left out, and the weights are 1.
    """
    out = np.arange(1, len(series) - 1, 2)
    if len(out) == 0:
        return np.ones((N_BANDS, N_BANDS))
    kept = np.setdiff1d(np.arange(len(series)), out)
    fitted = _fit(series.subset(kept), settings)
    return residual_weights(
        _missed(fitted, series, kept),
        measured_deg=series.tilt_deg[kept],
        left_out=_missed(fitted, series, out),
        left_out_deg=series.tilt_deg[out],
    )


@dataclass(frozen=True, eq=False)
class FittedObject:
    """A volume (n_y, n_z, n_x), `oversampling` voxels per pixel along z and x, and the probe that blurs its frames.

    These are `n_pixels` voxels wide, as the volume is where the object does not leave them.
    """

    volume: np.ndarray
    oversampling: int
    blur: "ProbeBlur | None"  # noqa: F821  (abTEM takes seconds to import)
    n_pixels: int | None = None

    def frames(self, tilt_deg) -> np.ndarray:
        """Frames (n_tilt, n_y, n_x) in the unit of the series."""
        frames = project(self.volume, tilt_deg=tilt_deg, n_pixels=self.n_pixels)
        frames = frames @ _resampling(frames.shape[2], frames.shape[2] // self.oversampling)
        return frames if self.blur is None else self.blur(frames)


@lru_cache(maxsize=2)
def fitted_object(series: TiltSeries, settings: ReprojectionSettings) -> FittedObject | StoredObject:
    """The object behind the frames, cached for the next call with the same series; for wide frames, in a file.

    OS-EM with voxels finer than the pixels, because frames sampled near the Nyquist limit leave no room for the
    projector's linear interpolation. A wide probe is undone step by step: what the frames of the object lack is
    sharpened and added to its projections, and OS-EM continues from there. This converges ten times as fast as OS-EM
    with the probe inside, and so reaches detail that a probe with a faint halo almost hides. For an extended object,
    which goes on outside the frames, it is `algebraic.around_even` in a box that contains the object.
    """
    return _fit(series, settings)


def missed_by_object(series: TiltSeries, settings: ReprojectionSettings) -> np.ndarray:
    """Residuals (n_tilt, n_y, n_x): the frames minus those of the `fitted_object`.

    For a large series they are computed anew each time; others are cached and must not be modified.
    """
    if is_large(series.frames):
        return _missed(fitted_object(series, settings), series, np.arange(len(series)))
    return _kept_missed(series, settings)


def missed_frames(series: TiltSeries, settings: ReprojectionSettings, indices: np.ndarray) -> np.ndarray:
    """`missed_by_object` (..., n_y, n_x) for the frames at these indices (...), possibly only a few."""
    if not is_large(series.frames):
        return missed_by_object(series, settings)[indices]
    wanted, where = np.unique(indices, return_inverse=True)
    missed = _missed(fitted_object(series, settings), series, wanted)
    return missed[where.reshape(indices.shape)]


@lru_cache(maxsize=2)
def missed_noise(series: TiltSeries, settings: ReprojectionSettings) -> float:
    """The largest variance that white noise in the residual of the object can have."""
    return white_noise_bound(missed_by_object(series, settings))


def forget_objects() -> None:
    """Clear all caches of all series: objects, with their files, and what was learnt from them."""
    for kept in (fitted_object, residual_weights_of, missed_noise, _kept_missed, _sirt_volume, _sirt_object):
        kept.cache_clear()


@lru_cache(maxsize=2)
def _kept_missed(series: TiltSeries, settings: ReprojectionSettings) -> np.ndarray:
    return _missed(fitted_object(series, settings), series, np.arange(len(series)))


def _missed(fitted: FittedObject | StoredObject, series: TiltSeries, indices: np.ndarray) -> np.ndarray:
    """The frames at these indices minus those of the object, without copying them."""
    drawn = fitted.frames(series.tilt_deg[indices])
    for missed, i in zip(drawn, indices, strict=True):
        np.subtract(series.frames[i], missed, out=missed)
    return drawn


def _fit(series: TiltSeries, settings: ReprojectionSettings) -> FittedObject | StoredObject:
    n_x = series.frames.shape[2]
    if (extent := extent_of(series)) is not None:
        return _extended(series, extent)
    oversampling = settings.oversampling or (2 if n_x <= FINE_PX else 1)
    blur = _wide_probe(series, settings)
    n_rounds = 1 if blur is None else settings.n_rounds
    wide = oversampling == 1 and n_x > FINE_PX
    n_iterations = settings.n_iterations or (10 if wide and blur is None else 30)
    n_iterations = max(1, n_iterations // n_rounds)
    if wide:
        return fitted_in_blocks(
            series, n_iterations=n_iterations, n_rounds=n_rounds, blur=blur, regularisation=settings.regularisation
        )
    refine, fitted = _resampling(n_x, n_x * oversampling), None
    for _ in range(n_rounds):
        missing = series.frames if fitted is None else series.frames - fitted.frames(series.tilt_deg)
        target = (missing if blur is None else blur.sharpen(missing, regularisation=settings.regularisation)) @ refine
        if fitted is not None:
            target += project(fitted.volume, tilt_deg=series.tilt_deg)
        start = None if fitted is None else fitted.volume
        volume = os_em(replace(series, frames=target.clip(0)), n_iterations=n_iterations, microscope=None, start=start)
        fitted = FittedObject(volume, oversampling, blur)
    return fitted


def _extended(series: TiltSeries, extent: Extent) -> FittedObject | StoredObject:
    """The object that goes on outside the frames, unsharpened, because sharpening needs the whole object inside."""
    n_x = series.frames.shape[2]
    if n_x <= FINE_PX:
        return FittedObject(damped_volume(series, extent), oversampling=1, blur=None, n_pixels=n_x)
    return damped_in_blocks(
        series, box=extent.box(series), n_iterations=extent.n_iterations, damping=extent.damping(series)
    )


@lru_cache(maxsize=1)
def _sirt_volume(series: TiltSeries) -> np.ndarray:
    return sirt(series, n_iterations=100, non_negative=True, allow_negative=True, box=_box(series))


@lru_cache(maxsize=1)
def _sirt_object(series: TiltSeries) -> StoredObject:
    return sirt_in_blocks(series, n_iterations=100, box=_box(series))


def _box(series: TiltSeries) -> Box | None:
    extent = extent_of(series)
    return None if extent is None else extent.box(series)


def _wide_probe(series: TiltSeries, settings: ReprojectionSettings):
    """The `ProbeBlur` of the microscope in the metadata; None if its probe is not wide or there is no microscope."""
    if not series.metadata.get("microscope"):
        return None
    from ..optics.probe import probe_radius_A  # abTEM takes seconds to import
    from ..reconstruction.probe_blur import ProbeBlur
    from ..tilt_series import microscope_of

    microscope = microscope_of(series)
    if probe_radius_A(microscope, fraction=0.5) < settings.wide_px * series.pixel_size_A:
        return None
    return ProbeBlur(shape=series.frames.shape[1:], pixel_size_A=series.pixel_size_A, microscope=microscope)


@lru_cache(maxsize=8)
def _resampling(n: int, m: int) -> np.ndarray:
    """(n, m): resample n pixel centres to m on the same interval, by a cosine series with the fewer terms."""
    if n == m:
        return np.eye(n, dtype=np.float32)
    order = np.arange(min(n, m))
    analysis, synthesis = (np.cos(np.pi * order * (np.arange(k)[:, None] + 0.5) / k) for k in (n, m))
    return (analysis * np.where(order == 0, 1, 2) / n @ synthesis.T).astype(np.float32)
=======
>>>>>>> f0c6c85 (What methods learn of a series is kept by a FittedSeries that is handed to them, and goes with it)
