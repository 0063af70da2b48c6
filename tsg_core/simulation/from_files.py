"""A structure and a microscope from your own files, ready for simulation."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import ase.io
import numpy as np
import yaml
from ase import Atoms

from ..errors import TsgError
from ..microscope import MICROSCOPES, Microscope
from ..optics.probe import probe_radius_A
from ..structures import bounding_diameter_A
from ..tools.files import existing, readable
from ..tools.yaml_files import read_yaml
from .structure_checks import (
    LAMMPS,
    check_atoms,
    check_counts,
    check_locations,
    drawn,
    pieces,
    unwrapped,
    without_impossible_cell,
)

MAX_ATOMS = 200_000  # in a sphere
FORMATS = dict.fromkeys(LAMMPS, "lammps-data")  # ASE does not know these by their suffix
MARGIN = 1.3  # of the frame around the particle


def particle_from(
    path: str | Path,
    *,
    diameter_A: float | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda sentence: None,
) -> Atoms:
    """The atoms in a file that ASE reads, centred at the origin; from a crystal, those in a sphere of this diameter.

    A particle in a periodic cell is made whole, wherever the faces of the cell cut it. The sphere is centred in the
    cell. Partly occupied sites are drawn independently, with `seed`. `say` gets sentences on how the file was read.
    Raises TsgError for a file that is missing or not understood, atoms that `structure_checks` refuses, an endless
    structure without a diameter, a diameter for any other structure, and a sphere with no atoms or too many.
    """
    path = existing(path)
    last, n_structures = _last_structure(path)
    if n_structures > 1:
        say(f"{path.name} holds {n_structures} structures: the last one is taken.")
    atoms = without_impossible_cell(last, say)
    check_atoms(atoms, path)
    whole, n_endless = unwrapped(atoms)
    if n_endless and diameter_A is None:
        kind = "is a periodic crystal" if n_endless == 3 else f"goes on along {n_endless} of the axes of its cell"
        raise TsgError(f"{path} {kind}, which has no end; cut a sphere out of it by --diameter A")
    if diameter_A is not None:
        if not n_endless:
            raise TsgError(f"{path} holds a particle, not a periodic crystal: it is taken whole, without --diameter")
        atoms = _sphere(atoms, path, diameter_A)
    elif (moved := int((np.abs(whole.positions - atoms.positions).max(axis=1) > 1e-6).sum())) > 0:
        say(f"The faces of the cell cut the particle: {moved} of {len(whole)} atoms were moved to make it whole.")
        atoms = whole
    atoms = drawn(atoms, path, seed=seed, say=say)
    if len(atoms) == 0:
        raise TsgError(f"{path} holds no atoms")
    if (n_pieces := pieces(atoms)) > 1:
        say(f"note: the atoms form {n_pieces} pieces apart from one another.")
    positions = atoms.positions - (atoms.positions.min(axis=0) + atoms.positions.max(axis=0)) / 2
    return Atoms(atoms.get_chemical_symbols(), positions=positions)


def particles_from(
    path: str | Path,
    n: int,
    *,
    diameter_A: tuple[float, float],
    seed: int = 0,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Atoms]:
    """`n` particles of one file for a study: spheres cut out of a crystal, or the particle that the file holds.

    The diameters of the spheres are spread evenly over `diameter_A`, from small to large. `Atoms.info` holds `name`,
    `shape` and `element`, which is the formula of an alloy. Raises TsgError as `particle_from` does, and for n < 1.
    """
    if n < 1:
        raise TsgError(f"n={n} particles were asked for; at least one is needed")
    path = existing(path)
    low_A, high_A = diameter_A
    endless = is_endless(path)
    particles = []
    for k in range(n):
        wanted_A = low_A + (high_A - low_A) * (k + 0.5) / n
        atoms = particle_from(
            path, diameter_A=wanted_A if endless else None, seed=seed + k, say=say if k == 0 else lambda _: None
        )
        symbols = atoms.get_chemical_symbols()
        formula = "".join(dict.fromkeys(symbols))
        atoms.info = {"name": f"{formula} {path.stem} {len(atoms)}", "shape": path.stem, "element": formula}
        particles.append(atoms)
    return particles


def is_endless(path: str | Path) -> bool:
    """Whether the last structure in a file goes on without an end: a crystal, a slab or a wire."""
    atoms = without_impossible_cell(_last_structure(existing(path))[0], lambda sentence: None)
    check_atoms(atoms, path)
    return bool(unwrapped(atoms)[1])


def field_of_view_of(atoms: Atoms, microscope: Microscope) -> float:
    """Edge in A of a frame that holds the particle at every tilt, with room for half of the probe's current."""
    return MARGIN * max(bounding_diameter_A(atoms), 5.0) + 2 * probe_radius_A(microscope, fraction=0.5)


def microscope_from(name: str) -> Microscope:
    """One of `microscope.MICROSCOPES`, or a microscope whose fields are in a YAML file.

    Raises TsgError for another name, a file that is not a list of fields, and fields that no microscope has.
    """
    if name in MICROSCOPES:
        return MICROSCOPES[name]
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise TsgError(f"--microscope {name} must be {', '.join(MICROSCOPES)}, or a YAML file of a microscope's fields")
    content = read_yaml(existing(path))
    if not isinstance(content, dict):
        raise TsgError(f"{path} holds no fields; a microscope has {', '.join(f.name for f in fields(Microscope))}")
    for field, value in content.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TsgError(f"{path}: {field}: {value!r:.60} is not a number")
    return _microscope_of(content, where=str(path))


def microscopes_from(texts: Sequence[str]) -> dict[str, Microscope]:
    """Microscopes by name; each text is one of `microscope.MICROSCOPES`, or "NAME: FIELD=NUMBER, FIELD=NUMBER".

    Raises TsgError for a text of another form, a name used twice or unfit for a file name, and as `Microscope` does.
    """
    found: dict[str, Microscope] = {}
    for text in texts:
        name, colon, numbers = (part.strip() for part in str(text).partition(":"))
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in found:
            raise TsgError(f"microscopes holds {text!r}; each needs a name of its own of a-z, 0-9 and _")
        if not colon:
            if name not in MICROSCOPES:
                raise TsgError(
                    f"microscopes holds {text!r}; choose of {', '.join(MICROSCOPES)}, "
                    f"or give numbers as in Python: '{name}: convergence_mrad=30, Cs_um=5'"
                )
            found[name] = MICROSCOPES[name]
            continue
        pairs = [pair.partition("=") for pair in numbers.split(",")]
        try:
            content = {key.strip(): float(value) for key, _, value in pairs}
        except ValueError:
            raise TsgError(
                f"microscopes holds {text!r}; write it as in Python: '{name}: convergence_mrad=30, Cs_um=5'"
            ) from None
        found[name] = _microscope_of(content, where=f"microscopes holds {text!r}, which")
    if not found:
        raise TsgError(f"microscopes is empty; name at least one: {', '.join(MICROSCOPES)}")
    return found


def write_microscopes(path: Path, *, microscopes: dict[str, Microscope]) -> None:
    """Write the settings of microscopes, in order, to a YAML file."""
    path.write_text(yaml.safe_dump({name: asdict(m) for name, m in microscopes.items()}, sort_keys=False))


def _microscope_of(content: dict, *, where: str) -> Microscope:
    known = [field.name for field in fields(Microscope)]
    if not set(content) <= set(known):
        wrong = ", ".join(sorted(set(map(str, content)) - set(known)))
        raise TsgError(f"{where} holds {wrong}; a microscope has {', '.join(known)}")
    if "convergence_mrad" not in content:
        raise TsgError(f"{where} lacks convergence_mrad, which a microscope needs")
    return Microscope(**content)


def _last_structure(path: Path) -> tuple[Atoms, int]:
    """The last structure in a file that ASE reads, and how many the file holds."""
    check_counts(path)
    check_locations(path)
    with readable(path):
        images = ase.io.read(path, index=":", format=FORMATS.get(path.suffix.lower()))
    if not images or not len(images[-1]):
        raise TsgError(f"{path} holds no atoms")
    if not (np.isfinite(images[-1].positions).all() and np.isfinite(images[-1].cell.array).all()):
        raise TsgError(f"{path} holds positions or a cell that are not finite numbers")
    return images[-1], len(images)


def _sphere(atoms: Atoms, path: Path, diameter_A: float) -> Atoms:
    if not 0 < diameter_A < np.inf:
        raise TsgError(f"--diameter {diameter_A:g} must be a positive number of angstrom")
    expected = len(atoms) * np.pi / 6 * diameter_A**3 / atoms.get_volume()
    if expected > MAX_ATOMS:
        raise TsgError(
            f"a sphere of {diameter_A:g} A out of {path} holds {expected:.2g} atoms; at most {MAX_ATOMS} are taken"
        )
    # enough cells for the sphere: it is compared with the heights of the cell, which are small in a slanted cell
    heights_A = 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    repeats = np.where(atoms.pbc, 2 * np.ceil(diameter_A / 2 / heights_A + 0.5).astype(int) + 1, 1)
    block = atoms.repeat(tuple(repeats))
    middle = np.where(atoms.pbc, repeats / 2, 0) @ atoms.cell.array
    if not atoms.pbc.all():  # across a slab or a wire its own middle
        across = ~atoms.pbc
        scaled = atoms.get_scaled_positions(wrap=False)
        middle = middle + np.where(across, (scaled.min(axis=0) + scaled.max(axis=0)) / 2, 0) @ atoms.cell.array
    inside = np.linalg.norm(block.positions - middle, axis=1) <= diameter_A / 2
    return block[inside]
