"""How well a dense, noisy film can be aligned at all, beside how well it is: `python benchmarks/alignment_limit.py`.

The film of random Gaussian spots goes on outside the frames, 24 x 40 pixels; noise is in standard deviations of the
frames. `found` is the error of the shifts by `align`, apart from a translation of the film. `least` is the smallest
error of any unbiased estimator (Cramer-Rao bound) that knows the film by its thickness and power spectrum alone, `film
known` that of one that knows every frame without noise. The bound takes the film for a Gaussian random field with the
covariance of the spots, periodic along y; it follows from the Fisher information of the covariance of all frames.
"""

from dataclasses import replace

import numpy as np
from alignment_films import Film, recorded

from tsg_core.geometry import pixel_centres_A, translation_terms
from tsg_core.preparation.alignment import align
from tsg_core.preparation.random_field import RandomField
from tsg_core.preparation.transformation import shift_error_px

FILM = Film(density=0.03)
SQUARED_WEIGHT = 13 / 12  # mean square of weights that are even between 0.5 and 1.5
HIGHEST = 3.0  # frequencies along y, in units of 1 / sigma: higher ones hold no signal


def information(tilt_deg: np.ndarray, *, noise_variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Fisher information (n_tilt, n_tilt) about the shifts along y, and along x."""
    n_tilt = len(tilt_deg)
    field = RandomField(
        sigma_px=np.array([FILM.sigma_px]),
        variance=np.array([FILM.density * SQUARED_WEIGHT * FILM.thickness_px * np.pi * FILM.sigma_px**2]),
        noise=noise_variance,
        thickness_px=FILM.thickness_px,
    )
    x_px = np.tile(pixel_centres_A(FILM.n_x, pixel_size_A=1.0), (n_tilt, 1))
    covariances = field.row_covariances(x_px, tilt_deg=tilt_deg)
    along_y, along_x = np.zeros((2, n_tilt, n_tilt))
    for k in 2 * np.pi * np.fft.fftfreq(FILM.n_y):
        if k < 0 or k * FILM.sigma_px > HIGHEST:
            continue
        both = 1 if k == 0 else 2  # its sign
        of_film, steep, _ = (of.astype(float) for of in covariances.weighted(field.powers(k)))
        whole = of_film + noise_variance * np.eye(len(of_film))
        inverse = np.linalg.inv(whole)
        passed = steep @ inverse
        along_x += both * of_tilts(passed * passed.T + (passed @ steep.T) * inverse, n_tilt)
        along_y += both * k**2 * (of_tilts(inverse * whole, n_tilt) - FILM.n_x * np.eye(n_tilt))
    return along_y, along_x


def of_tilts(products: np.ndarray, n_tilt: int) -> np.ndarray:
    return products.reshape(n_tilt, FILM.n_x, n_tilt, FILM.n_x).sum(axis=(1, 3))


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
        series, true_px = recorded(replace(FILM, noise=noise), seed=0)
        clean, _ = recorded(replace(FILM, noise=0.0), seed=0)
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
