"""Nanoparticles built with ASE. The test particles have other shapes and other elements than the training particles."""

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron, FaceCenteredCubic, Icosahedron, Octahedron
from ase.data import atomic_numbers, reference_states
from scipy.spatial.transform import Rotation

from ..errors import TsgError

TRAINING_ELEMENTS = ("Pt", "Ag", "Au", "Cu")
TEST_ELEMENTS = ("Yb", "Ir", "Xe", "Al")
FCC_SURFACES = [(1, 0, 0), (1, 1, 0), (1, 1, 1)]

_TRAINING_CANDIDATES: dict[str, list] = {
    "icosahedron": [(Icosahedron, (shells,)) for shells in range(2, 14)],
    "decahedron": [(Decahedron, (p, q, r)) for p in range(2, 11) for q in range(1, 5) for r in range(0, 3)],
    "octahedron": [
        (Octahedron, (length, cutoff)) for length in range(3, 20) for cutoff in range(0, (length - 1) // 2 + 1)
    ],
}
_TEST_CANDIDATES: dict[str, list] = {
    "fcc": [(FaceCenteredCubic, (FCC_SURFACES, layers)) for layers in itertools.product(range(2, 11), repeat=3)],
}
_CANDIDATES = _TRAINING_CANDIDATES | _TEST_CANDIDATES
SHAPES = tuple(_CANDIDATES)


def training_particles(
    n: int, *, seed: int, diameter_A: tuple[float, float] = (20.0, 60.0), without: Sequence[str] = ()
) -> list[Atoms]:
    """Icosahedra, decahedra and octahedra of Pt, Ag, Au and Cu in about equal numbers, centred at the origin.

    `diameter_A` bounds the diameter of the sphere around each particle; elements in `without`, those of the test, are
    left out. `Atoms.info` holds `name`, `shape`, `element`.
    Raises TsgError for n < 1, if no particle of one kind has such a diameter, and if no element is left.
    """
    elements = [element for element in TRAINING_ELEMENTS if element not in without]
    if not elements:
        raise TsgError(f"the test holds {', '.join(TRAINING_ELEMENTS)}, which leaves no element to train with")
    kinds = [(shape, element) for element in elements for shape in _TRAINING_CANDIDATES]
    return _particles(n, kinds, seed=seed, diameter_A=diameter_A)


def test_particles(
    n: int,
    *,
    seed: int,
    diameter_A: tuple[float, float] = (20.0, 60.0),
    elements: Sequence[str] = TEST_ELEMENTS,
    shapes: Sequence[str] = ("fcc",),
) -> list[Atoms]:
    """Truncated fcc polyhedra of Yb, Ir, Xe and Al: elements and shapes that training never sees.

    Other `elements`, with an fcc lattice, and other `SHAPES` may be named. The other parameters, `Atoms.info` and
    errors are those of `training_particles`; raises TsgError for an element or a shape that it cannot build, too.
    """
    for shape in shapes:
        if shape not in SHAPES:
            raise TsgError(f"shapes holds {shape!r}; choose of {', '.join(SHAPES)}")
    for element in elements:
        state = reference_states[atomic_numbers[element]] if element in atomic_numbers else None
        if state is None or state.get("symmetry") != "fcc":
            what = "no chemical element" if element not in atomic_numbers else "an element without an fcc lattice"
            raise TsgError(f"elements holds {element!r}, {what}; give other crystals as a file, by structure_path")
    if not (len(elements) and len(shapes)):
        raise TsgError("elements and shapes must each hold at least one name")
    kinds = [(shape, element) for element in elements for shape in shapes]
    return _particles(n, kinds, seed=seed, diameter_A=diameter_A)


setattr(test_particles, "__test__", False)  # noqa: B010  # pytest: a function of the library, not a test


def random_rotation(atoms: Atoms, *, seed: int) -> Atoms:
    """A copy, rotated about the origin by a rotation drawn uniformly from SO(3)."""
    rotation = Rotation.random(rng=np.random.default_rng(seed))
    turned = atoms.copy()
    turned.positions = rotation.apply(atoms.positions)
    turned.info["rotation_quaternion_xyzw"] = rotation.as_quat().tolist()
    return turned


def bounding_diameter_A(atoms: Atoms) -> float:
    """Diameter of the sphere around the mean position that contains every nucleus."""
    return 2 * float(np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1).max())


def _particles(n: int, kinds: list[tuple[str, str]], *, seed: int, diameter_A: tuple[float, float]) -> list[Atoms]:
    if n < 1:
        raise TsgError(f"n={n} particles were asked for; at least one is needed")
    rng = np.random.default_rng(seed)
    # draw every kind once, in random order, before any kind repeats: small sets are mixed, too
    order = [kinds[k] for _ in range(-(-n // len(kinds))) for k in rng.permutation(len(kinds))][:n]
    return [_draw(shape, element, _CANDIDATES[shape], rng=rng, diameter_A=diameter_A) for shape, element in order]


def _draw(
    shape: str, element: str, candidates: list, *, rng: np.random.Generator, diameter_A: tuple[float, float]
) -> Atoms:
    low_A, high_A = diameter_A
    for k in rng.permutation(len(candidates)):
        builder, arguments = candidates[k]
        atoms = Atoms(builder(element, *arguments))
        if len(atoms) > 1 and low_A <= bounding_diameter_A(atoms) <= high_A:
            atoms.positions -= atoms.positions.mean(axis=0)
            atoms.cell, atoms.pbc = None, False
            atoms.info = {"name": f"{element} {shape} {len(atoms)}", "shape": shape, "element": element}
            return atoms
    raise TsgError(f"no {element} {shape} has a diameter from {low_A:g} to {high_A:g} A; widen the range of diameters")
