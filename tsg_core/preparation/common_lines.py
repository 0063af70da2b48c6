"""Shifts from what all frames of an object share: its centre of mass, and its sums across the tilt axis."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..geometry import pixel_centres_A
from .correlation import shift_between
from .transformation import border_level

N_ROUNDS = 3
ENDS = 8  # an eighth of a profile at each end is ignored, because shifts may have moved part of it out of the frame


def centre_of_mass_shifts(frames: np.ndarray) -> np.ndarray:
    """Shifts (n_tilt, 2): the centre of mass of every frame, relative to the middle of the frame.

    The centre of mass of an object that lies entirely inside the frames projects to x cos(tilt) + z sin(tilt). If it is
    put on the tilt axis, it stays in the middle (Scott et al., Nature 483, 444, 2012). Anything that is in sight only
    at some tilts, above all a film, spoils this. The median of the border counts as zero.
    """
    frames = frames - border_level(frames)[:, None, None]
    centres_y, centres_x = (pixel_centres_A(n, pixel_size_A=1.0) for n in frames.shape[1:])
    total = frames.sum(axis=(1, 2))
    total = np.where(total > 0, total, np.inf)  # an empty frame has no centre, and stays where it is
    return np.column_stack([frames.sum(axis=2) @ centres_y / total, frames.sum(axis=1) @ centres_x / total])


def common_line_shifts(frames: np.ndarray) -> np.ndarray:
    """Shifts (n_tilt,) along y at which the frames' sums over x agree; a rotation about y does not change these sums.

    Each profile is matched with the mean of all profiles, in a few passes. The mean shift is zero.
    """
    return _matched(_sums(frames, axis=2))[0]


def change_of_sums(frames: np.ndarray, *, axis: int) -> float:
    """How much the frames' sums over y (axis 1) or over x (axis 2) change from tilt to tilt, once shifts are undone.

    This is the mean square of their deviations from the mean profile, relative to that of the mean profile; profiles
    are scaled to the same sum. It is lowest for sums across the tilt axis, and infinite for frames without contrast.
    """
    _, profiles = _matched(_sums(frames, axis=axis))
    n = profiles.shape[1]
    profiles = profiles[:, n // ENDS : n - n // ENDS]
    total = profiles.sum(axis=1, keepdims=True)
    if (total <= 0).any():
        return np.inf
    profiles = profiles / total
    mean = profiles.mean(axis=0)
    return float(((profiles - mean) ** 2).sum() / len(profiles) / (mean**2).sum())


def _sums(frames: np.ndarray, *, axis: int) -> np.ndarray:
    """Smoothed sums (n_tilt, n) of the intensity above the border of each frame."""
    sums = np.array([frame.sum(axis=axis - 1, dtype=np.float64) for frame in frames])
    sums -= border_level(frames)[:, None] * frames.shape[axis]
    return gaussian_filter1d(sums, 1.0, axis=1)


def _matched(profiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shifts (n_tilt,) of the profiles (n_tilt, n), and the profiles moved back."""
    shifts, places = np.zeros(len(profiles)), np.arange(profiles.shape[1])
    for k in range(N_ROUNDS + 1):
        moved = np.array([np.interp(places + s, places, p) for s, p in zip(shifts, profiles, strict=True)])
        if k < N_ROUNDS:
            mean = moved.mean(axis=0)
            shifts += [shift_between(mean, p)[0] for p in moved]
            shifts -= shifts.mean()
    return shifts, moved
