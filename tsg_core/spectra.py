"""What a frame holds at each spatial frequency."""

import numpy as np


def radial_power_spectrum(frame: np.ndarray, *, pixel_size_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Spatial frequencies k (n,) in 1/angstrom and the mean power |F(k)|^2 (n,) on rings one frequency step wide.

    The frame's mean is subtracted; power is that of the orthonormal transform, so that its sum over all frequencies is
    the sum of the squared pixels. Rings reach to the pixels' Nyquist frequency.
    """
    frame = np.asarray(frame, float)
    power = np.abs(np.fft.fft2(frame - frame.mean(), norm="ortho")) ** 2
    k_y, k_x = (np.fft.fftfreq(n, pixel_size_A) for n in frame.shape)
    step = 1 / (max(frame.shape) * pixel_size_A)
    ring = np.rint(np.hypot(k_y[:, None], k_x) / step).astype(int)
    n = max(frame.shape) // 2 + 1
    total = np.bincount(ring.ravel(), weights=power.ravel())[:n]
    return np.arange(n) * step, total / np.maximum(np.bincount(ring.ravel())[:n], 1)
