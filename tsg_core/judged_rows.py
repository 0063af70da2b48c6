"""The rows of large frames by which methods are judged: those in which the frames change most from tilt to tilt.

A tilt about y mixes no rows, so that a method that fits an object predicts a band of rows as it does whole frames.
"""

from dataclasses import replace

import numpy as np

from .large_series import is_large
from .tilt_series import TiltSeries

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
