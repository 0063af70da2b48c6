"""Frames of atoms that know how they change with the atoms: a differentiable renderer, linear in atoms times frames.

Each atom is put onto a fine grid with a compact window, a Fourier transform and a division by the window's own
transform make its exponentials of it (a non-uniform fast Fourier transform), and the probe's transfer function makes
the frame. Only a few grid points of an atom are touched, whatever the size of the frame and of the probe.

The probe's focus lies on the tilt axis, so that its transfer function depends on an atom's depth. That dependence is a
sum of a few Chebyshev polynomials of the depth, each with a transfer function of its own: the `channels`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ...microscope import Microscope
from ...optics.pixels import PaddedFrame
from ...optics.probe import probe_radius_A, transfer_function

WINDOW_PX = 6  # grid points that an atom touches, along each axis
OVERSAMPLING = 1.3  # of the fine grid, beyond the band's own sampling
NEGLIGIBLE = 2e-3  # of an image: frequencies beyond the band that holds all but this are left out
CHANNEL = 5e-3  # of the first channel: smaller ones are left out
LEAST_SIGMA_A = 0.1  # atoms are never sharper, besides the probe
LEAST_PROBE_SIGMA_A = 0.3  # of a probe that is nothing but a Gaussian
N_DEPTHS = 9  # at which the probe is computed
PROBE_FRACTION = 0.99  # of the probe that must not wrap round
DETAIL_A = 1.5  # sigma of the blur that atoms are told from; half-way between neighbours


def detail(frames: np.ndarray, *, pixel_size_A: float) -> np.ndarray:
    """Frames (n, n_y, n_x) less their own blur: what is as narrow as atoms are.

    The tails of a wide probe overlap with all other atoms; what they hold says little about any one.
    """
    sigma_px = DETAIL_A / pixel_size_A
    return frames - gaussian_filter(frames, (0, sigma_px, sigma_px))


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomRenderer:
    """Frames (n_tilt, n_y, n_x) of atoms that are all blurred alike.

    shape         (n_y, n_x) of a frame
    pixel_size_A  edge of a pixel, over which the image is averaged
    microscope    whose probe blurs; None leaves nothing but the Gaussian of `sigma_A`
    depth_A       largest distance of an atom from the tilt axis along the beam; 0 leaves the focus the same for all
    device        of PyTorch

    The Gaussian is never narrower than 0.1 A, or 0.3 A where it is the whole probe: smaller ones count as these.
    """

    shape: tuple[int, int]
    pixel_size_A: float
    microscope: Microscope | None = None
    depth_A: float = 0.0
    device: str = "cpu"

    def __call__(
        self,
        columns_A: Tensor,
        rows_A: Tensor,
        depths_A: Tensor,
        weights: Tensor,
        sigma_A: Tensor,
    ) -> Tensor:
        """Frames (n_tilt, n_y, n_x); a lone atom of weight 1 would sum up to 1 over an infinite frame.

        Columns, rows, depths and weights have, or broadcast to, (n_tilt, n_atoms), and `sigma_A` is one number.
        """
        grids = self._spread(columns_A, rows_A, self._parts(depths_A) * weights[..., None])
        sigma_A = sigma_A.double().clamp(min=self.least_sigma_A)
        blur = torch.exp(-2 * (torch.pi * sigma_A) ** 2 * self._k2).to(grids.dtype)
        spectrum = (_Spectrum.apply(grids, self.band) * self._transfers).sum(1) * blur
        return torch.func.vmap(self.frame.image)(spectrum)

    @property
    def least_sigma_A(self) -> float:
        return LEAST_SIGMA_A if self.microscope else LEAST_PROBE_SIGMA_A

    @cached_property
    def frame(self) -> PaddedFrame:
        padding_A = 4.0
        if self.microscope is not None:
            radius_A = probe_radius_A(self.microscope, fraction=PROBE_FRACTION)
            padding_A = max(radius_A, 2 * radius_A - min(self.shape) * self.pixel_size_A)
        return PaddedFrame(shape=tuple(self.shape), pixel_size_A=self.pixel_size_A, padding_A=padding_A)

    @cached_property
    def band(self) -> tuple[int, int]:
        """Last frequencies (m_y, m_x), in units of 1 / extent, that matter."""
        return self._probes.shape[1] // 2, self._probes.shape[2] - 1

    def values_per_tilt(self, n_atoms: int) -> int:
        """Numbers that one frame of so many atoms keeps in memory, about."""
        n_channels = len(self._channels)
        return 3 * n_channels * (int(np.prod(self._grid)) + n_atoms * WINDOW_PX**2)

    @cached_property
    def _k2(self) -> Tensor:
        k_y, k_x = self.frame.frequencies(self.band, device=self.device)
        return k_y[:, None] ** 2 + k_x**2

    @cached_property
    def _probes(self) -> Tensor:
        """Transfer functions (n_channels, 2 m_y + 1, m_x + 1) of the Chebyshev polynomials, cut where they vanish."""
        extent_A = self.frame.extent_A
        if self.microscope is None:
            edge = np.sqrt(-np.log(NEGLIGIBLE) / 2) / (np.pi * LEAST_PROBE_SIGMA_A)
            m_y, m_x = (int(edge * extent) for extent in extent_A)
            return torch.ones((1, 2 * m_y + 1, m_x + 1), dtype=torch.float64)
        nodes = np.cos(np.pi * (np.arange(N_DEPTHS) + 0.5) / N_DEPTHS) if self.depth_A else np.zeros(1)
        focused = (replace(self.microscope, defocus_A=self.microscope.defocus_A + self.depth_A * z) for z in nodes)
        probes = np.stack([transfer_function(m, extent_A=extent_A) for m in focused])
        fit = np.linalg.inv(np.polynomial.chebyshev.chebvander(nodes, len(nodes) - 1))
        probes = np.tensordot(fit, probes, axes=1)
        m_y, m_x = probes.shape[1] // 2, probes.shape[2] - 1
        k_y, k_x = (np.arange(m + 1) / extent for m, extent in zip((m_y, m_x), extent_A, strict=True))
        kept = []
        for k, line in ((k_y, probes[:, m_y:, 0]), (k_x, probes[:, m_y, :])):
            own = np.sinc(k * self.pixel_size_A) * np.exp(-2 * (np.pi * LEAST_SIGMA_A * k) ** 2)
            within = np.cumsum(np.abs(line * own).sum(0) * k)
            kept.append(int(np.searchsorted(within, (1 - NEGLIGIBLE) * within[-1])))
        return torch.from_numpy(probes[:, m_y - kept[0] : m_y + kept[0] + 1, : kept[1] + 1].astype(np.float64))

    @cached_property
    def _channels(self) -> list[int]:
        """Orders of the polynomials that matter."""
        weight = self._probes.abs().sum(dim=(1, 2)).numpy()
        return [0, *(np.flatnonzero(weight[1:] > CHANNEL * weight[0]) + 1).tolist()]

    def _parts(self, depths_A: Tensor) -> Tensor:
        """Values (n_tilt, n_atoms, n_channels) of the polynomials at the depths."""
        z = depths_A / self.depth_A if self.depth_A else torch.zeros_like(depths_A)
        polynomials = [torch.ones_like(z), z]
        for _ in range(2, self._channels[-1] + 1):
            polynomials.append(2 * z * polynomials[-1] - polynomials[-2])
        return torch.stack([polynomials[order] for order in self._channels], dim=-1)

    @cached_property
    def _grid(self) -> tuple[int, int]:
        return tuple(next_fast_len(int(np.ceil(2 * OVERSAMPLING * m)) + WINDOW_PX, real=True) for m in self.band)

    @cached_property
    def _transfers(self) -> Tensor:
        """What the channels' grids are multiplied by: the probe, the pixels, one over the window."""
        k_y, k_x = self.frame.frequencies(self.band)
        window_y, window_x = (
            _window_transfer(k * extent / n)
            for k, extent, n in zip((k_y, k_x), self.frame.extent_A, self._grid, strict=True)
        )
        own = self.frame.pixel_transfer(k_y, k_x) / (window_y[:, None] * window_x)
        return (self._probes[self._channels] * own).to(torch.float32).to(self.device)

    def _spread(self, columns_A: Tensor, rows_A: Tensor, weights: Tensor) -> Tensor:
        """Grids (n_tilt, n_channels, grid_y, grid_x) of atoms with weights (n_tilt, n_atoms, n_channels)."""
        n_tilt, _, n_channels = weights.shape
        (along_y, y), (along_x, x) = (self._window(places_A, axis) for axis, places_A in enumerate((rows_A, columns_A)))
        grid_y, grid_x = self._grid
        place = (y[..., :, None] * grid_x + x[..., None, :]).expand(n_tilt, -1, -1, -1)
        value = along_y[..., :, None] * along_x[..., None, :]
        place = place + grid_y * grid_x * torch.arange(n_tilt, device=place.device)[:, None, None, None]
        grids = [
            torch.zeros(n_tilt * grid_y * grid_x, device=value.device, dtype=value.dtype).index_add(
                0, place.reshape(-1), (value * weights[..., c, None, None]).reshape(-1)
            )
            for c in range(n_channels)
        ]
        return torch.stack([grid.reshape(n_tilt, grid_y, grid_x) for grid in grids], dim=1)

    def _window(self, places_A: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Values (..., WINDOW_PX) of the window at the grid points around each place, and their indices."""
        n, extent_A = self._grid[axis], self.frame.extent_A[axis]
        place = (places_A + self.frame.middle_A[axis]) * (n / extent_A)
        first = torch.ceil(place.detach() - WINDOW_PX / 2)
        points = first[..., None] + torch.arange(WINDOW_PX, device=place.device)
        return _window(points - place[..., None]), points.long() % n


class _Spectrum(torch.autograd.Function):
    """Frequencies (..., 2 m_y + 1, m_x + 1) of real grids; its gradient is one real transform as well."""

    @staticmethod
    def forward(ctx, grids: Tensor, band: tuple[int, int]) -> Tensor:
        ctx.band, ctx.shape = band, grids.shape
        along_y = torch.fft.fft(torch.fft.rfft(grids)[..., : band[1] + 1], dim=-2)
        return torch.cat([along_y[..., -band[0] :, :], along_y[..., : band[0] + 1, :]], dim=-2)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (m_y, m_x), (n_y, n_x) = ctx.band, ctx.shape[-2:]
        whole = gradient.new_zeros((*ctx.shape[:-2], n_y, m_x + 1))
        whole[..., : m_y + 1, :], whole[..., -m_y:, :] = (
            gradient[..., m_y:, :],
            gradient[..., :m_y, :],
        )
        along_y = torch.fft.ifft(whole, dim=-2) * (n_y * n_x / 2)
        along_y[..., 0] *= 2  # the inverse counts all other columns twice
        return torch.fft.irfft(along_y, n=n_x), None


def _window(distance_px: Tensor) -> Tensor:
    """Exponential of a semicircle (Barnett, Magland and af Klinteberg, SIAM J. Sci. Comput. 41, C479, 2019)."""
    inside = (1 - (2 * distance_px / WINDOW_PX) ** 2).clamp(min=1e-4)
    return torch.exp(_STEEPNESS * (inside.sqrt() - 1))


_STEEPNESS = 0.97 * np.pi * WINDOW_PX * (1 - 0.5 / OVERSAMPLING)


def _window_transfer(frequency: Tensor) -> Tensor:
    """Fourier transform of the window at frequencies in cycles a grid point."""
    nodes, shares = np.polynomial.legendre.leggauss(64)
    place = torch.from_numpy(nodes) * WINDOW_PX / 2
    values = torch.from_numpy(shares) * WINDOW_PX / 2 * _window(place)
    return torch.cos(2 * torch.pi * frequency[:, None] * place) @ values
