"""The object that is fitted to the frames of a series: a volume, and the probe that blurs its frames."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..optics.probe import probe_radius_A
from ..reconstruction import os_em
from ..reconstruction.blocks import StoredObject, damped_in_blocks, fitted_in_blocks
from ..reconstruction.extent import Extent, damped_volume, extent_of
from ..reconstruction.projection import Box, project
from ..tilt_series import TiltSeries, microscope_of

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


@dataclass(frozen=True, eq=False)
class FittedObject:
    """A volume (n_y, n_z, n_x), `oversampling` voxels per pixel along z and x, and the probe that blurs its frames.

    The frames are `n_pixels` voxels wide, and so is the volume unless the object goes on outside the frames.
    """

    volume: np.ndarray
    oversampling: int
    blur: "ProbeBlur | None"  # noqa: F821  (imported where it is made)
    n_pixels: int | None = None

    def frames(self, tilt_deg) -> np.ndarray:
        """Frames (n_tilt, n_y, n_x) in the unit of the series."""
        frames = project(self.volume, tilt_deg=tilt_deg, n_pixels=self.n_pixels)
        frames = frames @ _resampling(frames.shape[2], frames.shape[2] // self.oversampling)
        return frames if self.blur is None else self.blur(frames)


def fitted_object(
    series: TiltSeries, settings: ReprojectionSettings = ReprojectionSettings()
) -> FittedObject | StoredObject:
    """The object behind the frames; for wide frames, in a file without a name.

    OS-EM with voxels finer than the pixels, because frames sampled near the Nyquist limit leave no room for the
    projector's linear interpolation. A wide probe is undone step by step: what the frames of the object lack is
    sharpened and added to its projections, and OS-EM continues from there. This converges ten times as fast as OS-EM
    with the probe inside, and so reaches detail that a probe with a faint halo almost hides. An object that goes on
    outside the frames is found by `algebraic.around_even`, in a box that contains it.
    """
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


def missed_by(fitted: FittedObject | StoredObject, series: TiltSeries, indices: np.ndarray) -> np.ndarray:
    """Residuals (n, n_y, n_x): the frames of the series at these indices minus those of the object."""
    drawn = fitted.frames(series.tilt_deg[indices])
    for missed, i in zip(drawn, indices, strict=True):
        np.subtract(series.frames[i], missed, out=missed)
    return drawn


def box_of_object(series: TiltSeries) -> Box | None:
    extent = extent_of(series)
    return None if extent is None else extent.box(series)


def _wide_probe(series: TiltSeries, settings: ReprojectionSettings):
    """The `ProbeBlur` of the microscope in the metadata; None if its probe is not wide or there is no microscope."""
    if not series.metadata.get("microscope"):
        return None
    from ..reconstruction.probe_blur import ProbeBlur  # torch takes a second to import

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
