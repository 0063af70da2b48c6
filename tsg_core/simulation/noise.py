"""Effects of a real recording on clean frames. Each function takes a tilt series and a seed, and returns a new series.

The clean series stays unchanged; `metadata["effects"]` of the new one lists the effects in order. The random numbers of
a frame depend on the seed, the effect and the tilt angle. A frame is therefore the same in any part of the series, and
effects with the same seed are independent. Two effects build up over the series instead: accumulated drift and
contamination depend on the order of recording, which is taken to be the order of the angles.
"""

import math
import zlib
from dataclasses import replace

import numpy as np
from scipy.fft import fft, fft2, fftfreq, ifft, ifft2
from scipy.ndimage import gaussian_filter

from ..errors import TsgError
from ..tilt_series import TiltSeries


def with_dose(series: TiltSeries, *, dose_per_A2: float, seed: int) -> TiltSeries:
    """Poisson noise at `dose_per_A2` incident electrons per square angstrom in every frame.

    The expected count of a pixel is dose x area x intensity. Counts are converted back to intensities.
    """
    _positive("dose_per_A2", dose_per_A2)
    per_pixel = dose_per_A2 * series.pixel_size_A**2

    def count(frame, rng):
        return rng.poisson(per_pixel * frame.clip(0)) / per_pixel

    return _each_frame(series, count, effect="dose", seed=seed, dose_per_A2=dose_per_A2)


def with_series_dose(series: TiltSeries, *, total_dose_per_A2: float, seed: int) -> TiltSeries:
    """Poisson noise at a fixed total dose, shared equally by the frames: the fewer the frames, the cleaner each is."""
    _positive("total_dose_per_A2", total_dose_per_A2)
    return with_dose(series, dose_per_A2=total_dose_per_A2 / len(series), seed=seed)


def with_detector(
    series: TiltSeries, *, gain: float = 1.0, offset: float = 0.0, dark_sigma: float = 0.0, seed: int
) -> TiltSeries:
    """gain x intensity + offset + dark noise of standard deviation `dark_sigma`; the last two in units of intensity."""
    _positive("gain", gain)
    _not_negative("dark_sigma", dark_sigma)

    def detect(frame, rng):
        return gain * frame + offset + dark_sigma * rng.standard_normal(frame.shape)

    return _each_frame(series, detect, effect="detector", seed=seed, gain=gain, offset=offset, dark_sigma=dark_sigma)


def with_scan_jitter(series: TiltSeries, *, sigma_A: float, seed: int) -> TiltSeries:
    """Displace each scan line (row) along x by its own normal deviate of standard deviation `sigma_A`."""
    _not_negative("sigma_A", sigma_A)

    def displace(frame, rng):
        shift_px = sigma_A / series.pixel_size_A * rng.standard_normal((len(frame), 1))
        return _shifted_rows(frame, shift_px)

    return _each_frame(series, displace, effect="scan_jitter", seed=seed, sigma_A=sigma_A)


def with_drift(series: TiltSeries, *, sigma_A: float, seed: int, accumulate: bool = False) -> TiltSeries:
    """Displace frames in x and y by normal deviates of standard deviation `sigma_A` in each direction.

    `accumulate` adds up the steps from frame to frame, as in a series that is not re-centred.
    """
    _not_negative("sigma_A", sigma_A)
    steps_A = np.array([_generator(seed, "drift", tilt).normal(0, sigma_A, 2) for tilt in series.tilt_deg])
    shifts_A = np.cumsum(steps_A, axis=0) if accumulate else steps_A
    return _displaced(series, shifts_A, effect="drift", seed=seed, sigma_A=sigma_A, accumulate=accumulate)


def with_axis_offset(series: TiltSeries, *, offset_A: float) -> TiltSeries:
    """Displace frames by `offset_A` along x, so that the tilt axis is no longer in their middle."""
    if not math.isfinite(offset_A):
        raise TsgError(f"offset_A={offset_A} must be finite")
    shifts_A = np.tile([0.0, offset_A], (len(series), 1))
    return _displaced(series, shifts_A, effect="axis_offset", offset_A=offset_A)


def with_tilt_error(series: TiltSeries, *, sigma_deg: float, seed: int) -> TiltSeries:
    """Angles as a stage would report them, true angles plus normal deviates; the frames stay unchanged.

    Raises TsgError if the errors change the order of the frames.
    """
    _not_negative("sigma_deg", sigma_deg)
    errors = [_generator(seed, "tilt_error", tilt).normal(0, sigma_deg) for tilt in series.tilt_deg]
    reported_deg = series.tilt_deg + errors
    if (np.diff(reported_deg) <= 0).any():
        step_deg = np.diff(series.tilt_deg).min()
        raise TsgError(f"sigma_deg={sigma_deg:g} changes the order of frames {step_deg:g} deg apart")
    changed = replace(series, tilt_deg=reported_deg)
    return _noted(changed, effect="tilt_error", seed=seed, sigma_deg=sigma_deg, true_tilt_deg=series.tilt_deg.tolist())


def with_carbon_film(
    series: TiltSeries, *, intensity: float, roughness: float = 0.1, correlation_A: float = 5.0, seed: int
) -> TiltSeries:
    """Add the background of a supporting film that is horizontal at tilt 0.

    `intensity` is that of the film at tilt 0. It grows with the path length in the film, as 1 / cos(tilt), up to its
    value at 80 deg. `roughness` is the relative standard deviation of the thickness over distances of `correlation_A`.
    All frames show the same film, foreshortened along x, so that it tilts with the particle.
    """
    _not_negative("intensity", intensity)
    _not_negative("roughness", roughness)
    _positive("correlation_A", correlation_A)
    n_y, n_x = series.frames.shape[1:]
    smooth_px = correlation_A / series.pixel_size_A
    limit = np.cos(np.deg2rad(80))
    rng = np.random.default_rng([seed, zlib.crc32(b"carbon_film")])
    film = gaussian_filter(rng.standard_normal((n_y, int(np.ceil(n_x / limit)))), smooth_px, mode="wrap")
    film = np.maximum(1 + roughness * film / (film.std() or 1.0), 0)
    column = np.arange(n_x) - (n_x - 1) / 2
    frames = np.empty_like(series.frames)
    for i, tilt in enumerate(series.tilt_deg):
        foreshortening = max(abs(np.cos(np.deg2rad(tilt))), limit)
        place = (film.shape[1] - 1) / 2 + column / foreshortening
        left = np.floor(place).astype(int).clip(0, film.shape[1] - 2)
        seen = film[:, left] + (place - left) * (film[:, left + 1] - film[:, left])
        frames[i] = series.frames[i] + intensity / foreshortening * seen
    settings = {"intensity": intensity, "roughness": roughness, "correlation_A": correlation_A}
    return _noted(replace(series, frames=frames), effect="carbon_film", seed=seed, **settings)


def with_contamination(series: TiltSeries, *, intensity_per_frame: float, width_A: float = 10.0) -> TiltSeries:
    """Add hydrocarbons that build up under the beam: frame i gains i x `intensity_per_frame` on and near the particle.

    The layer is the outline of the frame (pixels above a tenth of the brightest), blurred by a Gaussian of `width_A`.
    """
    _not_negative("intensity_per_frame", intensity_per_frame)
    _positive("width_A", width_A)
    frames = np.empty_like(series.frames)
    for i, frame in enumerate(series.frames):
        outline = gaussian_filter((frame > 0.1 * frame.max()).astype(float), width_A / series.pixel_size_A)
        frames[i] = frame + i * intensity_per_frame * outline
    settings = {"intensity_per_frame": intensity_per_frame, "width_A": width_A}
    return _noted(replace(series, frames=frames), effect="contamination", **settings)


def _displaced(series: TiltSeries, shifts_A: np.ndarray, *, effect: str, **settings) -> TiltSeries:
    frames = np.empty_like(series.frames)
    for i, (frame, shift_A) in enumerate(zip(series.frames, shifts_A, strict=True)):
        frames[i] = _shifted(frame, shift_A / series.pixel_size_A)
    return _noted(replace(series, frames=frames), effect=effect, shifts_A=shifts_A.tolist(), **settings)


def _shifted(frame: np.ndarray, shift_px) -> np.ndarray:
    """Displace by any fraction of a pixel (y, x) with the Fourier shift theorem; nothing wraps round the edges."""
    padded, inner = _padded(frame, int(np.ceil(np.abs(shift_px).max())) + 1)
    k_y, k_x = (fftfreq(n) for n in padded.shape)
    phase = np.exp(-2j * np.pi * (k_y * shift_px[0]))[:, None] * np.exp(-2j * np.pi * k_x * shift_px[1])
    return ifft2(fft2(padded) * phase).real[inner].clip(0)


def _shifted_rows(frame: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    padded, inner = _padded(frame, int(np.ceil(np.abs(shift_px).max())) + 1)
    shifts = np.zeros((len(padded), 1))
    shifts[inner[0]] = shift_px
    phase = np.exp(-2j * np.pi * fftfreq(padded.shape[1]) * shifts)
    return ifft(fft(padded, axis=1) * phase, axis=1).real[inner].clip(0)


def _padded(frame: np.ndarray, margin: int) -> tuple[np.ndarray, tuple[slice, slice]]:
    inner = tuple(slice(margin, margin + n) for n in frame.shape)
    return np.pad(frame.astype(np.float64), margin, mode="edge"), inner


def _each_frame(series: TiltSeries, change, *, effect: str, seed: int, **settings) -> TiltSeries:
    """The series with each frame replaced by `change(frame, rng)`."""
    frames = np.empty_like(series.frames)
    for i, tilt in enumerate(series.tilt_deg):
        frames[i] = change(series.frames[i].astype(np.float64), _generator(seed, effect, tilt))
    return _noted(replace(series, frames=frames), effect=effect, seed=seed, **settings)


def _noted(series: TiltSeries, *, effect: str, **settings) -> TiltSeries:
    effects = [*series.metadata.get("effects", []), {"effect": effect, **settings}]
    return replace(series, metadata={**series.metadata, "effects": effects})


def _generator(seed: int, effect: str, tilt_deg: float) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(effect.encode()), round((tilt_deg + 3600) * 1e6)])


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise TsgError(f"{name}={value} must be a positive number")


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise TsgError(f"{name}={value} must be zero or a positive number")
