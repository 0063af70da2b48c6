"""TSGNet: the network, its file format, and the weights shipped with the package."""

from .network import (
    PUBLISHED_CHANNELS,
    SMALL_CHANNELS,
    STRIDE,
    TSGNet,
    displacement_px,
    pad_to_stride,
    pair_mean,
    warp,
)

__all__ = [
    "PUBLISHED_CHANNELS",
    "SMALL_CHANNELS",
    "STRIDE",
    "TSGNet",
    "displacement_px",
    "pad_to_stride",
    "pair_mean",
    "warp",
]
