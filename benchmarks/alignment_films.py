"""Alignment of films of many kinds, which go on outside the frames: `python benchmarks/alignment_films.py` (minutes).

Films of random Gaussian spots, of which each row changes one property of the first. Errors of the shifts are in pixels,
apart from a translation of the film; `kept` says that the frames were left as recorded.
"""

from dataclasses import dataclass

import numpy as np

from tsg_core.geometry import pixel_centres_A
from tsg_core.preparation.alignment import align
from tsg_core.preparation.transformation import recorded_positions, shift_error_px
from tsg_core.tilt_series import TiltSeries


@dataclass(frozen=True, kw_only=True)
class Film:
    """Lengths are in pixels, spots in a cubic pixel, noise in standard deviations of the frames, angles in degrees."""

    n_y: int = 24
    n_x: int = 40
    thickness_px: float = 16.0
    density: float = 0.02
    sigma_px: float = 1.5
    sizes: float = 0.0  # standard deviation of the logarithm of the spots' sizes
    noise: float = 0.1
    drift: str = "walk"  # or "jumps", or "scatter"
    wedge_deg: float = 70.0
    spacing_deg: float = 5.0
    axis_deg: float = 0.0
    gain: float = 0.0  # scatter of the brightness from frame to frame


FILMS = {
    "usual": Film(),
    "noise 0": Film(noise=0.0),
    "noise 0.3": Film(noise=0.3),
    "sparse": Film(density=0.004),
    "dense": Film(density=0.05),
    "half a frame thick": Film(n_x=32),
    "1.5 frames thick": Film(thickness_px=60.0, density=0.01),
    "3 frames thick": Film(thickness_px=96.0, n_x=32, density=0.005),
    "jumps": Film(drift="jumps"),
    "scatter": Film(drift="scatter"),
    "within 50 deg": Film(wedge_deg=50.0),
    "every 3 deg": Film(spacing_deg=3.0, wedge_deg=60.0),
    "every 10 deg": Film(spacing_deg=10.0),
    "axis inclined by 2 deg": Film(axis_deg=2.0),
    "64 x 32 px": Film(n_y=64, n_x=32),
    "20 x 64 px": Film(n_y=20, n_x=64),
    "80 x 120 px": Film(n_y=80, n_x=120, thickness_px=50.0, sigma_px=3.0, density=0.003),
    "mixed sizes": Film(sizes=0.4),
    "fine spots": Film(sigma_px=0.9),
    "smooth spots": Film(sigma_px=3.0, density=0.005),
    "brightness 5 %": Film(gain=0.05),
}


def recorded(film: Film, *, seed: int) -> tuple[TiltSeries, np.ndarray]:
    """A series at irregular angles, and its true shifts (n_tilt, 2)."""
    rng = np.random.default_rng(seed)
    n = int(2 * film.wedge_deg / film.spacing_deg) + 1
    tilt_deg = np.linspace(-film.wedge_deg, film.wedge_deg, n) + rng.uniform(-1, 1, n)
    shift_px = drifted(film.drift, n, rng)
    frames = frames_of(film, tilt_deg, shift_px, rng)
    frames *= (1 + film.gain * rng.standard_normal(n))[:, None, None]
    frames += film.noise * frames.std() * rng.standard_normal(frames.shape)
    return TiltSeries(frames, tilt_deg, 1.0), shift_px


def drifted(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "walk":
        shift_px = np.cumsum(rng.normal(0, 0.8, (n, 2)), axis=0)
    elif kind == "scatter":
        shift_px = rng.normal(0, 1.2, (n, 2))
    else:
        shift_px = rng.normal(0, 0.3, (n, 2))
        for first in rng.choice(np.arange(2, n - 2), 3, replace=False):
            shift_px[first:] += rng.normal(0, 2.0, 2)
    return shift_px - shift_px.mean(axis=0)


def frames_of(film: Film, tilt_deg: np.ndarray, shift_px: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Frames (n_tilt, n_y, n_x) of a film wider than any of them looks."""
    far_px = 8 * film.sigma_px
    steepest = np.deg2rad(np.abs(tilt_deg).max())
    wide_px = (film.n_x + film.thickness_px) / np.cos(steepest) + 2 * far_px + 20
    size_px = np.array([wide_px, film.n_y + 2 * far_px + 20, film.thickness_px])
    n = int(film.density * size_px.prod())
    places, weights = rng.uniform(-size_px / 2, size_px / 2, (n, 3)), rng.uniform(0.5, 1.5, n)
    sigma_px = film.sigma_px * np.exp(film.sizes * rng.standard_normal(n))
    y, x = (pixel_centres_A(n_px, pixel_size_A=1.0) for n_px in (film.n_y, film.n_x))
    frames = np.empty((len(tilt_deg), film.n_y, film.n_x))
    seen = recorded_positions(places, tilt_deg=tilt_deg, shift_A=shift_px, axis_deg=film.axis_deg)
    for frame, at in zip(frames, seen, strict=True):
        near = (np.abs(at[:, 0]) < film.n_x / 2 + far_px) & (np.abs(at[:, 1]) < film.n_y / 2 + far_px)
        along, across = (
            np.exp(-((pixels - at[near, axis, None]) ** 2) / (2 * sigma_px[near, None] ** 2))
            for pixels, axis in ((y, 1), (x, 0))
        )
        frame[:] = (weights[near, None] * along).T @ across
    return frames


def main() -> None:
    print(f"{'film':24}{'tilts':>6}{'before px':>11}{'found px':>10}{'axis deg':>10}  kept")
    for seed, (name, film) in enumerate(FILMS.items()):
        series, shift_px = recorded(film, seed=seed)
        found = align(series)
        truth = {"tilt_deg": series.tilt_deg, "axis_deg": film.axis_deg}
        before, after = (shift_error_px(shifts, shift_px, **truth) for shifts in (0 * shift_px, found.shift_px))
        off_deg, kept = found.axis_deg - film.axis_deg, "yes" if found.report.kept else ""
        print(f"{name:24}{len(series):6}{before:11.2f}{after:10.2f}{off_deg:10.2f}  {kept}", flush=True)


if __name__ == "__main__":
    main()
