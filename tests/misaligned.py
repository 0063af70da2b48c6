"""Recorded series whose shifts and tilt axis are known, without interpolation, for the tests of alignment."""

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron

from tsg_core.samples.experiment import recorded_balls, simulate_recorded
from tsg_core.tilt_series import TiltSeries


def irregular_tilts(n=29, *, wedge_deg=70.0, seed=0):
    return np.linspace(-wedge_deg, wedge_deg, n) + np.random.default_rng(seed).uniform(-1, 1, n)


def drift(n, *, step_px=1.0, seed=0):
    """A random walk (n, 2) about zero."""
    walk = np.cumsum(np.random.default_rng(seed).normal(0, step_px, (n, 2)), axis=0)
    return walk - walk.mean(axis=0)


def decahedron():
    atoms = Atoms(Decahedron("Au", 4, 3, 0))
    atoms.positions -= atoms.positions.mean(axis=0)
    atoms.rotate(33, (1, 2, 3))
    return atoms


def atoms_series(tilt_deg, shift_px, axis_deg, *, n=64, pixel_size_A=0.5, atoms=None):
    series = simulate_recorded(
        atoms or decahedron(), tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=axis_deg, shape=n,
        pixel_size_A=pixel_size_A, channelling=True,
    )  # fmt: skip
    return TiltSeries(series.frames / series.frames.max(), tilt_deg, pixel_size_A)


def blobs_series(tilt_deg, shift_px, axis_deg, *, seed=0):
    return recorded_balls(tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=axis_deg, shape=48, seed=seed)


def counted(series, *, peak_electrons, seed=0):
    """Poisson noise, `peak_electrons` in the brightest pixel."""
    frames = np.random.default_rng(seed).poisson(series.frames.clip(0) * peak_electrons) / peak_electrons
    return TiltSeries(frames, series.tilt_deg, series.pixel_size_A)
