"""What of the differences between frames and a model counts: each spatial frequency as much as the rest is quiet there.

What a model misses is seldom white. Under a wide probe it is mostly the halo, which changes with every diffracted beam
and says nothing about where atoms are; the fine detail that does is a thousand times weaker, and a plain sum of squares
sees none of it. Least squares with the inverse of the noise's covariance as weight are the best linear estimate (Aitken,
Proc. R. Soc. Edinburgh 55, 42, 1935). Here the covariance is taken for diagonal in the cosine transform of a frame, whose
edges leave no trace in the spectrum, and for the same at all frequencies of one magnitude.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

BANDS = np.geomspace(0.012, 0.72, 16)  # edges of the bands in cycles a pixel
LEAST_POWER = 1e-12  # of the frames' strongest band: what rounding leaves


@dataclass(frozen=True, kw_only=True, eq=False)
class Whitening:
    """The inverse root of the residuals' power at every frequency (n_y, n_x), on average 1 in squares.

    Frames are tensors (..., n_y, n_x).
    """

    inverse_root: Tensor

    @classmethod
    def of(cls, residuals: Tensor, frames: Tensor, *, part: float = 1.0) -> "Whitening":
        """From what a model misses in `frames`, both (n_tilt, n_y, n_x).

        `part` of it in decibels: 0 is plain least squares, which finds its way from afar, 1 the best estimate from near.
        """
        shape = tuple(frames.shape[1:])
        plain, bands = cls(inverse_root=torch.ones(shape, device=frames.device)), _bands(shape)
        missed, whole = (_band_means(plain.coefficients(a).square().mean(dim=0).cpu().numpy(), bands)
                         for a in (residuals, frames))  # fmt: skip
        power = np.maximum(missed, LEAST_POWER * whole.max() + np.finfo(np.float32).tiny)
        inverse_root = power[bands] ** (-part / 2)
        inverse_root /= np.sqrt(np.mean(inverse_root**2))
        return cls(inverse_root=torch.from_numpy(inverse_root.astype(np.float32)).to(frames.device))

    def coefficients(self, frames: Tensor) -> Tensor:
        """Cosine coefficients of frames, whitened: the sum of their squares is the misfit that counts."""
        along_y, along_x = self._cosines
        return self.inverse_root * (along_y @ frames @ along_x.T)

    def weighted(self, frames: Tensor) -> Tensor:
        """Frames whose product with others is that of the two frames' whitened coefficients."""
        along_y, along_x = self._cosines
        return along_y.T @ (self.inverse_root * self.coefficients(frames)) @ along_x

    def energy(self, frames: Tensor) -> float:
        """Sum of squares of the whitened coefficients."""
        return float(self.coefficients(frames).square().sum(dtype=torch.float64))

    @cached_property
    def _cosines(self) -> tuple[Tensor, Tensor]:
        device = self.inverse_root.device
        return tuple(
            torch.from_numpy(dct(np.eye(n), axis=0, norm="ortho").astype(np.float32)).to(device)
            for n in self.inverse_root.shape
        )


def _bands(shape: tuple[int, int]) -> np.ndarray:
    """(n_y, n_x): which of the bands that a frame of this shape has a frequency of its cosine transform lies in."""
    cycles_per_px = np.hypot(*np.meshgrid(*(np.arange(n) / (2 * n) for n in shape), indexing="ij"))
    return np.unique(np.digitize(cycles_per_px, BANDS), return_inverse=True)[1].reshape(shape)


def _band_means(values: np.ndarray, bands: np.ndarray) -> np.ndarray:
    return np.bincount(bands.ravel(), values.ravel().astype(np.float64)) / np.bincount(bands.ravel())
