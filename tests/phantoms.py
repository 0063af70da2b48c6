"""Small volumes and their tilt series, for the tests of reconstruction."""

import numpy as np
from scipy.ndimage import gaussian_filter

from tsg_core.geometry import pixel_centres_A, rotate_about_y, tilted_positions
from tsg_core.reconstruction.projection import project
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-90.0, 91.0, 6.0)
SPOT_TILT_deg = np.arange(-90.0, 91.0, 3.0)


def spots(n_y=4, n=24, seed=0, sigma=1.5):
    """A volume of a few smooth spots, away from the edges."""
    volume = np.zeros((n_y, n, n), np.float32)
    rng = np.random.default_rng(seed)
    volume[rng.integers(n_y, size=12), *rng.integers(7, n - 7, (2, 12))] = 1
    return gaussian_filter(volume, (0, sigma, sigma))


def series_of(volume, tilt_deg=TILT_deg, **geometry):
    return TiltSeries(project(volume, tilt_deg=tilt_deg, **geometry), tilt_deg, 0.5)


def film(tilt_deg, *, n_y=10, n_x=40, thickness_px=24, per_px3=0.004, sigma_px=1.6, noise=0.0, seed=0, shift_px=None):
    """A series of a film of random Gaussian spots, which goes on outside the frames in all directions but z.

    No voxels are in it: every spot is drawn where `geometry.rotate_about_y` says, displaced by `shift_px` (n_tilt, 2)
    along y and x.
    """
    rng = np.random.default_rng(seed)
    reach = np.array([6 * n_x, n_y + 8 * sigma_px, thickness_px])
    x, y, z = rng.uniform(-reach / 2, reach / 2, (int(per_px3 * reach.prod()), 3)).T
    tilt = np.deg2rad(np.asarray(tilt_deg, float))[:, None]
    column, _ = rotate_about_y(x, z, np.cos(tilt), np.sin(tilt))
    along, across = np.zeros((2, len(tilt), 1)) if shift_px is None else np.asarray(shift_px).T[..., None]
    weights, column, row = rng.uniform(0.5, 1.5, len(x)), column + across, y + along
    along_x = np.exp(-((pixel_centres_A(n_x, pixel_size_A=1.0) - column[..., None]) ** 2) / (2 * sigma_px**2))
    along_y = np.exp(-((pixel_centres_A(n_y, pixel_size_A=1.0) - row[..., None]) ** 2) / (2 * sigma_px**2))
    frames = np.einsum("tax,tay,a->tyx", along_x, along_y, weights, optimize=True)
    return TiltSeries(frames + noise * frames.std() * rng.standard_normal(frames.shape), tilt_deg, 0.5)


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def spot_series(tilt_deg=SPOT_TILT_deg, n=32):
    """Frames of twelve Gaussian spots at random places of a sphere."""
    rng = np.random.default_rng(4)
    positions = rng.normal(size=(12, 3))
    positions *= 5 * rng.random((12, 1)) ** (1 / 3) / np.linalg.norm(positions, axis=1, keepdims=True)
    grid = pixel_centres_A(n, pixel_size_A=0.5)
    columns, rows, _ = np.moveaxis(tilted_positions(positions, tilt_deg=tilt_deg), -1, 0)
    along_x = np.exp(-((grid - columns[..., None]) ** 2) / (2 * 0.7**2))
    along_y = np.exp(-((grid - rows[..., None]) ** 2) / (2 * 0.7**2))
    return TiltSeries(np.einsum("tay,tax->tyx", along_y, along_x), tilt_deg, 0.5, metadata={"sample": "spots"})
