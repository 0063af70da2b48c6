"""Alignment of an object that goes on outside the frames, by `joint_fit` from the coarsest binning to the finest."""

from dataclasses import dataclass, replace

import numpy as np

from ..geometry import binned_frames
from ..reconstruction.extent import Extent, supposed_thickness_A
from ..reconstruction.projection import Box, project
from ..tilt_series import TiltSeries
from .joint_fit import JointFit, fit_jointly, recorded_pixels
from .transformation import moved_back

COARSEST_px, FINEST_px = 48, 96  # the frames are binned to at most these widths
N_COARSE, N_FINE = 250, 20  # iterations at the coarsest binning, and at each finer one
N_JUDGED = 30  # iterations of a volume whose residual tells how well the frames agree
LEAST_RECORDED = 0.7  # of the pixels of aligned frames


@dataclass(frozen=True, eq=False)
class BeyondFrames:
    """A series of an object that goes on outside the frames; all shifts are in pixels of the series itself."""

    series: TiltSeries

    def residual(self, shift_px: np.ndarray, axis_deg: float) -> float:
        """How badly volumes fitted to every second frame predict the others, relative to the variation of the frames.

        Frames left out tell wrong shifts from right ones; frames that are fitted do not: those that hardly overlap
        agree with any volume. The box is as thick as the frames are wide. Infinite if the shifts move too much out of
        the frames.
        """
        coarse = self._binned(self._factors()[0])
        scale = coarse.pixel_size_A / self.series.pixel_size_A
        poses = {"shift_px": shift_px / scale, "axis_deg": axis_deg}
        recorded = recorded_pixels(coarse.frames.shape, **poses)
        if recorded.mean() < LEAST_RECORDED:
            return np.inf
        box = Extent(thickness_A=coarse.frames.shape[2] * coarse.pixel_size_A).box(coarse)
        missed = moved_back(coarse.frames, **poses, order=3)
        for first in (0, 1):
            kept, out = np.arange(first, len(coarse), 2), np.arange(1 - first, len(coarse), 2)
            fit = self._fitted(
                coarse.subset(kept), box, shift_px[kept], axis_deg, n_iterations=N_JUDGED, fit_poses=False
            )
            missed[out] -= project(fit.volume, tilt_deg=coarse.tilt_deg[out], n_pixels=coarse.frames.shape[2])
        missed, recorded = missed[1:-1], recorded[1:-1]  # beyond the first and the last, nothing is known
        return float(np.sqrt((recorded * missed**2).sum() / recorded.sum()) / (coarse.frames.std() or 1.0))

    def refined(self, shift_px: np.ndarray, axis_deg: float, *, fit_axis: bool) -> tuple[np.ndarray, float]:
        """Better shifts and a better axis. Frames moved back by the given ones say how thick the object is."""
        fit = None
        for factor in self._factors():
            level = self._binned(factor)
            if fit is None:
                box, n_iterations, volume = self._box(level, shift_px, axis_deg), N_COARSE, None
            else:
                n_iterations, volume = N_FINE, _finer(fit.volume, n_y=level.frames.shape[1])
                box = Box(*volume.shape[1:])
            fit = self._fitted(
                level, box, shift_px, axis_deg, n_iterations=n_iterations, volume=volume, fit_axis=fit_axis
            )
            shift_px, axis_deg = fit.shift_px * factor, fit.axis_deg
        return shift_px, axis_deg

    def _factors(self) -> list[int]:
        """Binnings that halve."""
        width = max(self.series.frames.shape[1:])
        factors = [2**k for k in range(int(np.ceil(np.log2(max(1, width / COARSEST_px)))), -1, -1)]
        return [factor for factor in factors if width / factor <= FINEST_px]

    def _binned(self, factor: int) -> TiltSeries:
        frames = binned_frames(self.series.frames, factor)
        return replace(self.series, frames=frames, pixel_size_A=factor * self.series.pixel_size_A, measured=None)

    def _box(self, level: TiltSeries, shift_px: np.ndarray, axis_deg: float) -> Box:
        factor = level.pixel_size_A / self.series.pixel_size_A
        moved = moved_back(level.frames, shift_px=shift_px / factor, axis_deg=axis_deg, order=3)
        return Extent(thickness_A=supposed_thickness_A(replace(level, frames=moved))).box(level)

    def _fitted(self, level: TiltSeries, box: Box, shift_px: np.ndarray, axis_deg: float, **options) -> JointFit:
        factor = level.pixel_size_A / self.series.pixel_size_A
        return fit_jointly(
            level.frames, tilt_deg=level.tilt_deg, box=box, shift_px=shift_px / factor, axis_deg=axis_deg, **options
        )


def _finer(volume: np.ndarray, *, n_y: int) -> np.ndarray:
    """The volume in voxels half as large, whose projections are those of frames with `n_y` rows."""
    finer = volume.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2) / 2
    return np.pad(finer, ((0, max(0, n_y - len(finer))), (0, 0), (0, 0)), mode="edge")[:n_y]
