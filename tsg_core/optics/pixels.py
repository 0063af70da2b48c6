"""From the spectrum of an image in a periodic box to the pixels of a frame."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import next_fast_len


@dataclass(frozen=True, kw_only=True)
class PaddedFrame:
    """A frame of `shape` (n_y, n_x) inside a periodic box that is `padding_A` larger, rounded up to whole pixels.

    The value of a pixel is the mean of the image over its area, as a probe that sweeps the pixel records it. This mean
    is never negative, and the sum over pixels preserves the total intensity however coarse the pixels are.
    """

    shape: tuple[int, int]
    pixel_size_A: float
    padding_A: float

    @property
    def padded(self) -> tuple[int, int]:
        return tuple(next_fast_len(n + int(np.ceil(self.padding_A / self.pixel_size_A)), real=True) for n in self.shape)

    @property
    def extent_A(self) -> tuple[float, float]:
        """Edges (y, x) of the periodic box."""
        n_y, n_x = self.padded
        return n_y * self.pixel_size_A, n_x * self.pixel_size_A

    @property
    def middle_A(self) -> tuple[float, float]:
        """Position (y, x) of the tilt axis, measured from the centre of pixel (0, 0)."""
        n_y, n_x = self.shape
        return (n_y - 1) / 2 * self.pixel_size_A, (n_x - 1) / 2 * self.pixel_size_A

    def frequencies(self, band: tuple[int, int], *, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """k_y (2 m_y + 1,) from -m_y to m_y and k_x (m_x + 1,) from 0 to m_x in 1/angstrom, in double precision."""
        k_y = torch.arange(-band[0], band[0] + 1, dtype=torch.float64, device=device) / self.extent_A[0]
        return k_y, torch.arange(band[1] + 1, dtype=torch.float64, device=device) / self.extent_A[1]

    def pixel_transfer(self, k_y: torch.Tensor, k_x: torch.Tensor) -> torch.Tensor:
        """Transfer of the mean over a pixel, for the components that `image` takes; doubled for each pair k, -k."""
        pairs = 2.0 - (k_x == 0).to(k_x.dtype)
        return torch.sinc(k_y * self.pixel_size_A)[:, None] * torch.sinc(k_x * self.pixel_size_A) * pairs

    def image(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Frame (n_y, n_x) of a spectrum (2 m_y + 1, m_x + 1), times `pixel_transfer`, with origin at pixel (0, 0)."""
        m_y = spectrum.shape[0] // 2
        folded = torch.roll(_fold(spectrum, self.padded[0]), -m_y, dims=0)
        folded = _fold(folded.T, self.padded[1]).T
        return torch.fft.ifft2(folded).real[: self.shape[0], : self.shape[1]]


def _fold(spectrum: torch.Tensor, n: int) -> torch.Tensor:
    """Add rows that lie n apart: n samples cannot tell their frequencies apart."""
    repeats = -(-len(spectrum) // n)
    whole = torch.nn.functional.pad(spectrum, (0, 0, 0, repeats * n - len(spectrum)))
    return whole.reshape(repeats, n, -1).sum(0)
