"""Which series are large: predictions of them are made with little memory, and judged by a band of their rows."""

import ctypes
from contextlib import suppress
from dataclasses import replace

import numpy as np

from ..tilt_series import TiltSeries

LARGE_px = 4_000_000  # in all frames together; those of the book are smaller, and so are handled whole
AFFORDABLE_px = 400_000  # in all frames together: of more, atoms are fitted only where that is asked for
WIDE_px = 128  # frames up to this width never count as large, nor as wide


def hand_back_memory() -> None:
    """Let the system have what is free: glibc keeps what many arrays of middling size took, of networks above all."""
    with suppress(AttributeError, OSError, TypeError):  # another C library, or none
        ctypes.CDLL(None).malloc_trim(0)


def is_wide(frames: np.ndarray) -> bool:
    """Whether networks see a few of the frames (n, n_y, n_x) at a time."""
    return frames.shape[2] > WIDE_px


def is_large(frames: np.ndarray) -> bool:
    """Whether frames (n, n_y, n_x) are too many or too big for copies in double precision, and for several of them."""
    return is_wide(frames) and frames.size > LARGE_px


N_JUDGED = 64  # rows of the band


def judged_rows(series: TiltSeries) -> slice | None:
    """The band; None where whole frames are judged, of series that are not large and of low frames."""
    n_y = series.frames.shape[1]
    if not is_large(series.frames) or n_y < 2 * N_JUDGED:
        return None
    change = np.zeros(n_y)
    for a, b in zip(series.frames[:-1], series.frames[1:], strict=True):
        change += ((b - a) ** 2).sum(axis=1, dtype=np.float64)
    upto = np.append(0, np.cumsum(change))
    first = int(np.argmax(upto[N_JUDGED:] - upto[:-N_JUDGED]))
    return slice(first, first + N_JUDGED)


def judged_part(series: TiltSeries) -> TiltSeries:
    """The series with the judged rows of its frames alone: itself where whole frames are judged."""
    rows = judged_rows(series)
    return series if rows is None else replace(series, frames=series.frames[:, rows])
