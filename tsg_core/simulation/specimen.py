"""What the engines share: which atoms a frame sees, the tilted atoms in a box, the sampling of their potential."""

import numpy as np
from ase import Atoms

from ..errors import TsgError
from ..geometry import tilted_positions
from ..microscope import Microscope
from ..optics.pixels import PaddedFrame

# a product of two waves leaves two thirds of a grid's band free of aliasing
ALIAS_FREE = 2 / 3
_MARGIN_A = 2.0  # of vacuum above and below the atoms


def potential_sampling_A(microscope: Microscope) -> float:
    """Sampling of the potential whose alias-free band reaches the outer angle of the detector, at most 0.1 A."""
    return min(0.1, 0.98 * ALIAS_FREE * microscope.wavelength_A / (2e-3 * microscope.detector_outer_mrad))


def checked_sampling_A(microscope: Microscope, sampling_A: float | None) -> float:
    """The sampling of the potential, by default `potential_sampling_A`. Raises TsgError for a coarser one."""
    coarsest_A = potential_sampling_A(microscope)
    sampling_A = coarsest_A if sampling_A is None else sampling_A
    if not 0 < sampling_A <= coarsest_A * (1 + 1e-6):
        raise TsgError(f"sampling_A={sampling_A:g} must be above 0 and at most {coarsest_A:.3f} A for this detector")
    return sampling_A


def reach_A(atoms: Atoms) -> tuple[float, float]:
    """How far (y, x) the atoms lie from the middle of the frames at one tilt or another."""
    x, y, z = atoms.positions.T
    return float(np.abs(y).max()), float(np.hypot(x, z).max())


def leaves(atoms: Atoms, *, frame: PaddedFrame) -> bool:
    """Whether atoms lie outside the frame at one tilt or another, whichever tilts are asked for."""
    half_y_A, half_x_A = (n * frame.pixel_size_A / 2 for n in frame.shape)
    far_y_A, far_x_A = reach_A(atoms)
    return far_y_A > half_y_A or far_x_A > half_x_A


def in_box(atoms: Atoms, *, tilt_deg: float, extent_A: tuple[float, float]) -> Atoms:
    """The atoms, untilted, that lie in a box of edges (y, x) about the tilt axis when they are tilted."""
    column, row, _ = tilted_positions(atoms.positions, tilt_deg=tilt_deg)[0].T
    return atoms[(np.abs(row) <= extent_A[0] / 2) & (np.abs(column) <= extent_A[1] / 2)]


def tilted_cell(atoms: Atoms, *, tilt_deg: float, extent_A: tuple[float, float]) -> Atoms:
    """The tilted atoms in abTEM's box, the tilt axis in its middle; abTEM's beam runs along +z, ours along -z."""
    x, y, z = tilted_positions(atoms.positions, tilt_deg=tilt_deg)[0].T
    thickness_A = 2 * (np.abs(z).max() + _MARGIN_A)
    positions = np.stack([x + extent_A[1] / 2, y + extent_A[0] / 2, thickness_A / 2 - z], axis=1)
    return Atoms(atoms.numbers, positions=positions, cell=[extent_A[1], extent_A[0], thickness_A], pbc=True)
