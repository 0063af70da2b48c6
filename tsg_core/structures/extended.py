"""Samples that go on outside the frames: films, lamellae, needles, and particles on a support of amorphous carbon.

The untilted sample lies across the beam, which runs along -z; the tilt axis is y. It must reach as far as rays through
the frame do at the highest tilt; `width_seen_A` tells how far that is.
"""

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..errors import TsgError
from .amorphous import amorphous

GAP_A = 2.0  # between the lowest nucleus of a particle and the highest of its support
STEEPEST_deg = 80.0  # a film that is tilted further would have to be endless


def film(
    element: str | Atoms,
    *,
    thickness_A: float,
    width_A: float,
    height_A: float | None = None,
    crystalline: bool = False,
    density_g_cm3: float | None = None,
    seed: int,
) -> Atoms:
    """A flat film, `width_A` along x and `height_A` (by default as much) along y: amorphous, or one crystal.

    The crystal, ASE's of the element or a periodic cell, is turned at random. `Atoms.info` holds `name` and `shape`.
    Raises TsgError for sizes that are not positive, and as `amorphous` does.
    """
    box_A = _slab(width_A, height_A, thickness_A)
    if crystalline or not isinstance(element, str):
        atoms = _cut(_crystal(element), inside=_box(box_A), reach_A=float(np.linalg.norm(box_A)) / 2, seed=seed)
    else:
        atoms = amorphous(element, box_A=box_A, seed=seed, density_g_cm3=density_g_cm3)
    return _named(atoms, "film", size_A=thickness_A)


def lamella(
    element: str | Atoms,
    *,
    thickness_A: float,
    width_A: float,
    height_A: float | None = None,
    damaged_A: float = 5.0,
    seed: int,
) -> Atoms:
    """A crystal cut by an ion beam, which leaves an amorphous layer of `damaged_A` on both faces; sizes as in `film`.

    The damaged layers consist of the crystal's most frequent element. Raises TsgError as `film` does, and for layers
    that leave no crystal.
    """
    box_A = _slab(width_A, height_A, thickness_A)
    if not 0 <= damaged_A < thickness_A / 2:
        raise TsgError(f"damaged_A={damaged_A:g} on both faces leaves no crystal of a lamella {thickness_A:g} A thick")
    core_A = (box_A[0], box_A[1], thickness_A - 2 * damaged_A)
    atoms = _cut(_crystal(element), inside=_box(core_A), reach_A=float(np.linalg.norm(core_A)) / 2, seed=seed)
    if damaged_A:
        symbols = atoms.get_chemical_symbols()
        frequent = max(sorted(set(symbols)), key=symbols.count)
        for side in (-1, 1):
            layer = amorphous(frequent, box_A=(box_A[0], box_A[1], damaged_A), seed=seed + side + 1)
            layer.positions[:, 2] += side * (thickness_A - damaged_A) / 2
            atoms += layer[_clear_of(layer, atoms, GAP_A)]
    return _named(atoms, "lamella", size_A=thickness_A)


def needle(
    element: str | Atoms,
    *,
    diameter_A: float,
    length_A: float,
    taper_deg: float = 3.0,
    crystalline: bool = True,
    seed: int,
) -> Atoms:
    """A needle along the tilt axis y, `diameter_A` thick in its middle, whose radius falls by tan(taper) towards +y.

    It leaves the frame at the bottom and, unless it ends there, at the top. Raises TsgError as `film` does, and for a
    taper outside 0 to 45 degrees.
    """
    _check_sizes(diameter_A=diameter_A, length_A=length_A)
    if not 0 <= taper_deg < 45:
        raise TsgError(f"taper_deg={taper_deg:g} must lie between 0 and 45 degrees")
    slope, half_A = np.tan(np.deg2rad(taper_deg)), length_A / 2

    def inside(places: np.ndarray) -> np.ndarray:
        radius_A = diameter_A / 2 - slope * places[:, 1]
        return (np.hypot(places[:, 0], places[:, 2]) <= radius_A) & (np.abs(places[:, 1]) <= half_A)

    widest_A = diameter_A + slope * length_A
    if crystalline or not isinstance(element, str):
        reach_A = float(np.hypot(half_A, widest_A / 2))
        atoms = _cut(_crystal(element), inside=inside, reach_A=reach_A, seed=seed)
    else:
        atoms = amorphous(element, box_A=(widest_A, length_A, widest_A), seed=seed)
        atoms = atoms[inside(atoms.positions)]
    return _named(atoms, "needle", size_A=diameter_A)


def on_carbon(
    particle: Atoms, *, thickness_A: float, width_A: float, height_A: float | None = None, seed: int
) -> Atoms:
    """A particle above a film of amorphous carbon; its middle lies on the tilt axis; sizes as in `film`."""
    box_A = _slab(width_A, height_A, thickness_A)
    if len(particle) == 0:
        raise TsgError("there is no atom in the particle that is to lie on carbon")
    middle = (particle.positions.min(axis=0) + particle.positions.max(axis=0)) / 2
    above = Atoms(particle.get_chemical_symbols(), positions=particle.positions - middle)
    support = amorphous("C", box_A=box_A, seed=seed)
    support.positions[:, 2] += above.positions[:, 2].min() - GAP_A - support.positions[:, 2].max()
    found = _named(above + support, "particle on carbon", size_A=thickness_A)
    found.info["n_particle"] = len(particle)
    return found


def width_seen_A(*, field_of_view_A: float, thickness_A: float, tilt_deg: ArrayLike, margin_A: float = 0.0) -> float:
    """How wide a sample must be along x to fill frames at all tilts: (frame + thickness sin) / cos of the highest.

    `thickness_A` is twice the distance of its farthest face from the tilt axis, `margin_A` is what the probe reaches
    beyond the frame on either side. Raises TsgError for tilts above 80 degrees, where films would be endless.
    """
    highest_deg = float(np.abs(tilt_deg).max())
    if highest_deg > STEEPEST_deg:
        raise TsgError(f"a film that is tilted by {highest_deg:g} deg never ends; keep to {STEEPEST_deg:g} deg at most")
    tilt_rad = np.deg2rad(highest_deg)
    return float((field_of_view_A + 2 * margin_A + thickness_A * np.sin(tilt_rad)) / np.cos(tilt_rad))


def _slab(width_A: float, height_A: float | None, thickness_A: float) -> tuple[float, float, float]:
    height_A = width_A if height_A is None else height_A
    _check_sizes(width_A=width_A, height_A=height_A, thickness_A=thickness_A)
    return width_A, height_A, thickness_A


def _check_sizes(**sizes_A: float) -> None:
    for name, size in sizes_A.items():
        if not 0 < size < np.inf:
            raise TsgError(f"{name}={size:g} must be a positive number of angstrom")


def _crystal(element: str | Atoms) -> Atoms:
    if not isinstance(element, str):
        if not element.pbc.all():
            raise TsgError("a crystal is needed, periodic along three axes")
        return element
    try:
        return bulk(element)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise TsgError(f"ASE knows no crystal of {element!r}: {error}; give the cell of one") from error


def _cut(crystal: Atoms, *, inside: Callable[[np.ndarray], np.ndarray], reach_A: float, seed: int) -> Atoms:
    """The atoms of a crystal, turned at random, whose places are inside; none is farther away than `reach_A`."""
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(rng=rng)
    heights_A = 1 / np.linalg.norm(crystal.cell.reciprocal(), axis=1)
    n = np.ceil(reach_A / heights_A).astype(int) + 1
    shifts = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in n), indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = (shifts + rng.uniform(size=3)) @ crystal.cell.array
    near = np.linalg.norm(shifts, axis=1) <= reach_A + np.linalg.norm(crystal.cell.lengths())
    places = rotation.apply((shifts[near][:, None] + crystal.positions).reshape(-1, 3))
    kept = inside(places)
    if not kept.any():
        raise TsgError("the sample is smaller than a single atom's share of its crystal; make it larger")
    return Atoms(np.tile(crystal.numbers, near.sum())[kept], positions=places[kept])


def _box(edges_A: tuple[float, ...]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda places: (np.abs(places) <= np.array(edges_A) / 2).all(axis=1)


def _clear_of(atoms: Atoms, others: Atoms, distance_A: float) -> np.ndarray:
    return cKDTree(others.positions).query(atoms.positions)[0] >= distance_A


def _named(atoms: Atoms, shape: str, *, size_A: float) -> Atoms:
    symbols = sorted(set(atoms.get_chemical_symbols()))
    found = Atoms(atoms.numbers, positions=atoms.positions)
    found.info = {"name": f"{''.join(symbols)} {shape} of {size_A:g} A", "shape": shape, "element": "".join(symbols)}
    return found
