"""What the rivals are given: simulated series whose truth is known, and recorded ones whose frames were left out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from extended import recorded

from tsg_core.geometry import binned_frames
from tsg_core.microscope import MICROSCOPES, NON_ABERRATED, Microscope
from tsg_core.samples.multislice_sets import multislice_set
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.extended_samples import extended_sample
from tsg_core.simulation.noise import with_dose
from tsg_core.structures import random_rotation, training_particles
from tsg_core.tilt_series import TiltSeries

SHARP, WIDE = "non_aberrated", "aberrated"


@dataclass(frozen=True, eq=False, kw_only=True)
class Sparse:
    """A measured series; the clean frames half-way between; the particle where it is known, and its microscope.

    `peak` is the brightest pixel of the clean frames.
    """

    measured: TiltSeries
    targets: TiltSeries
    peak: float
    atoms: Atoms | None = None
    microscope: Microscope = NON_ABERRATED


@dataclass(frozen=True, kw_only=True)
class Case:
    """`load(folder)` gives the series; `recorded` ones need the folder."""

    name: str
    load: Callable[[Path | None], Sparse]
    recorded: bool = False


def split(clean: TiltSeries, *, every: int, dose_per_A2: float | None = None, **known) -> Sparse:
    """Each `every`-th frame is measured, with noise if there is a dose; frames half-way between are to be predicted."""
    measured = np.arange(0, (len(clean) - 1) // every * every + 1, every)
    noisy = clean if dose_per_A2 is None else with_dose(clean, dose_per_A2=dose_per_A2, seed=0)
    return Sparse(
        measured=noisy.subset(measured),
        targets=clean.subset(measured[:-1] + every // 2),
        peak=clean.intensity_scale,
        **known,
    )


def multislice(number: int, microscope: str, *, every: int, dose_per_A2: float | None = None) -> Sparse:
    """A particle of the shipped multislice set, whose frames are four degrees apart."""
    found = multislice_set("test", microscope)
    known = {"atoms": found.atoms(number), "microscope": MICROSCOPES[microscope]}
    return split(found[number], every=every, dose_per_A2=dose_per_A2, **known)


def incoherent(element: str, *, step_deg: float, to_deg: float, dose_per_A2: float | None = None) -> Sparse:
    """A particle by the incoherent engine, 64 px wide."""
    particles = training_particles(12, seed=5, diameter_A=(9, 12))
    atoms = random_rotation(next(a for a in particles if a.info["element"] == element), seed=3)
    tilt_deg = np.arange(-to_deg, to_deg + 1e-6, step_deg / 2)
    clean = simulate_tilt_series(
        atoms, microscope=NON_ABERRATED, tilt_deg=tilt_deg, shape=64, field_of_view_A=18.0, seed=0
    )
    return split(clean, every=2, dose_per_A2=dose_per_A2, atoms=atoms)


def film(*, step_deg: float, to_deg: float, dose_per_A2: float | None = None) -> Sparse:
    """An amorphous film of tantalum that goes on outside the frames, 40 px wide."""
    tilt_deg, wide_A = np.arange(-to_deg, to_deg + 1e-6, step_deg / 2), 13.0
    atoms = extended_sample(
        "Ta",
        sample="film",
        microscope=NON_ABERRATED,
        tilt_deg=tilt_deg,
        field_of_view_A=wide_A,
        thickness_A=14.0,
        seed=1,
    )
    clean = simulate_tilt_series(
        atoms, microscope=NON_ABERRATED, tilt_deg=tilt_deg, shape=40, field_of_view_A=wide_A, seed=0
    )
    return split(clean, every=2, dose_per_A2=dose_per_A2)


def of_recording(folder: Path, *, name: str, every: int, binning: int) -> Sparse:
    """Every so many recorded frames are measured; the recorded ones half-way, noise and all, are to be predicted."""
    series = dict(recorded(folder))[name]
    frames = binned_frames(series.frames, binning)
    return split(replace(series, frames=frames, pixel_size_A=binning * series.pixel_size_A), every=every)


RECONSTRUCTION = (
    Case(name="Ir 55, multislice, every 12 deg", load=lambda _: multislice(3, SHARP, every=3)),
    Case(
        name="Al 43, multislice, every 8 deg, 1e4 e/A2", load=lambda _: multislice(1, SHARP, every=2, dose_per_A2=1e4)
    ),
    Case(name="Pt, incoherent, every 6 deg to 72", load=lambda _: incoherent("Pt", step_deg=6, to_deg=72)),
    Case(
        name="Ag, incoherent, every 10 deg, 1e4 e/A2",
        load=lambda _: incoherent("Ag", step_deg=10, to_deg=90, dose_per_A2=1e4),
    ),
)
PREDICTION = (
    Case(name="Ir 55, multislice, every 8 deg", load=lambda _: multislice(3, SHARP, every=2)),
    Case(name="Ir 43, multislice, aberrated, every 8 deg", load=lambda _: multislice(6, WIDE, every=2)),
    Case(
        name="Al 43, multislice, every 8 deg, 1e4 e/A2", load=lambda _: multislice(1, SHARP, every=2, dose_per_A2=1e4)
    ),
    Case(name="Ta film, every 4 deg to 60", load=lambda _: film(step_deg=4, to_deg=60)),
    Case(name="Ta film, every 4 deg, 1e4 e/A2", load=lambda _: film(step_deg=4, to_deg=60, dose_per_A2=1e4)),
    *(
        Case(
            name=f"{name}, recorded, every {nth}",
            load=partial(of_recording, name=name, every=every, binning=binning),
            recorded=True,
        )
        for name, nth, every, binning in (
            ("film example", "2nd", 2, 1),
            ("film example", "4th", 4, 1),
            ("Ta film, area 1", "2nd", 2, 1),
            ("needle of etspy", "2nd", 2, 2),  # one round of the neural field through whole frames would take an hour
        )
    ),
)
