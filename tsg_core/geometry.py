"""The tilt geometry, written once: simulation, projection, reconstruction and atom fits all call these functions.

The tilt axis is y. At tilt theta, an atom at (x, y, z) appears in column x cos(theta) + z sin(theta), row y. Its depth,
measured against the beam (which runs along -z), is z cos(theta) - x sin(theta). In x and z, coordinates are relative to
the tilt axis, in y to the middle of the frame. The centre of pixel i of n is at (i - (n - 1) / 2) * pixel_size_A.
"""

import numpy as np
from numpy.typing import ArrayLike


def rotate_about_y(x, z, cos_tilt, sin_tilt):
    """Column and depth of the points (x, z) at a tilt. Takes NumPy arrays or torch tensors and broadcasts them."""
    return x * cos_tilt + z * sin_tilt, z * cos_tilt - x * sin_tilt


def tilted_positions(positions_A: np.ndarray, *, tilt_deg: ArrayLike) -> np.ndarray:
    """Positions (n_atoms, 3) in angstrom, at each tilt: (n_tilt, n_atoms, 3) as x (column), y (row), z (depth)."""
    x, y, z = np.asarray(positions_A, float).T
    tilt_rad = np.deg2rad(np.atleast_1d(tilt_deg))[:, None]
    column, depth = rotate_about_y(x, z, np.cos(tilt_rad), np.sin(tilt_rad))
    return np.stack([column, np.broadcast_to(y, column.shape), depth], axis=-1)


def pixel_centres_A(n: int, *, pixel_size_A: float) -> np.ndarray:
    """Centres (n,) in angstrom of the pixels of a row or column; zero is the middle of the frame."""
    return (np.arange(n) - (n - 1) / 2) * pixel_size_A


def binned_frames(frames: np.ndarray, factor: int) -> np.ndarray:
    """Means over squares of `factor` pixels of frames (..., n_y, n_x); any rest is cut off equally on both sides.

    The middle of the frame stays where it is, but for half a pixel where an odd number is left over. Summed in double
    precision; integers give float64, others keep their type.
    """
    *before, n_y, n_x = frames.shape
    m_y, m_x = n_y // factor, n_x // factor
    first_y, first_x = n_y % factor // 2, n_x % factor // 2
    whole = frames[..., first_y : first_y + m_y * factor, first_x : first_x + m_x * factor]
    means = whole.reshape(*before, m_y, factor, m_x, factor).mean(axis=(-3, -1), dtype=np.float64)
    return means if frames.dtype.kind in "iub" else means.astype(frames.dtype)


def axis_rotation(axis_deg: float) -> np.ndarray:
    """R (2, 2), which maps (y, x) of an aligned frame to (y, x) of the recorded one."""
    cos, sin = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    return np.array([[cos, -sin], [sin, cos]])


def translation_of(
    shift_px: ArrayLike, *, tilt_deg: ArrayLike, at_deg: ArrayLike | None = None, offset: bool = False
) -> np.ndarray:
    """The part (n_tilt, 2) of shifts along and across the axis that is equivalent to a translation of the object.

    It is constant along the axis and a cos(tilt) + b sin(tilt) across it, fitted by least squares. `offset` adds a
    constant across the axis, the displacement of the axis itself. `at_deg` evaluates it at other angles.
    """
    along, across = np.asarray(shift_px, float).T
    coefficients = np.linalg.lstsq(translation_terms(tilt_deg, offset=offset), across, rcond=None)[0]
    fitted = translation_terms(tilt_deg if at_deg is None else at_deg, offset=offset) @ coefficients
    return np.column_stack([np.full(len(fitted), along.mean()), fitted])


def translation_terms(tilt_deg: ArrayLike, *, offset: bool = False) -> np.ndarray:
    """Displacements (n_tilt, 2) across the axis by a translation of 1 in x, in z; `offset` adds a column of ones."""
    tilt = np.deg2rad(np.asarray(tilt_deg, float))
    return np.column_stack([np.cos(tilt), np.sin(tilt), *([np.ones(len(tilt))] if offset else [])])
