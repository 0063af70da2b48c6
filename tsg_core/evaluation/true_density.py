"""The true density of a particle as a volume: what a reconstruction should look like."""

import numpy as np
from ase import Atoms
from scipy.special import erf

from ..errors import TsgError
from ..geometry import pixel_centres_A
from ..microscope import Microscope
from ..optics.scattering import haadf_cross_section_A2


def true_density(
    atoms: Atoms, *, microscope: Microscope, shape: tuple[int, int, int], voxel_size_A: float, sigma_A: float = 0.3
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 on the scale of reconstructions: each atom is a Gaussian of its cross-section.

    The voxels of an atom add up to its cross-section for scattering into the detector, divided by the area of a voxel,
    so that the sum along a ray is an intensity. The Gaussian has the standard deviation `sigma_A` and is integrated
    over each voxel. It does not represent a probe: it sets the resolution of the truth, the same for all microscopes.
    Atoms, or parts of atoms, outside the volume are lost.
    Raises TsgError for a shape that is not three numbers, and for a voxel size or a sigma that is not positive.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise TsgError(f"shape={tuple(shape)} must be (n_y, n_z, n_x)")
    for name, value in (("voxel_size_A", voxel_size_A), ("sigma_A", sigma_A)):
        if not (np.isfinite(value) and value > 0):
            raise TsgError(f"{name}={value} must be a positive number")
    volume = np.zeros(shape, np.float32)
    edges_A = [np.append(c - voxel_size_A / 2, c[-1] + voxel_size_A / 2) for c in _centres_A(shape, voxel_size_A)]
    amounts = {e: haadf_cross_section_A2(e, microscope) / voxel_size_A**2 for e in set(atoms.get_chemical_symbols())}
    for element, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True):
        window, shares = zip(*(_shares(e, c, sigma_A) for e, c in zip(edges_A, (y, z, x), strict=True)), strict=True)
        volume[window] += amounts[element] * np.einsum("y,z,x->yzx", *shares)
    return volume


def near_atoms(atoms: Atoms, *, shape: tuple[int, int, int], voxel_size_A: float, within_A: float) -> np.ndarray:
    """The particle's support: True for voxels (n_y, n_z, n_x) whose centre lies within a distance of a nucleus."""
    centres_A = _centres_A(shape, voxel_size_A)
    inside = np.zeros(shape, bool)
    for x, y, z in atoms.positions:
        window = tuple(
            slice(*np.searchsorted(c, [place - within_A, place + within_A]))
            for c, place in zip(centres_A, (y, z, x), strict=True)
        )
        away = [c[w] - place for c, w, place in zip(centres_A, window, (y, z, x), strict=True)]
        inside[window] |= sum(d**2 for d in np.meshgrid(*away, indexing="ij", sparse=True)) <= within_A**2
    return inside


def _centres_A(shape: tuple[int, int, int], voxel_size_A: float) -> list[np.ndarray]:
    return [pixel_centres_A(n, pixel_size_A=voxel_size_A) for n in shape]


def _shares(edges_A: np.ndarray, place_A: float, sigma_A: float) -> tuple[slice, np.ndarray]:
    """The voxels along one axis within four sigma of a place, and the share of the Gaussian in each."""
    first, last = np.searchsorted(edges_A, [place_A - 4 * sigma_A, place_A + 4 * sigma_A])
    window = slice(max(first - 1, 0), min(last, len(edges_A) - 1))
    steps = erf((edges_A[window.start : window.stop + 1] - place_A) / (np.sqrt(2) * sigma_A)) / 2
    return window, np.diff(steps)
