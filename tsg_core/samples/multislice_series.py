"""Multislice tilt series shipped with the package: their physics is in no prediction method.

`python benchmarks/multislice_series.py` made them: three particles that are not plain fcc, in both microscopes, one
frame every three degrees. A fourth series, of ytterbium, is `prism_series`.
"""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.cluster import Decahedron, Octahedron

from ..microscope import MICROSCOPES, NON_ABERRATED
from ..structures import random_rotation
from ..tilt_series import TiltSeries

SERIES_FILE = Path(__file__).parent / "multislice_series.npz"
PRISM_FILE = SERIES_FILE.with_name("prism_yb.npz")
TILT_deg = np.arange(-90.0, 91.0, 3.0)
N_PIXELS = 80
FIELD_OF_VIEW_A = 20.0
SPACINGS_deg = (6.0, 12.0, 24.0)
CONE_mrad = 36.0  # of incident waves, wide enough for both microscopes
_LEVELS = 2**16 - 1


def _tungsten() -> Atoms:
    """A sphere of bcc tungsten: 65 atoms."""
    crystal = make_supercell(bulk("W", cubic=True), np.diag([7, 7, 7]))
    crystal.positions -= crystal.positions[
        np.linalg.norm(crystal.positions - crystal.positions.mean(0), axis=1).argmin()
    ]
    return crystal[np.linalg.norm(crystal.positions, axis=1) < 6.4]


def _silver() -> Atoms:
    """A Marks decahedron: 75 atoms in five twins around an axis."""
    return Decahedron("Ag", 2, 2, 1)


def _copper_gold() -> Atoms:
    """Ordered Cu3Au: a truncated octahedron of 79 sites with three vacancies; its atoms are 8 pm off their sites."""
    particle = Octahedron("Cu", 5, 1, latticeconstant=3.75)
    corner = np.round((particle.positions - particle.positions[0]) / (3.75 / 2)).astype(int) % 2
    gold = (corner == 0).all(axis=1)
    particle.symbols[gold] = "Au"
    rng = np.random.default_rng(5)
    particle.positions += rng.normal(0, 0.08 / np.sqrt(3), particle.positions.shape)
    del particle[rng.choice(len(particle), 3, replace=False).tolist()]
    return particle


_BUILDERS = {"W 65, bcc": _tungsten, "Ag 75, decahedron": _silver, "Cu3Au 76, vacancies": _copper_gold}
PARTICLES = tuple(_BUILDERS)


def reference_atoms(particle: str) -> Atoms:
    """The atoms of one of `PARTICLES`, centred and rotated at random."""
    atoms = Atoms(_BUILDERS[particle]())
    atoms.cell, atoms.pbc = None, False
    atoms.positions -= (atoms.positions.max(axis=0) + atoms.positions.min(axis=0)) / 2
    return random_rotation(atoms, seed=PARTICLES.index(particle) + 11)


@lru_cache(maxsize=1)
def _stored() -> dict[str, np.ndarray]:
    with np.load(SERIES_FILE) as stored:
        return dict(stored)


def reference_series(particle: str, microscope: str) -> TiltSeries:
    """The shipped multislice series of one of `PARTICLES`: 61 frames of 80 x 80 px from -90 to 90 degrees.

    `microscope` is a name in `MICROSCOPES`. The atoms are at rest; Kirkland's potential in slices of 1.5 A; see
    `simulation.detection_matrix`.
    """
    levels, peak = _stored()[f"{particle}, {microscope}"], float(_stored()[f"{particle}, {microscope}, peak"])
    metadata = {"microscope": asdict(MICROSCOPES[microscope]), "engine": "multislice"}
    return TiltSeries(levels * np.float32(peak / _LEVELS), TILT_deg, FIELD_OF_VIEW_A / N_PIXELS, metadata=metadata)


def packed(frames: np.ndarray) -> tuple[np.ndarray, float]:
    """Frames as 16-bit levels up to their brightest pixel, and that pixel. This keeps 100 dB at half the size."""
    peak = float(frames.max())
    return np.round(frames.clip(0) * (_LEVELS / peak)).astype(np.uint16), peak


def prism_series() -> tuple[TiltSeries, np.ndarray]:
    """A PRISM tilt series, 31 frames of 96 x 96 px from -90 to 90 degrees, and the true positions (77, 3) in angstrom.

    A randomly rotated sphere of fcc ytterbium in the non-aberrated microscope, atoms at rest. Interpolation 2 and
    Kirkland's potential in slices of 2 A; none of this is in the model of any method here.
    """
    with np.load(PRISM_FILE) as stored:
        frames, tilt_deg, pixel_size_A = stored["frames"], stored["tilt_deg"], float(stored["pixel_size_A"])
        metadata = {"microscope": asdict(NON_ABERRATED), "engine": "abtem_prism"}
        return TiltSeries(frames, tilt_deg, pixel_size_A, metadata=metadata), stored["positions_A"].astype(float)
