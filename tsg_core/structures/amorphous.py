"""Amorphous matter: equal spheres at the density of the glass, pushed apart until none overlap.

Spheres thrown in at random settle at a minimum of their elastic energy, below random close packing without any overlap
(O'Hern et al., Physical Review E 68, 011306, 2003). This gives metallic glasses their density and nearest distances; it
knows no bonds, so the carbon that it makes has the density of amorphous carbon, but not its angles between bonds.
"""

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, reference_states
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from ..errors import TsgError

CARBON_g_cm3, CARBON_BOND_A = 2.0, 1.42  # evaporated films; graphite's bond
OF_CRYSTAL = 0.97  # density of a metallic glass relative to its crystal
PACKED = 0.60  # fraction of the volume that touching spheres may fill; they jam at 0.64
TILE_A = 64.0  # larger boxes are repeated from smaller ones, which the eye of a narrow frame cannot tell
ATOMS_PER_CELL = {"fcc": 4, "bcc": 2, "diamond": 8, "sc": 1}
DALTON_A3 = 1.66053907  # g/cm^3 of one dalton per cubic angstrom


def amorphous(
    element: str, *, box_A: tuple[float, float, float], seed: int, density_g_cm3: float | None = None
) -> Atoms:
    """Amorphous matter (x, y, z) that fills a box of these edges, centred at the origin and periodic through its faces.

    The density is by default 97 % of the crystal's, for carbon 2.0 g/cm^3. No two atoms are much closer than the
    distance of nearest neighbours in the crystal, or than 60 % packing allows.
    Raises TsgError for an unknown element, edges that hold no atom, and an element whose crystal ASE does not know with
    one atom per site, unless its density is given.
    """
    density_A3 = number_density_A3(element, density_g_cm3=density_g_cm3)
    if not all(0 < edge < np.inf for edge in box_A):
        raise TsgError(f"box_A={box_A} must be three positive edges in angstrom")
    repeats = [int(np.ceil(edge / TILE_A)) for edge in box_A]
    tile_A = np.array(box_A) / repeats
    n = round(density_A3 * tile_A.prod())
    if n < 1:
        raise TsgError(f"a box of {box_A[0]:g} x {box_A[1]:g} x {box_A[2]:g} A is too small for an atom of {element}")
    rng = np.random.default_rng(seed)
    places = _pushed_apart(rng.uniform(size=(n, 3)) * tile_A, tile_A, diameter_A=_diameter_A(element, density_A3))
    tile = Atoms([element] * n, positions=places, cell=tile_A, pbc=True)
    whole = tile.repeat(repeats)
    whole.positions -= np.array(box_A) / 2
    return whole


def number_density_A3(element: str, *, density_g_cm3: float | None = None) -> float:
    """Atoms per cubic angstrom of an amorphous element. Raises TsgError as `amorphous` does."""
    if element not in atomic_numbers or atomic_numbers[element] == 0:
        raise TsgError(f"{element!r} is not a chemical element")
    if density_g_cm3 is None and element == "C":
        density_g_cm3 = CARBON_g_cm3
    if density_g_cm3 is not None:
        if not 0 < density_g_cm3 < np.inf:
            raise TsgError(f"density_g_cm3={density_g_cm3:g} must be a positive number")
        return density_g_cm3 / DALTON_A3 / atomic_masses[atomic_numbers[element]]
    return OF_CRYSTAL * _of_crystal(element)[0]


def _of_crystal(element: str) -> tuple[float, float]:
    """Atoms per cubic angstrom, and the distance of nearest neighbours, in ASE's reference crystal."""
    state: dict[str, Any] = reference_states[atomic_numbers[element]] or {}
    symmetry, a = state.get("symmetry"), state.get("a", np.nan)
    if symmetry == "hcp":
        height_A = a * state["c/a"]
        return 4 / (np.sqrt(3) * a**2 * height_A), min(a, np.sqrt(a**2 / 3 + height_A**2 / 4))
    if symmetry not in ATOMS_PER_CELL:
        raise TsgError(f"ASE knows no simple crystal of {element}; give its density_g_cm3 in Python")
    nearest = {"fcc": np.sqrt(0.5), "bcc": np.sqrt(0.75), "diamond": np.sqrt(3) / 4, "sc": 1.0}[symmetry]
    return ATOMS_PER_CELL[symmetry] / a**3, nearest * a


def _diameter_A(element: str, density_A3: float) -> float:
    packed_A = (6 * PACKED / (np.pi * density_A3)) ** (1 / 3)
    if element == "C":
        return min(CARBON_BOND_A, packed_A)
    try:
        return min(_of_crystal(element)[1], packed_A)
    except TsgError:  # its density was given
        return packed_A


def _pushed_apart(places: np.ndarray, edges_A: np.ndarray, *, diameter_A: float) -> np.ndarray:
    """Places (n, 3) in the periodic box, moved until hardly any two are closer than the diameter."""

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        wrapped = flat.reshape(-1, 3) % edges_A
        wrapped[wrapped >= edges_A] = 0.0  # rounding may leave a place on the upper face
        i, j = cKDTree(wrapped, boxsize=edges_A).query_pairs(diameter_A, output_type="ndarray").T
        apart = wrapped[i] - wrapped[j]
        apart -= edges_A * np.round(apart / edges_A)
        distance = np.linalg.norm(apart, axis=1)
        overlap = 1 - distance / diameter_A
        force = (overlap / diameter_A / distance.clip(1e-9))[:, None] * apart
        gradient = np.stack(
            [np.bincount(j, force[:, k], len(wrapped)) - np.bincount(i, force[:, k], len(wrapped)) for k in range(3)], 1
        )
        return 0.5 * float((overlap**2).sum()), gradient.ravel()

    found = minimize(
        energy, places.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 0, "gtol": 1e-6}
    )
    return found.x.reshape(-1, 3) % edges_A
