"""Which series are large: predictions of them are made with little memory, and judged by a band of their rows."""

import numpy as np

LARGE_px = 4_000_000  # in all frames together; those of the book are smaller, and so are handled whole
WIDE_px = 128  # frames up to this width never count as large


def is_large(frames: np.ndarray) -> bool:
    """Whether frames (n, n_y, n_x) are too many or too big for copies in double precision, and for several of them."""
    return frames.shape[2] > WIDE_px and frames.size > LARGE_px
