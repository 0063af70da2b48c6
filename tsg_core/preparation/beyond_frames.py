"""Alignment of an object that goes on outside the frames: by its statistics, then together with a volume.

`likely_shifts` takes the object for a film of which it knows power spectrum and thickness alone, and finds these.
Errors that change smoothly with the tilt do not deceive it; a volume follows them. From there, `joint_fit` draws the
object, from the coarsest binning to the finest, which is more exact if the object is sparse or no film.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..geometry import axis_rotation, binned_frames, translation_of
from ..reconstruction.extent import Extent
from ..reconstruction.projection import Box, project
from ..tilt_series import TiltSeries
from .joint_fit import JointFit, fit_jointly, recorded_pixels
from .likely_shifts import likely_shifts
from .transformation import moved_back

COARSEST_px, FINEST_px = 48, 96  # the frames are binned to at most these widths
N_COARSE, N_FINE = 250, 20  # iterations at the coarsest binning, and at each finer one
N_JUDGED = 50  # iterations of a volume whose residual tells how well the frames agree
CLEARLY = 0.98  # of a residual: thick films are predicted a little better by shifts that are worse
THICKEST = 4  # box, in widths of the frames
LEAST_RECORDED = 0.7  # of the pixels of aligned frames


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """Shifts (n_tilt, 2) and axis, found from the start of this name, and residuals as in `AlignmentReport`."""

    start: str
    shift_px: np.ndarray
    axis_deg: float
    residual_before: float
    residual_after: float


@dataclass(frozen=True, eq=False)
class BeyondFrames:
    """A series of an object that goes on outside the frames; all lengths are in pixels of the series itself."""

    series: TiltSeries

    def aligned(self, starts: dict[str, np.ndarray], axis_deg: float, *, fit_axis: bool) -> Found:
        """The likeliest shifts and axis, or those drawn from there if they predict left-out frames clearly better.

        They are searched from each of the starts (n_tilt, 2), and from the frames as recorded. The middle of the object
        comes to lie on the axis; along the frames it stays where it is.
        """
        starts = {name: shift_px - self._translation_px(shift_px, axis_deg) for name, shift_px in starts.items()}
        starts["as recorded"] = np.zeros((len(self.series), 2))
        start, likely = likely_shifts(self.series, starts=starts, axis_deg=axis_deg, fit_axis=fit_axis)
        thickness_px, likely = likely.thickness_px, (likely.shift_px, likely.axis_deg)
        drawn = self.refined(*likely, thickness_px=thickness_px, fit_axis=fit_axis)
        residuals = [self.residual(*poses, thickness_px=thickness_px) for poses in (likely, drawn)]
        best = int(residuals[1] < CLEARLY * residuals[0])
        shift_px, axis_deg = (likely, drawn)[best]
        translated_px = self._translation_px(shift_px, axis_deg)
        return Found(
            start=start,
            shift_px=shift_px,
            axis_deg=axis_deg,
            residual_before=self.residual(translated_px, 0.0, thickness_px=thickness_px),
            residual_after=residuals[best],
        )

    def residual(self, shift_px: np.ndarray, axis_deg: float, *, thickness_px: float) -> float:
        """How badly volumes fitted to every second frame predict the others, relative to the variation of the frames.

        Frames left out tell wrong shifts from right ones; frames that are fitted do not: those that hardly overlap
        agree with any volume. Residuals can be compared if the shifts put the object in the same place, and boxes are
        equally thick. Infinite if the shifts, apart from a translation, move too much out of the frames.
        """
        coarse = self._binned(self._factors()[0])
        scale = coarse.pixel_size_A / self.series.pixel_size_A
        poses = {"shift_px": shift_px / scale, "axis_deg": axis_deg}
        in_place_px = (shift_px - self._translation_px(shift_px, axis_deg)) / scale
        if recorded_pixels(coarse.frames.shape, shift_px=in_place_px, axis_deg=axis_deg).mean() < LEAST_RECORDED:
            return np.inf
        recorded = recorded_pixels(coarse.frames.shape, **poses)
        box, missed = self._box(coarse, thickness_px), moved_back(coarse.frames, **poses, order=3)
        for first in (0, 1):
            kept, out = np.arange(first, len(coarse), 2), np.arange(1 - first, len(coarse), 2)
            fit = self._fitted(
                coarse.subset(kept), box, shift_px[kept], axis_deg, n_iterations=N_JUDGED, fit_poses=False
            )
            missed[out] -= project(fit.volume, tilt_deg=coarse.tilt_deg[out], n_pixels=coarse.frames.shape[2])
        missed, recorded = missed[1:-1], recorded[1:-1]  # beyond the first and the last, nothing is known
        return float(np.sqrt((recorded * missed**2).sum() / recorded.sum()) / (coarse.frames.std() or 1.0))

    def refined(
        self, shift_px: np.ndarray, axis_deg: float, *, thickness_px: float, fit_axis: bool
    ) -> tuple[np.ndarray, float]:
        """Better shifts and a better axis."""
        fit = None
        for factor in self._factors():
            level = self._binned(factor)
            if fit is None:
                box, n_iterations, volume = self._box(level, thickness_px), N_COARSE, None
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

    def _translation_px(self, shift_px: np.ndarray, axis_deg: float) -> np.ndarray:
        """The part of the shifts that a translation of the object explains."""
        turn = axis_rotation(axis_deg)
        return translation_of(shift_px @ turn, tilt_deg=self.series.tilt_deg) @ turn.T

    def _box(self, level: TiltSeries, thickness_px: float) -> Box:
        thickness_px = min(thickness_px, THICKEST * self.series.frames.shape[2])
        return Extent(thickness_A=thickness_px * self.series.pixel_size_A).box(level)

    def _fitted(self, level: TiltSeries, box: Box, shift_px: np.ndarray, axis_deg: float, **options) -> JointFit:
        factor = level.pixel_size_A / self.series.pixel_size_A
        return fit_jointly(
            level.frames, tilt_deg=level.tilt_deg, box=box, shift_px=shift_px / factor, axis_deg=axis_deg, **options
        )


def _finer(volume: np.ndarray, *, n_y: int) -> np.ndarray:
    """The volume in voxels half as large, whose projections are those of frames with `n_y` rows."""
    finer = volume.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2) / 2
    return np.pad(finer, ((0, max(0, n_y - len(finer))), (0, 0), (0, 0)), mode="edge")[:n_y]
