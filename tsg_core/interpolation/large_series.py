"""Which series are large: they are predicted with little memory, and methods are judged by a band of their rows."""

import ctypes
from contextlib import suppress
from dataclasses import replace

import numpy as np

from ..tilt_series import TiltSeries

LARGE_px = 4_000_000  # in all frames together; the series of the book are smaller and handled whole
AFFORDABLE_px = 400_000  # in all frames together; atoms are fitted to larger series only on request
WIDE_px = 128  # frames up to this width never count as large or as wide


def hand_back_memory() -> None:
    """Return free memory to the system: glibc keeps the memory of many medium-sized arrays, mainly of networks."""
    with suppress(AttributeError, OSError, TypeError):  # another C library, or none
        ctypes.CDLL(None).malloc_trim(0)


def is_wide(frames: np.ndarray) -> bool:
    """Whether networks process only a few of the frames (n, n_y, n_x) at a time."""
    return frames.shape[2] > WIDE_px


def is_large(frames: np.ndarray) -> bool:
    """Whether frames (n, n_y, n_x) are too many or too big for several copies in double precision."""
    return is_wide(frames) and frames.size > LARGE_px


N_JUDGED = 64  # rows of the band


def judged_rows(series: TiltSeries) -> slice | None:
    """The band of rows; None if whole frames are judged, as in series that are not large and in low frames."""
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
    """The series with only the judged rows of its frames; the series itself if whole frames are judged."""
    rows = judged_rows(series)
    return series if rows is None else replace(series, frames=series.frames[:, rows])
