"""The tilt geometry, written once: simulation, projection, reconstruction and atom fits all call these functions.

The tilt axis is y. An atom at (x, y, z) appears at tilt theta in column x cos(theta) + z sin(theta), row y; its depth
(against the beam, which runs along -z) is z cos(theta) - x sin(theta). Coordinates are relative to the tilt axis in x
and z and to the middle of the frame in y, so pixel i of n has its centre at (i - (n - 1) / 2) * pixel_size_A.
"""

import numpy as np


def rotate_about_y(x, z, cos_tilt, sin_tilt):
    """Column and depth of the points (x, z) at a tilt; NumPy arrays and torch tensors alike, broadcast together."""
    return x * cos_tilt + z * sin_tilt, z * cos_tilt - x * sin_tilt


def tilted_positions(positions_A: np.ndarray, *, tilt_deg) -> np.ndarray:
    """Positions (n_atoms, 3) in angstrom at each tilt: (n_tilt, n_atoms, 3), axes x (column), y (row), z (depth)."""
    x, y, z = np.asarray(positions_A, float).T
    tilt_rad = np.deg2rad(np.atleast_1d(tilt_deg))[:, None]
    column, depth = rotate_about_y(x, z, np.cos(tilt_rad), np.sin(tilt_rad))
    return np.stack([column, np.broadcast_to(y, column.shape), depth], axis=-1)


def pixel_centres_A(n: int, *, pixel_size_A: float) -> np.ndarray:
    """Centres (n,) of the pixels of a row or column in angstrom, zero in the middle of the frame."""
    return (np.arange(n) - (n - 1) / 2) * pixel_size_A
