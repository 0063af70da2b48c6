"""Angular sparsity: which frames of a series count as measured and which are to be predicted."""

import numpy as np

from .errors import TsgError

MAX_GAP = 12  # the paper's largest gap and rate


def sparse_indices(n: int, *, gap: int, offset: int = 0) -> np.ndarray:
    """Ascending indices of the measured frames F_g^(o) = {f_i : i = o (mod g)} of a series of n frames.

    A gap of 1 keeps the full series. Raises TsgError for a gap outside 1..12, an offset outside 0..gap-1, or fewer than
    two measured frames.
    """
    _check_integer("gap", gap, 1, MAX_GAP)
    _check_integer("offset", offset, 0, gap - 1)
    indices = np.arange(offset, n, gap)
    if len(indices) < 2:
        raise TsgError(f"gap={gap}, offset={offset} leaves {len(indices)} of {n} frames; at least two must be measured")
    return indices


def midpoint_trios(n: int, *, rate: int, offset: int | None = None) -> np.ndarray:
    """Trios (n_trio, 3) of indices (i, i + r, i + 2r): the outer frames are measured, the middle one is predicted.

    This is the protocol of Table 1 and Fig. 2 of the paper. `offset=None` gives every trio of the series. An offset in
    0..2r-1 gives the trios of one sparse series, whose measured frames start at the offset and follow every 2r.
    Raises TsgError for a rate outside 1..12, an offset outside 0..2r-1, or a series too short for one trio.
    """
    _check_integer("rate", rate, 1, MAX_GAP)
    if offset is None:
        first = np.arange(n - 2 * rate)
    else:
        _check_integer("offset", offset, 0, 2 * rate - 1)
        first = np.arange(offset, n - 2 * rate, 2 * rate)
    if len(first) == 0:
        raise TsgError(f"rate={rate} needs at least {2 * rate + 1 + (offset or 0)} frames; the series has {n}")
    return first[:, None] + rate * np.arange(3)


def _check_integer(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not low <= value <= high:
        raise TsgError(f"{name}={value} must be a whole number from {low} to {high}")
