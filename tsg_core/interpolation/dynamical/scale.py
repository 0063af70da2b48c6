"""What brings computed frames to the scale of measured ones: a gain, an offset and a blur."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn, idctn

BLURS_A = (0.0, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # sigma: source size, vibration, drift
LEAST_GAIN = 0.01  # of the misfit, for which a blur is worth having


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Measured frames are `gain` times computed ones, blurred by a Gaussian of `blur_A` (sigma), plus `offset`."""

    gain: float
    offset: float
    blur_A: float

    def __call__(self, frames: np.ndarray, *, pixel_size_A: float) -> np.ndarray:
        return (self.gain * _blurred(frames, self.blur_A / pixel_size_A) + self.offset).astype(np.float32)


def fitted_scale(computed: np.ndarray, measured: np.ndarray, *, pixel_size_A: float) -> Scale:
    """The scale of the least squared difference between frames (n, n_y, n_x)."""
    best, least = None, np.inf
    for blur_A in BLURS_A:
        x, y = _blurred(computed, blur_A / pixel_size_A).ravel().astype(float), measured.ravel().astype(float)
        variance = x.var()
        gain = float(((x - x.mean()) * (y - y.mean())).mean() / variance) if variance > 0 else 1.0
        offset = float(y.mean() - gain * x.mean())
        misfit = float(np.mean((y - gain * x - offset) ** 2))
        if best is None or misfit < (1 - LEAST_GAIN) * least:
            best, least = Scale(gain=gain, offset=offset, blur_A=blur_A), misfit
    return best


def _blurred(frames: np.ndarray, sigma_px: float) -> np.ndarray:
    if sigma_px == 0:
        return frames
    k2_y, k2_x = ((np.arange(n) / (2 * n)) ** 2 for n in frames.shape[1:])
    spectrum = dctn(frames, axes=(1, 2), norm="ortho")
    return idctn(spectrum * np.exp(-2 * (np.pi * sigma_px) ** 2 * (k2_y[:, None] + k2_x)), axes=(1, 2), norm="ortho")
