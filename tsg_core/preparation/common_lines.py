"""Shifts from what all frames of an object share: its centre of mass, and its sums across the tilt axis."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..geometry import pixel_centres_A
from .correlation import shift_between
from .transformation import border_level

N_ROUNDS = 3


def centre_of_mass_shifts(frames: np.ndarray) -> np.ndarray:
    """Shifts (n_tilt, 2): the centre of mass of every frame, from the middle of the frame.

    The centre of mass of an object that lies wholly within the frames projects to x cos(tilt) + z sin(tilt): put on
    the tilt axis, it stays in the middle (Scott et al., Nature 483, 444, 2012). What is in sight at some tilts only, a
    film above all, spoils it. The median of the border is taken for zero.
    """
    frames = frames - border_level(frames)[:, None, None]
    centres_y, centres_x = (pixel_centres_A(n, pixel_size_A=1.0) for n in frames.shape[1:])
    total = frames.sum(axis=(1, 2))
    total = np.where(total > 0, total, np.inf)  # an empty frame has no centre, and stays where it is
    return np.column_stack([frames.sum(axis=2) @ centres_y / total, frames.sum(axis=1) @ centres_x / total])


def common_line_shifts(frames: np.ndarray) -> np.ndarray:
    """Shifts (n_tilt,) along y, at which the frames' sums over x agree: a rotation about y leaves them as they are.

    Each profile is matched with the mean of all, a few times over. The mean shift is zero.
    """
    profiles = (frames - border_level(frames)[:, None, None]).sum(axis=2)
    profiles = gaussian_filter1d(profiles, 1.0, axis=1)
    shifts = np.zeros(len(profiles))
    rows = np.arange(profiles.shape[1])
    for _ in range(N_ROUNDS):
        moved = np.array([np.interp(rows + s, rows, p) for s, p in zip(shifts, profiles, strict=True)])
        mean = moved.mean(axis=0)
        shifts += [shift_between(mean, p)[0] for p in moved]
        shifts -= shifts.mean()
    return shifts
