"""Frames by multislice that are shipped with the package, and the same frames by any engine.

`python benchmarks/multislice_frames.py` made them: single frames of small particles along zone axes and off them.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron, FaceCenteredCubic, Icosahedron, Octahedron
from scipy.spatial.transform import Rotation

from .microscope import MICROSCOPES
from .simulation import simulate_tilt_series
from .structures import FCC_SURFACES, bounding_diameter_A, random_rotation
from .tilt_series import TiltSeries

FRAMES_FILE = Path(__file__).parent / "data" / "multislice_frames.npz"
N_PIXELS = 64
MARGIN_A = 5.0  # of the field of view beyond the particle
OFF_AXIS_SEED = 1

_PARTICLES = {
    "Au 147": lambda: Icosahedron("Au", 4),
    "Pt 146": lambda: Octahedron("Pt", 6),
    "Ag 140": lambda: Octahedron("Ag", 6, 1),
    "Cu 147": lambda: Icosahedron("Cu", 4),
    "Pt decahedron": lambda: Decahedron("Pt", 4, 3, 0),
    "Ir fcc": lambda: FaceCenteredCubic("Ir", FCC_SURFACES, (3, 4, 3)),
    "Al fcc": lambda: FaceCenteredCubic("Al", FCC_SURFACES, (3, 4, 3)),
    "Yb fcc": lambda: FaceCenteredCubic("Yb", FCC_SURFACES, (3, 3, 2)),
}
# rotations about y that bring a particle's axis onto the beam, degrees; shapes of ASE have [100] along z
_AXES = {"along 100": 0.0, "along 110": 45.0, "along 2-fold": 0.0, "5 deg off 2-fold": 5.0}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One frame: which particle, how it is turned, which microscope, how many frozen phonons (0: atoms at rest)."""

    particle: str
    orientation: str
    microscope: str
    phonon_configurations: int = 0

    @property
    def name(self) -> str:
        phonons = f", {self.phonon_configurations} phonons" if self.phonon_configurations else ""
        return f"{self.particle}, {self.orientation}, {self.microscope}{phonons}"

    @property
    def on_axis(self) -> bool:
        return self.orientation.startswith("along")

    @property
    def element(self) -> str:
        return self.particle.split()[0]

    def atoms(self) -> Atoms:
        """The particle, centred and turned."""
        atoms = Atoms(_PARTICLES[self.particle]())
        atoms.cell, atoms.pbc = None, False
        atoms.positions -= atoms.positions.mean(axis=0)
        if self.orientation == "off axis":
            return random_rotation(atoms, seed=OFF_AXIS_SEED)
        atoms.positions = Rotation.from_euler("y", _AXES[self.orientation], degrees=True).apply(atoms.positions)
        return atoms


CASES = tuple(
    Case(particle=particle, orientation=orientation, microscope=microscope, phonon_configurations=phonons)
    for microscope, phonons, particles in (
        (
            "non_aberrated",
            0,
            (
                ("Au 147", "along 2-fold"),
                ("Au 147", "off axis"),
                ("Ir fcc", "along 110"),
                ("Ir fcc", "off axis"),
                ("Pt 146", "along 100"),
                ("Pt 146", "along 110"),
                ("Ag 140", "along 110"),
                ("Cu 147", "along 2-fold"),
                ("Pt 146", "off axis"),
                ("Cu 147", "off axis"),
                ("Ag 140", "along 100"),
                ("Ir fcc", "along 100"),
                ("Al fcc", "along 110"),
                ("Yb fcc", "along 110"),
                ("Yb fcc", "off axis"),
                ("Au 147", "5 deg off 2-fold"),
            ),
        ),
        ("aberrated", 0, (("Au 147", "along 2-fold"), ("Au 147", "off axis"), ("Ir fcc", "along 110"), ("Ir fcc", "off axis"))),
        ("non_aberrated", 4, (("Au 147", "along 2-fold"), ("Ir fcc", "off axis"))),
    )
    for particle, orientation in particles
)


def case_series(case: Case, *, engine: str, **engine_options) -> TiltSeries:
    """The case's frame, as a series of one, by any engine."""
    atoms = case.atoms()
    if engine != "incoherent":
        engine_options = {"phonon_configurations": case.phonon_configurations, **engine_options}
    elif not case.phonon_configurations:
        engine_options = {"thermal_displacement_A": 0.0, **engine_options}
    return simulate_tilt_series(
        atoms,
        microscope=MICROSCOPES[case.microscope],
        tilt_deg=[0.0],
        shape=N_PIXELS,
        field_of_view_A=bounding_diameter_A(atoms) + MARGIN_A,
        engine=engine,
        **engine_options,
    )


@lru_cache(maxsize=1)
def _stored() -> dict[str, np.ndarray]:
    with np.load(FRAMES_FILE) as stored:
        return dict(stored)


def stored_frame(case: Case) -> tuple[np.ndarray, float]:
    """The shipped frame (n_y, n_x) by PRISM, in fractions of the beam, and the seconds it took on two cores."""
    return _stored()[case.name], float(_stored()[f"{case.name}, seconds"])
