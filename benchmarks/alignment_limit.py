"""How well a dense, noisy film can be aligned at all, beside how well it is: `python benchmarks/alignment_limit.py`.

The film of random Gaussian spots goes on outside the frames, 24 x 40 pixels; noise is in standard deviations of the
frames. `found` is the error of the shifts by `align`, apart from a translation of the film. `least` is the smallest
error of any unbiased estimator (Cramer-Rao bound) that knows the film by its thickness and power spectrum alone, `film
known` that of one that knows every frame without noise. The bound takes the film for a Gaussian random field with the
covariance of the spots, periodic along y; it follows from the Fisher information of the covariance of all frames.
"""

import numpy as np
from poses import N_X, N_Y, Case, SIGMA_px, THICKNESS_px, frames_of
from scipy.special import erf

from tsg_core.geometry import translation_terms
from tsg_core.preparation.alignment import align
from tsg_core.preparation.transformation import shift_error_px
from tsg_core.tilt_series import TiltSeries

DENSITY = 0.03  # spots per cubic pixel
SQUARED_WEIGHT = 13 / 12  # mean square of weights that are even between 0.5 and 1.5
WEDGE_deg, SPACING_deg, STEP_px = 70.0, 5.0, 0.8  # STEP_px is that of the drift between frames
HIGHEST = 3.0  # frequencies along y, in units of 1 / SIGMA_px: higher ones hold no signal


def recorded(*, noise: float) -> tuple[TiltSeries, np.ndarray]:
    """A series with irregular angles, and its true shifts (n_tilt, 2), a random walk."""
    rng = np.random.default_rng(0)
    n = int(2 * WEDGE_deg / SPACING_deg) + 1
    tilt_deg = np.linspace(-WEDGE_deg, WEDGE_deg, n) + rng.uniform(-1, 1, n)
    shift_px = np.cumsum(rng.normal(0, STEP_px, (n, 2)), axis=0)
    shift_px -= shift_px.mean(axis=0)
    frames = frames_of(Case(kind="film", wrong="drift", density=DENSITY), tilt_deg, shift_px)
    return TiltSeries(frames + noise * frames.std() * rng.standard_normal(frames.shape), tilt_deg, 1.0), shift_px


def row_covariance(tilt_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of the pixels of a row, all tilts (n_tilt * N_X, same), but for a factor; and its slope along x."""
    tilt = np.repeat(np.deg2rad(tilt_deg), N_X)
    x = np.tile(np.arange(N_X) - (N_X - 1) / 2, len(tilt_deg))
    cos, turned = np.cos(tilt), np.sin(tilt[:, None] - tilt)
    apart = x[:, None] * cos - x * cos[:, None]
    width = SIGMA_px * np.sqrt(cos[:, None] ** 2 + cos**2)
    ends = [(apart + sign * turned * THICKNESS_px / 2) / width for sign in (1, -1)]
    same = np.abs(turned) < 1e-6  # the frame itself
    turned = np.where(same, 1.0, turned)
    inside = np.exp(-((apart / width) ** 2) / 2) * THICKNESS_px
    integral = width / turned * np.sqrt(np.pi / 2) * (erf(ends[0] / np.sqrt(2)) - erf(ends[1] / np.sqrt(2)))
    slope = (np.exp(-(ends[0] ** 2) / 2) - np.exp(-(ends[1] ** 2) / 2)) / turned
    covariance = np.where(same, inside, integral) / width
    return covariance, np.where(same, -inside * apart / width**2, slope) * cos / width


def information(tilt_deg: np.ndarray, *, noise_variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Fisher information (n_tilt, n_tilt) about the shifts along y, and along x."""
    n_tilt = len(tilt_deg)
    covariance, slope = row_covariance(tilt_deg)
    frequency = 2 * np.pi * np.fft.fftfreq(N_Y)
    power = DENSITY * SQUARED_WEIGHT * (2 * np.pi) ** 1.5 * SIGMA_px**4 * np.exp(-((frequency * SIGMA_px) ** 2))
    white = noise_variance * np.eye(len(covariance))
    along_y, along_x = np.zeros((2, n_tilt, n_tilt))
    for k, p in zip(frequency, power, strict=True):
        if k < 0 or k * SIGMA_px > HIGHEST:
            continue
        both = 1 if k == 0 else 2  # its sign
        whole, steep = p * covariance + white, p * slope
        inverse = np.linalg.inv(whole)
        passed = steep @ inverse
        along_x += both * of_tilts(passed * passed.T + (passed @ steep.T) * inverse, n_tilt)
        along_y += both * k**2 * (of_tilts(inverse * whole, n_tilt) - N_X * np.eye(n_tilt))
    return along_y, along_x


def of_tilts(products: np.ndarray, n_tilt: int) -> np.ndarray:
    return products.reshape(n_tilt, N_X, n_tilt, N_X).sum(axis=(1, 3))


def least_px(information_of: np.ndarray, translations: np.ndarray) -> float:
    """The smallest root mean square error, apart from `translations` (n_tilt, n), of shifts along one axis."""
    basis = np.linalg.qr(translations)[0]
    of_others = np.eye(len(basis)) - basis @ basis.T
    variance = np.linalg.pinv(information_of, rcond=1e-9, hermitian=True)
    return float(np.sqrt(np.trace(of_others @ variance @ of_others) / len(basis)))


def known_px(clean: np.ndarray, *, noise: float) -> float:
    """The smallest error if every frame (n_tilt, n_y, n_x) were known without noise."""
    slopes = (np.square(np.gradient(clean, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    return float(np.sqrt(sum((noise * clean.std()) ** 2 / slope for slope in slopes).mean()))


def main() -> None:
    print("noise   before px  found px  least px  film known px")
    for noise in (0.03, 0.1, 0.3):
        series, true_px = recorded(noise=noise)
        clean, _ = recorded(noise=0.0)
        found_px = align(series).shift_px
        before, found = (
            shift_error_px(s, true_px, tilt_deg=series.tilt_deg, axis_deg=0.0) for s in (0 * true_px, found_px)
        )
        along_y, along_x = information(series.tilt_deg, noise_variance=(noise * clean.frames.std()) ** 2)
        of_y = least_px(along_y, np.ones((len(true_px), 1)))
        least = np.hypot(of_y, least_px(along_x, translation_terms(series.tilt_deg)))
        known = known_px(clean.frames, noise=noise)
        print(f"{noise:5.2f} {before:11.2f} {found:9.3f} {least:9.3f} {known:14.3f}", flush=True)


if __name__ == "__main__":
    main()
