"""A differentiable renderer of atoms, whose cost is linear in the numbers of atoms and frames.

A compact window puts each atom onto a fine grid. A Fourier transform and a division by the transform of the window turn
this into the atom's exponentials (a non-uniform fast Fourier transform); the transfer function of the probe turns these
into the frame. Each atom touches only a few grid points, whatever the size of the frame and of the probe.

The focus of the probe lies on the tilt axis, so its transfer function depends on the depth of an atom. This dependence
is a sum of a few Chebyshev polynomials of the depth, each with its own transfer function: the `channels`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ...geometry import rotate_about_y
from ...microscope import Microscope
from ...optics.pixels import PaddedFrame
from ...optics.probe import probe_radius_A, transfer_function

WINDOW_PX = 6  # grid points that an atom touches, along each axis
OVERSAMPLING = 1.3  # of the fine grid, relative to the sampling of the band
NEGLIGIBLE = 2e-3  # fraction of an image lost by cutting frequencies beyond the band
CHANNEL = 5e-3  # relative to the first channel; smaller ones are left out
LEAST_SIGMA_A = 0.1  # lower limit of the atoms' width, in addition to the probe
LEAST_PROBE_SIGMA_A = 0.3  # lower limit for a probe that is only a Gaussian
N_DEPTHS = 9  # at which the probe is computed
PROBE_FRACTION = 0.99  # of the probe must not wrap round
DETAIL_A = 1.5  # sigma of the blur that separates atoms from the rest; half-way between neighbours


def detail(frames: np.ndarray, *, pixel_size_A: float) -> np.ndarray:
    """Frames (n, n_y, n_x) minus their own blur: detail as narrow as atoms.

    The tails of a wide probe overlap with all other atoms and say little about any single one.
    """
    sigma_px = DETAIL_A / pixel_size_A
    return frames - gaussian_filter(frames, (0, sigma_px, sigma_px))


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomRenderer:
    """Frames (n_tilt, n_y, n_x) of atoms that are all blurred alike.

    shape         (n_y, n_x) of a frame
    pixel_size_A  edge of a pixel, over which the image is averaged
    microscope    whose probe blurs the atoms; with None only the Gaussian of `sigma_A` does
    depth_A       largest distance of an atom from the tilt axis along the beam; 0 means the same focus for all
    extended      whether atoms may lie outside the frame; those whose probe does not reach it are not drawn
    device        PyTorch device

    The Gaussian is at least 0.1 A wide, or 0.3 A if it is the whole probe; smaller values count as these.
    """

    shape: tuple[int, int]
    pixel_size_A: float
    microscope: Microscope | None = None
    depth_A: float = 0.0
    extended: bool = False
    device: str = "cpu"

    def __call__(
        self,
        columns_A: Tensor,
        rows_A: Tensor,
        depths_A: Tensor,
        weights: Tensor,
        sigma_A: Tensor,
    ) -> Tensor:
        """Frames (n_tilt, n_y, n_x); a single atom of weight 1 would sum to 1 over an infinite frame.

        Columns, rows, depths and weights have, or broadcast to, the shape (n_tilt, n_atoms); `sigma_A` is one number.
        """
        grids = self._spread(columns_A, rows_A, self._parts(depths_A) * weights[..., None])
        sigma_A = sigma_A.double().clamp(min=self.least_sigma_A)
        blur = torch.exp(-2 * (torch.pi * sigma_A) ** 2 * self._k2).to(grids.dtype)
        spectrum = (_Spectrum.apply(grids, self.band) * self._transfers).sum(1) * blur
        return torch.func.vmap(self.frame.image)(spectrum)

    def seen(self, positions_A: np.ndarray, *, tilt_deg: np.ndarray) -> tuple[np.ndarray, float]:
        """Whether each frame shows the middle of each atom (n_tilt, n_atoms), and the depth that those reach at most.

        All frames show all atoms unless these may lie outside; an object is then as deep as it is far from the axis.
        """
        x, y, z = positions_A.T
        if not self.extended:
            return np.ones((len(tilt_deg), len(x)), bool), float(np.hypot(x, z).max(initial=0.0))
        tilt_rad = np.deg2rad(tilt_deg)[:, None]
        columns_A, depths_A = rotate_about_y(x, z, np.cos(tilt_rad), np.sin(tilt_rad))
        n_y, n_x = self.shape
        edge_y_A, edge_x_A = n_y * self.pixel_size_A / 2, n_x * self.pixel_size_A / 2
        seen = (np.abs(columns_A) <= edge_x_A) & (np.abs(y) <= edge_y_A)
        return seen, float(np.abs(depths_A[seen]).max(initial=0.0))

    @property
    def least_sigma_A(self) -> float:
        return LEAST_SIGMA_A if self.microscope else LEAST_PROBE_SIGMA_A

    @cached_property
    def frame(self) -> PaddedFrame:
        padding_A = 4.0
        if self.microscope is not None:
            radius_A = probe_radius_A(self.microscope, fraction=PROBE_FRACTION)
            padding_A = max(radius_A, 2 * radius_A - min(self.shape) * self.pixel_size_A)
            if self.extended:
                padding_A = 2 * radius_A  # the probe of an atom outside one side must not reach the other
        return PaddedFrame(shape=tuple(self.shape), pixel_size_A=self.pixel_size_A, padding_A=padding_A)

    @cached_property
    def band(self) -> tuple[int, int]:
        """Last frequencies (m_y, m_x), in units of 1 / extent, that matter."""
        return self._probes.shape[1] // 2, self._probes.shape[2] - 1

    def values_per_tilt(self, n_atoms: int) -> int:
        """Approximate number of values that one frame of so many atoms keeps in memory."""
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
        """Factors for the grids of the channels: the probe, the pixels, the inverse of the window."""
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
        tilt = torch.arange(n_tilt, device=weights.device)[:, None]
        if self.extended:
            rows_A, columns_A = torch.broadcast_tensors(rows_A, columns_A)
            tilt, atom = torch.nonzero(self._drawn(rows_A, columns_A), as_tuple=True)
            rows_A, columns_A, weights = rows_A[tilt, atom], columns_A[tilt, atom], weights[tilt, atom]
        (along_y, y), (along_x, x) = (self._window(places_A, axis) for axis, places_A in enumerate((rows_A, columns_A)))
        grid_y, grid_x = self._grid
        place = y[..., :, None] * grid_x + x[..., None, :]
        value = along_y[..., :, None] * along_x[..., None, :]
        place = place + grid_y * grid_x * tilt[..., None, None]
        grids = [
            torch.zeros(n_tilt * grid_y * grid_x, device=value.device, dtype=value.dtype).index_add(
                0, place.reshape(-1), (value * weights[..., c, None, None]).reshape(-1)
            )
            for c in range(n_channels)
        ]
        return torch.stack([grid.reshape(n_tilt, grid_y, grid_x) for grid in grids], dim=1)

    def _drawn(self, rows_A: Tensor, columns_A: Tensor) -> Tensor:
        """Whether places (...) lie in the half of the periodic box's margin that is next to the frame."""
        edge_y_A, edge_x_A = self.frame.extent_A
        return (rows_A.abs() < edge_y_A / 2) & (columns_A.abs() < edge_x_A / 2)

    def _window(self, places_A: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Values (..., WINDOW_PX) of the window at the grid points around each place, and indices of these points."""
        n, extent_A = self._grid[axis], self.frame.extent_A[axis]
        place = (places_A + self.frame.middle_A[axis]) * (n / extent_A)
        first = torch.ceil(place.detach() - WINDOW_PX / 2)
        points = first[..., None] + torch.arange(WINDOW_PX, device=place.device)
        return _window(points - place[..., None]), points.long() % n


class _Spectrum(torch.autograd.Function):
    """Frequencies (..., 2 m_y + 1, m_x + 1) of real grids; the gradient also takes one real transform."""

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
    """Fourier transform of the window at frequencies in cycles per grid point."""
    nodes, shares = np.polynomial.legendre.leggauss(64)
    place = torch.from_numpy(nodes) * WINDOW_PX / 2
    values = torch.from_numpy(shares) * WINDOW_PX / 2 * _window(place)
    return torch.cos(2 * torch.pi * frequency[:, None] * place) @ values
