"""What a model of the object misses in the measured frames, carried over to other angles as far as it can be trusted.

Part of the residual of a measured frame is signal that changes slowly from tilt to tilt, which interpolation carries
over; part is detail that has changed completely by the next frame; and part is noise. Frames left out of the model show
how much there is of each, in bands of spatial frequency.
"""

from collections.abc import Iterable

import numpy as np
from scipy.fft import dctn, idctn

from .angles import along_angle, spline_weights

BAND_EDGES = (0.06, 0.12, 0.25, 0.5)  # of the Nyquist frequency, along y and x; every band has its own weight
N_BANDS = len(BAND_EDGES) + 1


def spectrum_of(frames: np.ndarray) -> np.ndarray:
    """The cosine transform of frames (n, n_y, n_x), in place: they are overwritten."""
    return dctn(frames, axes=(1, 2), norm="ortho", overwrite_x=True)


def carried_residual(
    spectrum: np.ndarray, *, measured_deg: np.ndarray, tilt_deg: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Residuals (n_target, n_y, n_x) at `tilt_deg`, from the `spectrum_of` the residuals at `measured_deg`.

    A cubic spline over the angles, with each band of spatial frequencies multiplied by its weight, as
    `residual_weights` gives them.
    """
    spectrum = along_angle(spline_weights(measured_deg, tilt_deg), spectrum)
    return idctn(spectrum * weights.ravel()[_bands(spectrum.shape[1:])], axes=(1, 2), norm="ortho")


def residual_weights(
    residual: np.ndarray, *, measured_deg: np.ndarray, left_out: np.ndarray, left_out_deg: np.ndarray
) -> np.ndarray:
    """Weights (5, 5), 0 to 1, of the bands of frequencies along y and x, lowest first. Both arrays are overwritten.

    `residual` (n_measured, n_y, n_x) belongs to the frames that made the model, `left_out` (n_left_out, n_y, n_x) to
    frames between them. A weight is c S / (S + N). S and N are the powers of signal and noise in the spline's
    prediction of a band (a Wiener filter); c is the eighth root of the fraction of that signal that the left-out frames
    confirm. The root is there because the prediction will be used with all frames, at half the distance, where a
    second-order error shrinks to a quarter and a fourth-order error, the spline's own, to a sixteenth. Noise is assumed
    to be white, and as strong as the quietest bands of the left-out frames and of the prediction's error allow.
    """
    spline = spline_weights(measured_deg, left_out_deg)
    predicted, true = along_angle(spline, spectrum_of(residual)), spectrum_of(left_out)
    total = _band_means(p**2 for p in predicted)
    passed = np.mean((spline**2).sum(axis=1))  # fraction of the noise's variance that passes the spline
    unlike = _band_means((t - p) ** 2 for t, p in zip(true, predicted, strict=True))
    allowed = np.minimum(_band_means(t**2 for t in true), unlike / (1 + passed))
    noise = np.nanmin(allowed)
    signal = (total - noise * passed).clip(0)
    alike = _band_means(t * p for t, p in zip(true, predicted, strict=True))
    confirmed = _ratio(alike, signal).clip(0, 1)
    return np.nan_to_num(confirmed ** (1 / 8) * _ratio(signal, total)).reshape(N_BANDS, N_BANDS)


def white_noise_bound(frames: Iterable[np.ndarray], *, standard_errors: float = 2.0) -> float:
    """The largest variance that white noise in frames (n_y, n_x) can have: the power of their quietest band.

    Standard errors are added to the power of each band, because a band of few frequencies may be quiet by chance.
    """
    power, n = _mean(_spectrum(frame) ** 2 for frame in frames)
    counts = n * np.bincount(_bands(power.shape).ravel(), minlength=N_BANDS**2)
    return float(np.nanmin(_in_bands(power) * (1 + standard_errors * np.sqrt(2 / counts.clip(1)))))


def _spectrum(frame: np.ndarray) -> np.ndarray:
    return dctn(frame, norm="ortho")


def _bands(shape: tuple[int, int]) -> np.ndarray:
    """(n_y, n_x): the band, 0 to 24, of each frequency of the cosine transform."""
    along_y, along_x = (np.digitize(np.arange(n) / n, BAND_EDGES) for n in shape)
    return along_y[:, None] * N_BANDS + along_x


def _band_means(products: Iterable[np.ndarray]) -> np.ndarray:
    """Mean (25,) over spectra (n_y, n_x) and the frequencies of each band; NaN for bands that small frames lack."""
    return _in_bands(_mean(products)[0])


def _mean(products: Iterable[np.ndarray]) -> tuple[np.ndarray, int]:
    """Mean (n_y, n_x) of arrays, and their number; one at a time, since a large series is not held in memory."""
    n, total = 0, 0.0
    for n, product in enumerate(products, start=1):  # noqa: B007
        total = total + product.astype(np.float64)
    return total / n, n


def _in_bands(spectrum: np.ndarray) -> np.ndarray:
    """Mean (25,) over the frequencies of each band; NaN for bands that small frames lack."""
    bands = _bands(spectrum.shape).ravel()
    sums = np.bincount(bands, spectrum.ravel(), minlength=N_BANDS**2)
    counts = np.bincount(bands, minlength=N_BANDS**2).astype(float)
    return np.divide(sums, counts, out=np.full(N_BANDS**2, np.nan), where=counts > 0)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
