"""Recorded series whose shifts and tilt axis are known, without interpolation, for the tests of alignment."""

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron

from tsg_core.experiment import simulate_recorded
from tsg_core.geometry import pixel_centres_A
from tsg_core.preparation.transformation import recorded_positions, without_gauge
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


def blobs_series(tilt_deg, shift_px, axis_deg, *, n=48, pixel_size_A=5.0, seed=0, reach=0.3):
    """Projections of 25 Gaussian balls, sigma 1 to 3 pixels, within `reach` of the frame's edge from its middle."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(25, 3))
    radii_A = reach * n * pixel_size_A * rng.random((25, 1)) ** (1 / 3)
    positions_A = radii_A * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    weights, sigma_A = rng.uniform(0.3, 1, 25), pixel_size_A * rng.uniform(1, 3, 25)[:, None]
    shift_A = np.asarray(shift_px) * pixel_size_A
    recorded_A = recorded_positions(positions_A, tilt_deg=tilt_deg, shift_A=shift_A, axis_deg=axis_deg)
    centres_A = pixel_centres_A(n, pixel_size_A=pixel_size_A)
    across, along = (np.exp(-0.5 * ((centres_A - recorded_A[..., k : k + 1]) / sigma_A) ** 2) for k in (0, 1))
    frames = np.einsum("tby,tbx,b->tyx", along, across, weights)
    return TiltSeries(frames / frames.max(), tilt_deg, pixel_size_A)


def counted(series, *, peak_electrons, seed=0):
    """Poisson noise, `peak_electrons` in the brightest pixel."""
    frames = np.random.default_rng(seed).poisson(series.frames.clip(0) * peak_electrons) / peak_electrons
    return TiltSeries(frames, series.tilt_deg, series.pixel_size_A)


def shift_error_px(found_px, true_px, *, tilt_deg, axis_deg):
    """Root mean square distance, but for a translation of the object."""
    left = without_gauge(np.asarray(found_px) - true_px, tilt_deg=tilt_deg, axis_deg=axis_deg)
    return float(np.sqrt((left**2).sum(axis=1).mean()))
