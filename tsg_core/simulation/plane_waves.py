"""Plane waves through a specimen, slice by slice, and what the detector sees of each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from scipy.fft import next_fast_len

from ..microscope import Microscope
from .specimen import ALIAS_FREE, tilted_cell

_CACHE_BYTES = 2e6  # of waves in one batch on a CPU: transforms that leave the cache take three times as long
_GPU_BYTES = 5e8  # of waves in one batch on a GPU, which needs many


@dataclass(frozen=True, eq=False, kw_only=True)
class Slices:
    """A specimen in a periodic box, cut into slices across the beam, without slices of vacuum; tilt axis in the middle.

    transmission  (n_slice, n_y, n_x) complex64
    distances_A   (n_slice,) from the slice before to each slice, and from the upper face to the first
    extent_A      edges (y, x) of the box
    thickness_A   of the box along the beam
    """

    transmission: torch.Tensor
    distances_A: np.ndarray
    extent_A: tuple[float, float]
    thickness_A: float
    wavelength_A: float

    @property
    def gpts(self) -> tuple[int, int]:
        return tuple(self.transmission.shape[1:])

    def angles_mrad(self) -> np.ndarray:
        """Scattering angle (n_y, n_x) of the grid's frequencies, in the order of the fast Fourier transform."""
        k_y, k_x = (np.fft.fftfreq(n, extent / n) for n, extent in zip(self.gpts, self.extent_A, strict=True))
        return np.hypot(k_y[:, None], k_x) * self.wavelength_A * 1e3


def fast_gpts(extent_A: float, *, sampling_A: float) -> int:
    """Number of grid points, with at most this spacing, for fast transforms: a multiple of 4 with small factors."""
    return 4 * next_fast_len(int(np.ceil(extent_A / sampling_A / 4 - 1e-6)))


def specimen_slices(
    atoms: Atoms,
    *,
    microscope: Microscope,
    tilt_deg: float,
    extent_A: tuple[float, float],
    sampling_A: float,
    slice_thickness_A: float,
    parametrization: str,
    antialias: bool,
    device: str | torch.device = "cpu",
) -> Slices:
    """abTEM's slices of the tilted atoms in a box (y, x), on a grid of at most `sampling_A`.

    `antialias` limits them to two thirds of the grid's band, like abTEM, so that their products with waves of the same
    band contain no aliases. Without it, a coarse grid keeps scattering beyond that angle: frames at 0.1 A are then half
    as far from those at 0.05 A.
    """
    import abtem  # here, since its import compiles for seconds

    n_y, n_x = (fast_gpts(extent, sampling_A=sampling_A) for extent in extent_A)
    cell = tilted_cell(atoms, tilt_deg=tilt_deg, extent_A=extent_A)
    with abtem.config.set({"diagnostics.progress_bar": False}):
        options = {"gpts": (n_x, n_y), "slice_thickness": slice_thickness_A, "parametrization": parametrization}
        potential = abtem.Potential(cell, **options).build(lazy=False)
        transmission = potential.transmission_function(energy=microscope.energy_keV * 1e3).array
    depths_A = np.cumsum([0.0, *potential.slice_thickness])
    filled = np.flatnonzero([(np.asarray(slab) != 0).any() for slab in potential.array])
    transmission = torch.as_tensor(
        np.ascontiguousarray(np.asarray(transmission)[filled].swapaxes(1, 2)), dtype=torch.complex64, device=device
    )
    slices = Slices(
        transmission=transmission,
        distances_A=np.diff(depths_A[filled], prepend=0.0),
        extent_A=extent_A,
        thickness_A=float(depths_A[-1]),
        wavelength_A=microscope.wavelength_A,
    )
    if antialias:
        kept = torch.as_tensor(_alias_free(slices.angles_mrad()), device=device)
        for slab in transmission:
            slab.copy_(torch.fft.ifft2(torch.fft.fft2(slab) * kept))
    return slices


def scattered(slices: Slices, waves: np.ndarray, *, weights: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """What plane waves of unit amplitude scatter to the pixels of the detector, without the unscattered part.

    waves    (n, 2) integers: frequencies (y, x) in units of 1 / extent
    weights  (n_y, n_x) of the grid's frequencies on the detector; only those above 0 are given
    Yields blocks of waves and their amplitudes (block, n_pixel) complex64, each times the square root of its weight.
    The path from the last slice to the detector is omitted, since it only turns phases of pixels. Source: Cowley and
    Moodie, Acta Cryst. 10, 609 (1957); transmission and propagation as Kirkland, Advanced Computing in Electron
    Microscopy.
    """
    device, (n_y, n_x) = slices.transmission.device, slices.gpts
    pixels = torch.nonzero(weights.ravel() > 0).ravel()
    roots = weights.ravel()[pixels].sqrt()
    angles_mrad = slices.angles_mrad()
    propagators = {d: _propagator(angles_mrad, d, slices).to(device) for d in set(slices.distances_A[1:].tolist())}
    rows, columns = (torch.as_tensor(k % n, device=device) for k, n in zip(waves.T, (n_y, n_x), strict=True))
    arrival, departure = (
        _phases(angles_mrad, d, slices).to(device)[rows, columns]
        for d in (slices.distances_A[0], slices.distances_A.sum())
    )
    along = [torch.as_tensor(np.fft.ifft(np.eye(n)), dtype=torch.complex64, device=device) for n in (n_y, n_x)]
    batch = _batch(slices)
    for first in range(0, len(rows), batch):
        block = slice(first, min(first + batch, len(rows)))
        y, x, n = rows[block], columns[block], block.stop - first
        wave = (along[0][y] * arrival[block, None])[:, :, None] * along[1][x][:, None, :]
        spectrum = torch.fft.fft2(wave.mul_(slices.transmission[0]))
        for transmission, distance_A in zip(slices.transmission[1:], slices.distances_A[1:], strict=True):
            wave = torch.fft.ifft2(spectrum.mul_(propagators[distance_A]))
            spectrum = torch.fft.fft2(wave.mul_(transmission))
        spectrum[torch.arange(n, device=device), y, x] -= departure[block]
        yield block, spectrum.reshape(n, -1)[:, pixels].mul_(roots)


def _batch(slices: Slices) -> int:
    wave_bytes = 8 * int(np.prod(slices.gpts))
    if slices.transmission.device.type == "cpu":
        return max(1, int(_CACHE_BYTES / wave_bytes)) * torch.get_num_threads()
    return max(1, int(_GPU_BYTES / wave_bytes))


def _phases(angles_mrad: np.ndarray, distance_A: float, slices: Slices) -> torch.Tensor:
    phase = -np.pi * distance_A / slices.wavelength_A * (angles_mrad * 1e-3) ** 2
    return torch.as_tensor(np.exp(1j * phase), dtype=torch.complex64)


def _propagator(angles_mrad: np.ndarray, distance_A: float, slices: Slices) -> torch.Tensor:
    """The Fresnel propagator on the band that is kept."""
    return _phases(angles_mrad, distance_A, slices) * torch.as_tensor(_alias_free(angles_mrad))


def _alias_free(angles_mrad: np.ndarray) -> np.ndarray:
    """Two thirds of the grid's band, which the product of two waves inside it leaves free of aliasing."""
    return angles_mrad < ALIAS_FREE * min(angles_mrad[0].max(), angles_mrad[:, 0].max())
