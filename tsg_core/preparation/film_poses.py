"""What is unknown of a recorded film: where its frames lie, where the tilt axis, and how thick it is."""

from dataclasses import dataclass, replace

import numpy as np

from ..geometry import axis_rotation, translation_terms


@dataclass(frozen=True, eq=False, kw_only=True)
class FilmPoses:
    """Shifts (n_tilt,) along and across a tilt axis, in pixels, the axis' inclination, and the film's thickness.

    The middle of the film lies at z = 0: shifts across the axis of b sin(tilt) tell where it was recorded. A step is a
    vector (2 n_tilt + 2,): along and across the axis, of the axis in degrees, and of the logarithm of the thickness.
    """

    along_px: np.ndarray
    across_px: np.ndarray
    axis_deg: float
    thickness_px: float

    @classmethod
    def of(cls, shift_px: np.ndarray, *, axis_deg: float, thickness_px: float) -> "FilmPoses":
        """From displacements (n_tilt, 2) in the pixels of the frames, as in `transformation`."""
        along_px, across_px = (np.asarray(shift_px, float) @ axis_rotation(axis_deg)).T
        return cls(along_px=along_px, across_px=across_px, axis_deg=axis_deg, thickness_px=thickness_px)

    @property
    def shift_px(self) -> np.ndarray:
        return np.column_stack([self.along_px, self.across_px]) @ axis_rotation(self.axis_deg).T

    def scaled(self, times: float) -> "FilmPoses":
        """In pixels that are smaller by a factor."""
        lengths = {name: times * getattr(self, name) for name in ("along_px", "across_px", "thickness_px")}
        return replace(self, **lengths)

    def moved(self, step: np.ndarray) -> "FilmPoses":
        along_px, across_px = step[:-2].reshape(2, -1)
        return FilmPoses(
            along_px=self.along_px + along_px,
            across_px=self.across_px + across_px,
            axis_deg=self.axis_deg + float(step[-2]),
            thickness_px=self.thickness_px * float(np.exp(step[-1])),
        )


def free_steps(tilt_deg: np.ndarray, *, fit_axis: bool) -> np.ndarray:
    """Orthonormal steps (2 n_tilt + 2, n) that change frames: all but those that only move the film in its plane."""
    n_tilt = len(tilt_deg)
    fixed = np.zeros((2 * n_tilt + 2, 2 if fit_axis else 3))
    fixed[:n_tilt, 0] = 1
    fixed[n_tilt:-2, 1] = translation_terms(tilt_deg)[:, 0]
    if not fit_axis:
        fixed[-2, 2] = 1
    return np.linalg.qr(fixed, mode="complete")[0][:, fixed.shape[1] :]
