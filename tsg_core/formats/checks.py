"""What a microscopist would want to know about a frame before using it."""

import numpy as np

_SATURATED_SHARE, _SATURATED_PIXELS = 1e-3, 10  # fewer are hot pixels
_BRIGHTEST = {2**bits - 1 for bits in range(7, 33)}  # of detectors of so many bits


def conspicuous(frame: np.ndarray) -> str:
    """What is wrong with a frame in the file's own numbers, as the end of a sentence; empty if nothing is.

    Constant frames (beam off, shutter closed) and saturated ones: ten pixels or more, and a thousandth of them all, at
    the greatest number that the file's type, or a detector of fewer bits, can hold.
    """
    brightest = frame.max()
    if frame.min() == brightest:
        return f"is constant ({brightest:g})"
    if frame.dtype.kind in "iu" and int(brightest) in _BRIGHTEST:
        count = np.count_nonzero(frame == brightest)
        if count >= max(_SATURATED_PIXELS, _SATURATED_SHARE * frame.size):
            return f"is saturated: {100 * count / frame.size:.1f} % of its pixels stand at {brightest}"
    return ""
