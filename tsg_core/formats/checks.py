"""What a microscopist would want to be told of a frame before using it."""

import numpy as np

_SATURATED_SHARE = 1e-3
_BRIGHTEST = {2**bits - 1 for bits in range(7, 33)}  # of detectors of so many bits


def conspicuous(frame: np.ndarray) -> str:
    """What is wrong with a frame in the file's own numbers, the end of a sentence; empty where nothing is.

    Constant frames (beam off, shutter closed) and saturated ones: more than a thousandth of the pixels at the greatest
    number that the file's type, or a detector of fewer bits, can hold.
    """
    brightest = frame.max()
    if frame.min() == brightest:
        return f"is constant ({brightest:g})"
    if frame.dtype.kind in "iu" and int(brightest) in _BRIGHTEST:
        share = np.count_nonzero(frame == brightest) / frame.size
        if share > _SATURATED_SHARE:
            return f"is saturated: {100 * share:.1f} % of its pixels stand at {brightest}"
    return ""
