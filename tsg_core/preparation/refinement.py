"""Shifts and tilt axis by reprojection: frames are compared with the projections of the volume made from them.

The volume comes from a few steps of `os_em`. It is nowhere negative, and zero outside the cylinder that the width of
the frames allows. Such a stiff model reveals inconsistent frames; an unconstrained volume from few tilts would not.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from ..reconstruction import os_em
from ..reconstruction.projection import project
from ..tilt_series import TiltSeries
from .correlation import shift_between
from .transformation import axis_rotation, moved_back

N_ITERATIONS = 3  # of OS-EM; more would also fit the misalignment
SMOOTH_px = 0.7  # before the search for the axis, so that interpolation changes the noise equally in all trials


def reprojected(frames: np.ndarray, *, tilt_deg: np.ndarray) -> np.ndarray:
    """Projections (n_tilt, n_y, n_x) of the volume made from the frames."""
    series = TiltSeries(frames.clip(0), tilt_deg, 1.0)
    volume = os_em(
        series, n_iterations=N_ITERATIONS, microscope=None, start=_cylinder(frames.shape), allow_negative=True
    )
    return project(volume, tilt_deg=tilt_deg)


def reprojection_residual(frames: np.ndarray, *, tilt_deg: np.ndarray) -> float:
    """Norm of the frames minus their reprojections, relative to that of the frames; the lower, the better aligned."""
    return float(np.linalg.norm(frames - reprojected(frames, tilt_deg=tilt_deg)) / (np.linalg.norm(frames) or 1.0))


def refined_shifts(
    frames: np.ndarray, *, tilt_deg: np.ndarray, shift_px: np.ndarray, axis_deg: float, n_rounds: int
) -> np.ndarray:
    """Improve the shifts (n_tilt, 2) of recorded frames by projection matching.

    In each round the frames are moved back, and each is correlated with its reprojection (Dengler, Ultramicroscopy 30,
    337, 1989; for nanoparticles Houben and Bar Sadan, Ultramicroscopy 111, 1512, 2011).
    """
    rotation = axis_rotation(axis_deg)
    for _ in range(n_rounds):
        moved = moved_back(frames, shift_px=shift_px, axis_deg=axis_deg, order=3)
        pairs = zip(reprojected(moved, tilt_deg=tilt_deg), moved, strict=True)
        left = np.array([shift_between(model, frame) for model, frame in pairs])
        shift_px = shift_px + left @ rotation.T
    return shift_px


def best_axis_deg(
    frames: np.ndarray, *, tilt_deg: np.ndarray, shift_px: np.ndarray, trial_deg: np.ndarray
) -> tuple[float, np.ndarray]:
    """The inclination of the tilt axis at which frames agree best with their reprojections, and all misfits."""
    smooth = gaussian_filter(frames, (0, SMOOTH_px, SMOOTH_px))
    misfits = [_misfit(smooth, tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=a) for a in trial_deg]
    return _vertex(trial_deg, np.array(misfits)), np.array(misfits)


def best_offset_px(
    frames: np.ndarray, *, tilt_deg: np.ndarray, shift_px: np.ndarray, axis_deg: float, trial_px: np.ndarray
) -> tuple[float, np.ndarray]:
    """The offset of all shifts across the axis at which frames best fit their reprojections, and the misfits."""
    smooth = gaussian_filter(frames, (0, SMOOTH_px, SMOOTH_px))
    shifts = shift_px + np.asarray(trial_px)[:, None, None] * axis_rotation(axis_deg)[:, 1]
    misfits = [_misfit(smooth, tilt_deg=tilt_deg, shift_px=s, axis_deg=axis_deg) for s in shifts]
    return _vertex(trial_px, np.array(misfits)), np.array(misfits)


def _misfit(frames: np.ndarray, *, tilt_deg: np.ndarray, shift_px: np.ndarray, axis_deg: float) -> float:
    """Squared distance between the roots of frames and reprojections, in which counting noise is equal everywhere."""
    moved = moved_back(frames, shift_px=shift_px, axis_deg=axis_deg, order=3).clip(0)
    floor = 1e-3 * moved.max(initial=0)
    model = reprojected(moved, tilt_deg=tilt_deg)
    return float(((np.sqrt(moved + floor) - np.sqrt(model + floor)) ** 2).sum(dtype=np.float64))


def _vertex(trials: np.ndarray, values: np.ndarray) -> float:
    """Vertex of a parabola through the five values around the lowest one; an end if the lowest is there."""
    i = int(values.argmin())
    if i in (0, len(values) - 1):
        return float(trials[i])
    near = slice(max(0, i - 2), i + 3)
    c, b, _ = np.polyfit(trials[near] - trials[i], values[near], 2)
    vertex = trials[i] - b / (2 * c) if c > 0 else trials[i]
    return float(np.clip(vertex, trials[i - 1], trials[i + 1]))


def _cylinder(shape: tuple[int, int, int]) -> np.ndarray:
    _, n_y, n_x = shape
    from_axis = np.arange(n_x) - (n_x - 1) / 2
    inside = from_axis[:, None] ** 2 + from_axis**2 <= (0.48 * n_x) ** 2
    return np.broadcast_to(inside, (n_y, n_x, n_x)).astype(np.float32)
