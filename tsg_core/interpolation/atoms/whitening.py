"""Weights for the differences between frames and a model: the quieter the residuals at a frequency, the more it counts.

What a model misses is seldom white. Under a wide probe it is mostly the halo, which changes with every diffracted beam
and says nothing about the places of atoms. The fine detail that does is a thousand times weaker, and a plain sum of
squares ignores it. The best linear estimate is least squares weighted by the inverse covariance of the noise (Aitken,
Proc. R. Soc. Edinburgh 55, 42, 1935). Here the covariance is assumed to be diagonal in the cosine transform of a frame,
in whose spectrum edges leave no trace, and equal at all frequencies of one magnitude.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

BANDS = np.geomspace(0.012, 0.72, 16)  # edges of the bands in cycles per pixel
LEAST_POWER = 1e-12  # relative to the frames' strongest band: the level of rounding errors


@dataclass(frozen=True, kw_only=True, eq=False)
class Whitening:
    """The inverse root of the power of the residuals at every frequency (n_y, n_x); the mean of its squares is 1.

    Frames are tensors (..., n_y, n_x).
    """

    inverse_root: Tensor

    @classmethod
    def of(cls, residuals: Tensor, frames: Tensor, *, part: float = 1.0) -> "Whitening":
        """The whitening for the residuals of a model and its `frames`, both (n_tilt, n_y, n_x).

        `part` scales it in decibels: 0 is plain least squares, which converges from afar; 1 is the best estimate
        nearby.
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
        """Whitened cosine coefficients of frames; the sum of their squares is the misfit."""
        along_y, along_x = self._cosines
        return self.inverse_root * (along_y @ frames @ along_x.T)

    def weighted(self, frames: Tensor) -> Tensor:
        """Frames whose scalar product with other frames is that of the whitened coefficients of both."""
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
    """(n_y, n_x): the band of each frequency of the cosine transform, among those that a frame of this shape has."""
    cycles_per_px = np.hypot(*np.meshgrid(*(np.arange(n) / (2 * n) for n in shape), indexing="ij"))
    return np.unique(np.digitize(cycles_per_px, BANDS), return_inverse=True)[1].reshape(shape)


def _band_means(values: np.ndarray, bands: np.ndarray) -> np.ndarray:
    return np.bincount(bands.ravel(), values.ravel().astype(np.float64)) / np.bincount(bands.ravel())
