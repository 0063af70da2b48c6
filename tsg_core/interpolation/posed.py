"""Prediction from frames whose poses scatter no more."""

from dataclasses import dataclass

import numpy as np

from ..reconstruction.poses import PoseFit, Poses, fit_poses
from ..tilt_series import TiltSeries
from .kriging import FRAMES, kriged


@dataclass(frozen=True, eq=False, kw_only=True)
class Posed:
    """The series without the scatter of its poses, or as it is if no fit was asked for or none is confirmed."""

    series: TiltSeries
    fit: PoseFit | None = None

    @classmethod
    def of(cls, series: TiltSeries, *, fit_pose: bool) -> "Posed":
        if not fit_pose:
            return cls(series=series)
        fit = fit_poses(series)
        return cls(series=series if fit.poses is None else _scatter(series, fit.poses).undone(series), fit=fit)

    @property
    def remark(self) -> str:
        """What was found, in a sentence; empty if no fit was asked for."""
        return "" if self.fit is None else self.fit.remark

    def within(self, tilt_deg: np.ndarray) -> np.ndarray:
        """Angles no farther out than the frames: nothing is extrapolated to where an end was thought to lie."""
        return tilt_deg.clip(self.series.tilt_deg[0], self.series.tilt_deg[-1])

    def noted(self, series: TiltSeries) -> TiltSeries:
        """The series with what was found in its history."""
        return series.noted(self.remark) if self.remark else series


def _scatter(series: TiltSeries, poses: Poses) -> Poses:
    """Poses minus what their neighbours let us expect.

    A pose that changes slowly, like that of a drifting stage, is also that of the frames between.
    """
    scatter = poses.values.copy()
    for k in np.flatnonzero(scatter.any(axis=0)):
        known = scatter[:, k, None, None].astype(np.float32)
        expected = kriged(known, measured_deg=series.tilt_deg, tilt_deg=series.tilt_deg, covariances=FRAMES)
        scatter[:, k] -= expected[:, 0, 0]
    return Poses(values=scatter)
