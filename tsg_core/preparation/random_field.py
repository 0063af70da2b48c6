"""A film as a Gaussian random field: what a power spectrum and a thickness alone say about its frames.

The field is stationary between two planes and vanishes outside them. Its covariance is a sum of Gaussians of several
widths, so that the covariance of two pixels at two tilts, and its slopes, have a closed form. The weights of these
Gaussians and of white noise are those under which the mean periodogram of the frames is likeliest (Whittle, Ark. Mat.
2, 423, 1953), found by multiplicative updates (Fevotte, Bertin and Durrieu, Neural Comput. 21, 793, 2009).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import erf

SIGMA_px = 0.6 * 1.5 ** np.arange(7)  # of the spots whose autocorrelations are the Gaussians
WIDEST = 1 / 8  # of the longer side of a frame
NEGLIGIBLE = 3e-3  # of the strongest Gaussian's power
LEAST_NOISE = 0.01  # of the variance: no real film is such a field exactly
FAINTEST = 1e-6  # noise of frames without any signal
N_UPDATES = 300
PARALLEL = 1e-6  # sine of an angle between frames below which they count as the same


@dataclass(frozen=True, eq=False, kw_only=True)
class RandomField:
    """The statistics of a film; lengths are in pixels of the frames.

    sigma_px      (n,) of spots whose autocorrelations make up the covariance
    variance      (n,) that each contributes to a frame without tilt
    noise         variance of white noise in a pixel
    thickness_px  along z
    """

    sigma_px: np.ndarray
    variance: np.ndarray
    noise: float
    thickness_px: float

    @classmethod
    def of(cls, frames: np.ndarray, *, tilt_deg: np.ndarray, thickness_px: float) -> "RandomField":
        """The field of frames (n_tilt, n_y, n_x), misaligned or not."""
        n_y, n_x = frames.shape[1:]
        window = np.hanning(n_y + 2)[1:-1, None] * np.hanning(n_x + 2)[1:-1]
        window /= np.sqrt((window**2).mean())
        means = (frames * window).mean(axis=(1, 2)) / window.mean()
        spectrum = np.fft.fft2((frames - means[:, None, None]) * window, norm="ortho")
        periodogram = np.square(np.abs(spectrum)).mean(axis=0)
        squared = (2 * np.pi * np.fft.fftfreq(n_y)[:, None]) ** 2 + (2 * np.pi * np.fft.fftfreq(n_x)) ** 2
        above_mean = squared > (3 * np.pi / max(n_y, n_x)) ** 2
        sigma_px = SIGMA_px[max(n_y, n_x) * WIDEST > SIGMA_px]
        longer = np.mean(1 / np.cos(np.deg2rad(tilt_deg)).clip(min=0.1))  # paths through tilted films
        spectra = [4 * np.pi * s**2 * np.exp(-(s**2) * squared[above_mean]) * longer for s in sigma_px]
        spectra = np.array([*spectra, np.ones(above_mean.sum())])
        weights = _likeliest_weights(spectra, periodogram[above_mean])
        strong = weights[:-1] * sigma_px**2 > NEGLIGIBLE * (weights[:-1] * sigma_px**2).max()
        noise = max(float(weights[-1]), LEAST_NOISE * float(weights[:-1].sum()), FAINTEST)
        return cls(sigma_px=sigma_px[strong], variance=weights[:-1][strong], noise=noise, thickness_px=thickness_px)

    def powers(self, frequency: float) -> np.ndarray:
        """Power (n,) of each Gaussian at a frequency along y, in radians a pixel, for the unitary transform of rows."""
        return self.variance * np.sqrt(4 * np.pi) * self.sigma_px * np.exp(-((frequency * self.sigma_px) ** 2))

    def row_covariances(self, x: np.ndarray, *, tilt_deg: np.ndarray) -> "RowCovariances":
        """Of pixels in a row at places x (n_tilt, n_x), with a power of 1 for each Gaussian."""
        tilt = np.repeat(np.deg2rad(tilt_deg), x.shape[1]).astype(np.float32)
        cos, turned, x = np.cos(tilt), np.sin(tilt[:, None] - tilt), x.ravel().astype(np.float32)
        apart, half = x[:, None] * cos - x * cos[:, None], turned * np.float32(self.thickness_px / 2)
        squared = cos[:, None] ** 2 + cos**2
        same = np.abs(turned) < PARALLEL
        between = np.where(same, np.float32(1), turned)
        values, slopes, thicker = np.empty((3, len(self.sigma_px), *apart.shape), np.float32)
        for k, s in enumerate(self.sigma_px.astype(np.float32)):
            scale = 1 / (s * np.sqrt(2 * squared))
            inside = np.exp(-np.square(apart * scale)) * np.float32(np.sqrt(2)) / np.sqrt(squared)
            upper, lower = (apart + half) * scale, (apart - half) * scale
            at_upper, at_lower = np.exp(-(upper**2)), np.exp(-(lower**2))
            density = np.float32(np.sqrt(np.pi) * s / self.thickness_px) / between
            steep = np.float32(2 / np.sqrt(np.pi)) * scale * density
            values[k] = np.where(same, inside, (erf(upper) - erf(lower)) * density)
            slopes[k] = np.where(same, -2 * apart * scale**2 * inside, (at_upper - at_lower) * steep) * cos
            thicker[k] = np.where(same, 0, (at_upper + at_lower) * steep * half - values[k])
        return RowCovariances(values=values, slopes=slopes, thicker=thicker)


@dataclass(frozen=True, eq=False, kw_only=True)
class RowCovariances:
    """Covariances (n, n_tilt * n_x, same) of the pixels of a row; n Gaussians.

    slopes    their derivatives by the place of the first pixel
    thicker   and by the logarithm of the thickness
    """

    values: np.ndarray
    slopes: np.ndarray
    thicker: np.ndarray

    def weighted(self, powers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, slopes and thicker (n_tilt * n_x, same), summed over Gaussians of these powers (n,)."""
        powers = powers.astype(np.float32)
        return tuple(np.tensordot(powers, of, axes=1) for of in (self.values, self.slopes, self.thicker))


def _likeliest_weights(spectra: np.ndarray, periodogram: np.ndarray) -> np.ndarray:
    weights = periodogram.mean() / len(spectra) / spectra.mean(axis=1)
    for _ in range(N_UPDATES):
        power = weights @ spectra + 1e-30
        weights = weights * np.sqrt((spectra @ (periodogram / power**2)) / (spectra @ (1 / power)))
    return weights
