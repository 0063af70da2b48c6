"""Multislice frames shipped with the package, and the same frames by any engine.

`python benchmarks/multislice_frames.py` made these single frames of small particles, on and off zone axes. For whole
series see `multislice_series`.
"""

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.cluster import FaceCenteredCubic, Icosahedron, Octahedron
from scipy.spatial.transform import Rotation

from ..microscope import MICROSCOPES, NON_ABERRATED
from ..simulation.series import simulate_tilt_series
from ..structures import FCC_SURFACES, TRAINING_ELEMENTS, bounding_diameter_A, random_rotation
from ..tilt_series import TiltSeries

FRAMES_FILE = Path(__file__).parent / "multislice_frames.npz"
# "annular detector, 0 to 45 mrad", as the TSGNet paper prints it
PRINTED_DETECTOR = replace(NON_ABERRATED, detector_inner_mrad=0.0, detector_outer_mrad=45.0)
REFERENCE_MICROSCOPES = {**MICROSCOPES, "printed_detector": PRINTED_DETECTOR}
N_PIXELS = 64
MARGIN_A = 5.0  # by which the field of view exceeds the particle
OFF_AXIS_SEED = 1

_PARTICLES = {
    "Au 147": lambda: Icosahedron("Au", 4),
    "Pt 146": lambda: Octahedron("Pt", 6),
    "Ag 140": lambda: Octahedron("Ag", 6, 1),
    "Cu 147": lambda: Icosahedron("Cu", 4),
    "Ir fcc": lambda: FaceCenteredCubic("Ir", FCC_SURFACES, (3, 4, 3)),
    "Al fcc": lambda: FaceCenteredCubic("Al", FCC_SURFACES, (3, 4, 3)),
    "Yb fcc": lambda: FaceCenteredCubic("Yb", FCC_SURFACES, (3, 3, 2)),
}
# rotations about y, in degrees, that bring an axis of the particle onto the beam; ASE's shapes have [100] along z
_AXES = {"along 100": 0.0, "along 110": 45.0, "along 2-fold": 0.0}


@dataclass(frozen=True, kw_only=True)
class MultisliceFrame:
    """One frame: its particle, orientation, microscope and number of frozen phonons (0: atoms at rest)."""

    particle: str
    orientation: str
    microscope: str
    phonon_configurations: int = 0

    @property
    def engine(self) -> str:
        """PRISM; or multislice where PRISM would need the whole box as its window, which would take longer."""
        return "abtem_multislice" if self.microscope == "aberrated" else "abtem_prism"

    @property
    def name(self) -> str:
        phonons = f", {self.phonon_configurations} phonons" if self.phonon_configurations else ""
        return f"{self.particle}, {self.orientation}, {self.microscope}{phonons}"

    @property
    def element(self) -> str:
        return self.particle.split()[0]

    @property
    def used_in_fit(self) -> bool:
        """Whether `benchmarks/fit_channelling.py` used this frame to fit the channelling coefficients."""
        sharp = self.microscope == "non_aberrated" and not self.phonon_configurations
        return sharp and self.element in TRAINING_ELEMENTS

    def atoms(self) -> Atoms:
        """The particle, centred and rotated."""
        atoms = Atoms(_PARTICLES[self.particle]())
        atoms.cell, atoms.pbc = None, False
        atoms.positions -= atoms.positions.mean(axis=0)
        if self.orientation == "off axis":
            return random_rotation(atoms, seed=OFF_AXIS_SEED)
        atoms.positions = Rotation.from_euler("y", _AXES[self.orientation], degrees=True).apply(atoms.positions)
        return atoms

    @property
    def field_of_view_A(self) -> float:
        return bounding_diameter_A(self.atoms()) + MARGIN_A


_SHARP = (
    ("Au 147", "along 2-fold"),
    ("Au 147", "off axis"),
    ("Ir fcc", "along 110"),
    ("Cu 147", "along 2-fold"),
    ("Pt 146", "along 100"),
    ("Yb fcc", "along 110"),
    ("Al fcc", "along 110"),
    ("Ag 140", "along 110"),
    ("Ir fcc", "off axis"),
    ("Pt 146", "off axis"),
)
CASES = (
    *(MultisliceFrame(particle=p, orientation=o, microscope="non_aberrated") for p, o in _SHARP),
    MultisliceFrame(particle="Ir fcc", orientation="off axis", microscope="aberrated"),
    MultisliceFrame(particle="Ir fcc", orientation="off axis", microscope="printed_detector"),
    MultisliceFrame(particle="Ir fcc", orientation="along 110", microscope="non_aberrated", phonon_configurations=3),
)


def case_series(
    case: MultisliceFrame, *, engine: str, only: list[int] | None = None, tilt_deg=(0.0,), **engine_options
) -> TiltSeries:
    """The frame of a case by any engine, as a series of one. `only` keeps some atoms, `tilt_deg` tilts them."""
    atoms = case.atoms()
    if engine != "incoherent":
        engine_options = {"phonon_configurations": case.phonon_configurations, **engine_options}
    elif not case.phonon_configurations:
        engine_options = {"thermal_displacement_A": 0.0, **engine_options}
    return simulate_tilt_series(
        atoms if only is None else atoms[only],
        microscope=REFERENCE_MICROSCOPES[case.microscope],
        tilt_deg=tilt_deg,
        shape=N_PIXELS,
        field_of_view_A=case.field_of_view_A,
        engine=engine,
        **engine_options,
    )


@lru_cache(maxsize=1)
def _stored() -> dict[str, np.ndarray]:
    with np.load(FRAMES_FILE) as stored:
        return dict(stored)


def stored_frame(case: MultisliceFrame) -> tuple[np.ndarray, float]:
    """The shipped frame (n_y, n_x) in fractions of the beam, and the seconds it took on two cores under other load."""
    return _stored()[case.name], float(_stored()[f"{case.name}, seconds"])


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """A shipped frame and those of the fast engine, (n_y, n_x) in fractions of the beam, and the seconds of each."""

    reference: np.ndarray
    incoherent: np.ndarray
    channelling: np.ndarray
    pixel_size_A: float
    reference_s: float
    incoherent_s: float
    channelling_s: float

    def r(self, engine: str) -> float:
        """Pearson correlation of the pixels of the reference with those of "incoherent" or "channelling"."""
        return float(np.corrcoef(self.reference.ravel(), getattr(self, engine).ravel())[0, 1])

    def total_ratio(self, engine: str) -> float:
        """Ratio of the total intensity to that of the reference."""
        return float(getattr(self, engine).sum() / self.reference.sum())


def likeness(case: MultisliceFrame, *, repeats: int = 20) -> Likeness:
    """A case by the fast engine, without and with channelling; times are for one frame out of many."""
    reference, reference_s = stored_frame(case)
    frames, seconds = {}, {}
    for name, channelling in (("incoherent", False), ("channelling", True)):
        series = case_series(case, engine="incoherent", channelling=channelling)  # also fills the caches
        start = time.perf_counter()
        case_series(case, engine="incoherent", channelling=channelling, tilt_deg=np.linspace(0, 1, repeats))
        frames[name], seconds[f"{name}_s"] = series.frames[0], (time.perf_counter() - start) / repeats
    return Likeness(reference=reference, reference_s=reference_s, pixel_size_A=series.pixel_size_A, **frames, **seconds)


def multislice_s_per_A2() -> float:
    """Seconds for a shipped frame per area of its field of view: the mean of the two microscopes' medians."""
    rates = {name: [] for name in MICROSCOPES}
    for case in CASES:
        if case.microscope in rates and not case.phonon_configurations:
            rates[case.microscope].append(stored_frame(case)[1] / case.field_of_view_A**2)
    return float(np.mean([np.median(values) for values in rates.values()]))
