"""Frames predicted by their covariances over the angle: kriging, or Gaussian process regression, band by band.

What a model of the object misses may change slowly from tilt to tilt, or completely from one tilt to the next. With a
wide probe it changes completely: the halo of the probe shows how strongly the crystal scatters beams inclined by up to
the convergence angle, and frames farther apart than twice that angle share none of it. A spline through such values is
farther from the truth than their mean. Kriging learns from the measured frames over which range of angles each band of
spatial frequencies keeps its value. It follows the values within that range, and returns to the mean beyond it. Applied
to whole frames it is the method `smooth`: a spline through two noisy neighbours carries their noise, but frames farther
away separate noise from real changes.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn, idctn

from ..tilt_series import TiltSeries
from .large_series import is_large

EDGES = (0.03, 0.06, 0.12, 0.25, 0.5)  # of the Nyquist frequency, radially; the mean of a frame is a separate band
RANGES = (
    0.25,
    0.5,
    0.7,
    1.0,
    1.4,
    2.0,
    3.0,
    5.0,
    8.0,
)  # over which values persist, in spacings of the measured frames
LASTING = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)  # fraction of the variance that all frames share
AT_ONCE = 16384  # coefficients of each spectrum, in double precision
NOISE = (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)  # relative to the variance
SHAPES = {  # of the covariance over the distance in ranges: Rasmussen and Williams, equations 4.9, 4.14 and 4.17
    "gaussian": lambda d: np.exp(-0.5 * d**2),
    "matern": lambda d: (1 + np.sqrt(3) * d) * np.exp(-np.sqrt(3) * d),
    "exponential": lambda d: np.exp(-d),
}


@dataclass(frozen=True, kw_only=True)
class Covariances:
    """The candidate covariances, all combinations of these; the most likely one is used."""

    shapes: tuple[str, ...] = ("gaussian",)
    ranges: tuple[float, ...] = RANGES
    lasting: tuple[float, ...] = LASTING
    noise: tuple[float, ...] = NOISE


RESIDUALS = Covariances()
FRAMES = Covariances(
    shapes=("exponential", "matern", "gaussian"),
    ranges=(0.5, 1, 2, 3, 5, 8, 13, 21, 34, 60),
    lasting=(0.0, 0.3, 0.6, 0.9, 0.97),
    noise=(1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0),
)


def smooth(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """The frames themselves by `kriged`, weighted by their noise and by how fast their content changes."""
    return kriged(series.frames, measured_deg=series.tilt_deg, tilt_deg=tilt_deg, covariances=FRAMES)


def kriged(
    frames: np.ndarray,
    *,
    measured_deg: np.ndarray,
    tilt_deg: np.ndarray,
    overwrite: bool = False,
    covariances: Covariances = RESIDUALS,
) -> np.ndarray:
    """The best linear prediction (n_target, n_y, n_x) at `tilt_deg` from frames (n_measured, n_y, n_x), float32.

    The coefficients of the cosine transform are assumed to be independent, and those of a band to have one
    distribution, with the covariance lasting + (1 - lasting) shape(d / range) at the angular distance d, plus noise.
    Shape, range, lasting fraction and noise of each band are the most likely ones of `covariances`. See Rasmussen and
    Williams, Gaussian Processes for Machine Learning (2006), sections 2.2 and 5.4.1.
    Large frames are transformed in their own precision, and in place if they may be overwritten.
    """
    if is_large(frames):
        spectrum = dctn(frames, axes=(1, 2), norm="ortho", overwrite_x=overwrite)
    else:
        spectrum = dctn(frames.astype(np.float64), axes=(1, 2), norm="ortho")
    bands = _bands(frames.shape[1:])
    spacing_deg = np.median(np.diff(measured_deg))
    apart = np.abs(measured_deg[:, None] - measured_deg) / spacing_deg
    wanted = np.abs(np.asarray(tilt_deg, np.float64)[:, None] - measured_deg) / spacing_deg
    predicted = np.empty((len(wanted), *frames.shape[1:]), spectrum.dtype)
    for band, (shape, reach, lasting, noise) in enumerate(likeliest(spectrum, bands, apart, covariances)):
        known = _covariance(apart, shape, reach, lasting) + noise * np.eye(len(apart))
        weights = np.linalg.solve(known, _covariance(wanted, shape, reach, lasting).T).T
        for some in _coefficients(bands, band):
            predicted.reshape(len(wanted), -1)[:, some] = weights @ _values(spectrum, some)
    return idctn(predicted, axes=(1, 2), norm="ortho", overwrite_x=True).astype(np.float32, copy=False)


def likeliest(
    spectrum: np.ndarray, bands: np.ndarray, apart: np.ndarray, covariances: Covariances
) -> list[tuple[str, float, float, float]]:
    """Shape, range in spacings, lasting fraction and noise of each band by maximum likelihood; the variance is free.

    spectrum (n, n_y, n_x), bands (n_y, n_x) from 0 on, apart (n, n): differences of angle in spacings.
    """
    n, n_bands = len(apart), int(bands.max()) + 1
    counts = np.bincount(bands.ravel())
    products = np.stack([_products(spectrum, bands, band) for band in range(n_bands)])
    best, found = np.full(n_bands, -np.inf), [(covariances.shapes[0], covariances.ranges[0], 0.0, 1.0)] * n_bands
    for shape, reach, lasting in itertools.product(covariances.shapes, covariances.ranges, covariances.lasting):
        values, vectors = np.linalg.eigh(_covariance(apart, shape, reach, lasting))
        powers = np.einsum("ik,bij,jk->bk", vectors, products, vectors, optimize=True)
        for noise in covariances.noise:
            variances = values.clip(0) + noise
            scale = (powers / variances).sum(axis=1) / (n * counts)
            likelihood = -counts / 2 * (np.log(variances).sum() + n * np.log(scale + np.finfo(float).tiny))
            for band in np.flatnonzero(likelihood > best):
                best[band], found[band] = likelihood[band], (shape, reach, lasting, noise)
    return found


def _products(spectrum: np.ndarray, bands: np.ndarray, band: int) -> np.ndarray:
    """(n, n): sums over the coefficients of a band."""
    values = (_values(spectrum, some) for some in _coefficients(bands, band))
    return sum(part @ part.T for part in values)


def _coefficients(bands: np.ndarray, band: int) -> Iterator[np.ndarray]:
    """Indices of the coefficients of a band in a flat spectrum, `AT_ONCE` at a time."""
    places = np.flatnonzero(bands == band)
    return (places[first : first + AT_ONCE] for first in range(0, len(places), AT_ONCE))


def _values(spectrum: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.take(spectrum.reshape(len(spectrum), -1), places, axis=1).astype(np.float64, copy=False)


def _covariance(apart: np.ndarray, shape: str, reach: float, lasting: float) -> np.ndarray:
    return lasting + (1 - lasting) * SHAPES[shape](apart / reach)


def _bands(shape: tuple[int, int]) -> np.ndarray:
    """(n_y, n_x): 0 for the mean of a frame, else the band that contains the radius of the frequency."""
    radius = np.hypot(*np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"))
    bands = np.digitize(radius, EDGES) + 1
    bands[0, 0] = 0
    return np.unique(bands, return_inverse=True)[1].reshape(shape)  # small frames lack some bands
