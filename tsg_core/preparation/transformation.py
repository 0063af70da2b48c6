"""How a recorded frame differs from an aligned one: by a displacement, and a tilt axis that is not vertical.

A point (y, x) of an aligned frame, relative to the middle of the frame, is recorded at R (y, x) + shift. R rotates the
tilt axis by `axis_deg`, positive if it leans to the right as the row index grows: along the axis, x = y tan(axis_deg).
A shift is the displacement (y, x) of a recorded frame in its own pixels. Alignment undoes it.

No series determines all of these numbers. A common shift along the axis only moves the object along it, and shifts
across the axis of a cos(tilt) + b sin(tilt) only move the object by (a, b) in x and z. `without_gauge` removes both.
"""

import numpy as np
from scipy.ndimage import affine_transform

from ..geometry import axis_rotation, tilted_positions, translation_of, translation_terms
from ..tools.threads import in_threads


def recorded_positions(positions_A: np.ndarray, *, tilt_deg, shift_A: np.ndarray, axis_deg: float) -> np.ndarray:
    """Positions (n_tilt, n_atoms, 3) as `geometry.tilted_positions`, but where frames with these shifts show them."""
    positions_A = tilted_positions(positions_A, tilt_deg=tilt_deg)
    rows_and_columns = positions_A[..., 1::-1] @ axis_rotation(axis_deg).T + np.asarray(shift_A)[:, None]
    return np.concatenate([rows_and_columns[..., ::-1], positions_A[..., 2:]], axis=-1)


def moved_back(frames: np.ndarray, *, shift_px: np.ndarray, axis_deg: float = 0.0, order: int = 5) -> np.ndarray:
    """Aligned frames (n_tilt, n_y, n_x) float32 from recorded ones with shifts (n_tilt, 2) and an inclined axis.

    Each frame is resampled once, by a spline of this `order`; shifts by whole pixels keep values bit for bit. What was
    not recorded is filled with the median of the frame's border.
    """
    return resampled(frames, matrix=axis_rotation(axis_deg), shift_px=shift_px, order=order)


def resampled(frames: np.ndarray, *, matrix: np.ndarray, shift_px: np.ndarray, order: int = 5) -> np.ndarray:
    """As `moved_back`, where points (y, x) were recorded at matrix (2, 2) or (n_tilt, 2, 2) @ (y, x) + shift."""
    shift_px = np.asarray(shift_px, float)
    matrix = np.broadcast_to(matrix, (len(frames), 2, 2))
    middle = (np.array(frames.shape[1:]) - 1) / 2
    moved = np.empty(frames.shape, np.float32)
    fill = border_level(frames)

    def move(i: int) -> None:
        if (matrix[i] == np.eye(2)).all() and (shift_px[i] == np.round(shift_px[i])).all():
            moved[i] = _moved_whole_pixels(frames[i], shift_px[i].astype(int), fill[i])
        else:
            offset = middle + shift_px[i] - matrix[i] @ middle
            affine_transform(
                frames[i], matrix[i], offset, output=moved[i], order=order, mode="grid-constant", cval=float(fill[i])
            )

    in_threads(move, range(len(frames)))
    return moved


def border_level(frames: np.ndarray) -> np.ndarray:
    """(n_tilt,): the median of each frame's border, a sixteenth of the shorter side wide."""
    n_y, n_x = frames.shape[1:]
    width = max(1, min(n_y, n_x) // 16)
    border = np.ones((n_y, n_x), bool)
    border[width:-width, width:-width] = False
    return np.array([np.median(frame[border]) for frame in frames])


def common_field(shape: tuple[int, int], *, shift_px: np.ndarray, axis_deg: float) -> tuple[slice, slice]:
    """Rows and columns of the aligned frames in which every pixel was recorded at every tilt."""
    return recorded_field(shape, matrix=axis_rotation(axis_deg), shift_px=shift_px)


def recorded_field(shape: tuple[int, int], *, matrix: np.ndarray, shift_px: np.ndarray) -> tuple[slice, slice]:
    """As `common_field`, where points (y, x) were recorded at matrix (2, 2) or (n_tilt, 2, 2) @ (y, x) + shift."""
    half = (np.array(shape) - 1) / 2
    to_aligned = np.linalg.inv(np.broadcast_to(matrix, (len(shift_px), 2, 2)))
    centre = -(to_aligned @ np.asarray(shift_px, float)[..., None])[..., 0]
    (yy, yx), (xy, xx) = (np.abs(to_aligned) * half).transpose(1, 2, 0)  # how far the frame's half edges reach in y, x
    is_upright = yy * xx >= yx * xy  # else its columns have become rows
    reach = np.where(is_upright, [yy - yx, xx - xy], [yx - yy, xy - xx]).T
    first, last = (centre - reach).max(axis=0) + half, (centre + reach).min(axis=0) + half
    first, last = np.ceil(first.clip(0) - 1e-6).astype(int), np.floor(last.clip(max=2 * half) + 1e-6).astype(int)
    return tuple(slice(int(a), max(int(a), int(b) + 1)) for a, b in zip(first, last, strict=True))


def without_gauge(shift_px: np.ndarray, *, tilt_deg, axis_deg: float) -> np.ndarray:
    """Shifts (n_tilt, 2) along and across the axis, minus the part equivalent to a translation of the object."""
    shift_px = np.asarray(shift_px, float) @ axis_rotation(axis_deg)
    return shift_px - translation_of(shift_px, tilt_deg=tilt_deg)


def shift_error_px(found_px: np.ndarray, true_px: np.ndarray, *, tilt_deg, axis_deg: float) -> float:
    """Root mean square distance of shifts (n_tilt, 2) from the true ones, apart from a translation of the object."""
    left = without_gauge(np.asarray(found_px) - true_px, tilt_deg=tilt_deg, axis_deg=axis_deg)
    return float(np.sqrt((left**2).sum(axis=1).mean()))


def axis_offset_px(shift_px: np.ndarray, *, tilt_deg, axis_deg: float) -> float:
    """Common displacement of all frames across the axis: the constant in addition to a cos(tilt) + b sin(tilt)."""
    across = (np.asarray(shift_px, float) @ axis_rotation(axis_deg))[:, 1]
    return float(np.linalg.lstsq(translation_terms(tilt_deg, offset=True), across, rcond=None)[0][-1])


def _moved_whole_pixels(frame: np.ndarray, shift: np.ndarray, fill: float) -> np.ndarray:
    moved = np.full_like(frame, fill)
    into = tuple(slice(max(0, -s), max(0, min(n, n - s))) for s, n in zip(shift, frame.shape, strict=True))
    out_of = tuple(slice(i.start + s, i.stop + s) for i, s in zip(into, shift, strict=True))
    if all(i.stop > i.start for i in into):
        moved[into] = frame[out_of]
    return moved
