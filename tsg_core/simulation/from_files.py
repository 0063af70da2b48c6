"""A structure and a microscope from one's own files, ready to be simulated."""

from dataclasses import fields
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

MAX_ATOMS = 200_000  # that a sphere may hold
MARGIN = 1.3  # of the frame around the particle


def particle_from(path: str | Path, *, diameter_A: float | None = None) -> Atoms:
    """The atoms in a file that ASE reads, centred at the origin; of a periodic cell those in a sphere of a diameter.

    The sphere is centred in the cell. Raises TsgError for a file that is missing or not understood, a periodic
    structure without a diameter, a diameter without a periodic structure, and a sphere that holds no atom or too many.
    """
    path = existing(path)
    with readable(path):
        atoms = ase.io.read(path)
    if atoms.pbc.all() and diameter_A is None:
        raise TsgError(f"{path} is a periodic crystal, which has no end; cut a sphere out of it by --diameter A")
    if diameter_A is not None:
        if not atoms.pbc.all():
            raise TsgError(f"{path} is not periodic along all three axes: it is taken as it is, without --diameter")
        atoms = _sphere(atoms, path, diameter_A)
    if len(atoms) == 0:
        raise TsgError(f"{path} holds no atoms")
    positions = atoms.positions - (atoms.positions.min(axis=0) + atoms.positions.max(axis=0)) / 2
    return Atoms(atoms.get_chemical_symbols(), positions=positions)


def field_of_view_of(atoms: Atoms, microscope: Microscope) -> float:
    """Edge in A of a frame that holds the particle at every tilt, with room for the probe: half its current at a border."""
    return MARGIN * max(bounding_diameter_A(atoms), 5.0) + 2 * probe_radius_A(microscope, fraction=0.5)


def microscope_from(name: str) -> Microscope:
    """One of `microscope.MICROSCOPES`, or the one whose fields a YAML file holds.

    Raises TsgError for another name, a file that is not a list of fields, and fields that no microscope has.
    """
    if name in MICROSCOPES:
        return MICROSCOPES[name]
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise TsgError(f"--microscope {name} must be {', '.join(MICROSCOPES)}, or a YAML file of a microscope's fields")
    with readable(existing(path)):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = [field.name for field in fields(Microscope)]
    if not isinstance(content, dict) or not set(content) <= set(known):
        wrong = ", ".join(sorted(set(map(str, content)) - set(known))) if isinstance(content, dict) else "no fields"
        raise TsgError(f"{path} holds {wrong}; a microscope has {', '.join(known)}")
    if "convergence_mrad" not in content:
        raise TsgError(f"{path} lacks convergence_mrad, which a microscope needs")
    for field, value in content.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TsgError(f"{path}: {field}: {value!r} is not a number")
    return Microscope(**content)


def _sphere(atoms: Atoms, path: Path, diameter_A: float) -> Atoms:
    if not 0 < diameter_A < np.inf:
        raise TsgError(f"--diameter {diameter_A:g} must be a positive number of angstrom")
    expected = len(atoms) * np.pi / 6 * diameter_A**3 / atoms.get_volume()
    if expected > MAX_ATOMS:
        raise TsgError(
            f"a sphere of {diameter_A:g} A out of {path} holds {expected:.2g} atoms; at most {MAX_ATOMS} are taken"
        )
    # as many cells as hold the sphere: it is compared with the heights of the cell, which a slanted cell makes small
    heights_A = 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    repeats = 2 * np.ceil(diameter_A / 2 / heights_A + 0.5).astype(int) + 1
    block = atoms.repeat(tuple(repeats))
    middle = (repeats / 2) @ atoms.cell.array
    inside = np.linalg.norm(block.positions - middle, axis=1) <= diameter_A / 2
    return block[inside]
