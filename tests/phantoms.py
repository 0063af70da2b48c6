"""Small volumes and their tilt series, for the tests of reconstruction."""

import numpy as np
from scipy.ndimage import gaussian_filter

from tsg_core.projection import project
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-90.0, 91.0, 6.0)


def spots(n_y=4, n=24, seed=0, sigma=1.5):
    """A volume of a few smooth spots, away from the edges."""
    volume = np.zeros((n_y, n, n), np.float32)
    rng = np.random.default_rng(seed)
    volume[rng.integers(n_y, size=12), *rng.integers(7, n - 7, (2, 12))] = 1
    return gaussian_filter(volume, (0, sigma, sigma))


def series_of(volume, tilt_deg=TILT_deg, **geometry):
    return TiltSeries(project(volume, tilt_deg=tilt_deg, **geometry), tilt_deg, 0.5)


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]
