"""Accuracy and time of alignment, on series whose shifts and tilt axis are known.

    python benchmarks/alignment.py accuracy             shifts and axis against noise and wedge, for three objects
    python benchmarks/alignment.py methods              the coarse methods and the full one
    python benchmarks/alignment.py time --pixels 512    time, compared with reading the file

Errors are root mean squares over the series of a row: of the shifts in pixels, apart from a translation of the object,
and of the tilt axis (1.5 degrees in all series) in degrees. The noise is Poisson noise; `electrons` is the number of
electrons in the brightest pixel.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron

from tsg_core.preparation.alignment import AlignmentSettings, align
from tsg_core.preparation.transformation import shift_error_px
from tsg_core.samples.experiment import recorded_balls, simulate_recorded
from tsg_core.tilt_series import TiltSeries

AXIS_deg = 1.5
SPACING_deg = 5.0


def atoms(tilt_deg, shift_px, seed) -> TiltSeries:
    """A gold decahedron of 116 atoms with channelling, in pixels of 0.4 angstrom."""
    particle = Atoms(Decahedron("Au", 4, 3, 0))
    particle.positions -= particle.positions.mean(axis=0)
    particle.rotate(33 + 40 * seed, (1, 2, 3))
    return simulate_recorded(
        particle, tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=AXIS_deg, shape=80, pixel_size_A=0.4, channelling=True
    )


def balls(tilt_deg, shift_px, seed, reach=0.3) -> TiltSeries:
    return recorded_balls(tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=AXIS_deg, shape=64, reach=reach, seed=seed)


def balls_beyond(tilt_deg, shift_px, seed) -> TiltSeries:
    """Balls that reach beyond the frames, so that the visible part changes with the tilt."""
    return balls(tilt_deg, shift_px, seed, reach=0.7)


OBJECTS = {"atoms": atoms, "balls": balls, "balls, cut off": balls_beyond}


def recorded(kind: str, *, wedge_deg: float, electrons: float, seed: int) -> tuple[TiltSeries, np.ndarray]:
    """A series with irregular angles, and its true shifts, a random walk."""
    rng = np.random.default_rng(seed)
    n = int(2 * wedge_deg / SPACING_deg) + 1
    tilt_deg = np.linspace(-wedge_deg, wedge_deg, n) + rng.uniform(-1, 1, n)
    shift_px = np.cumsum(rng.normal(0, 0.8, (n, 2)), axis=0)
    shift_px -= shift_px.mean(axis=0)
    series = OBJECTS[kind](tilt_deg, shift_px, seed)
    frames = series.frames.astype(float) / series.frames.max()
    if np.isfinite(electrons):
        frames = rng.poisson(frames * electrons) / electrons
    return TiltSeries(frames, tilt_deg, series.pixel_size_A), shift_px


def errors(kind: str, *, settings: AlignmentSettings, n_series: int, **of) -> tuple[float, float, float]:
    """Errors of the shifts as recorded and as found, and of the axis."""
    rows = []
    for seed in range(n_series):
        series, true_px = recorded(kind, seed=seed, **of)
        alignment = align(series, settings=settings)
        against = {"tilt_deg": series.tilt_deg, "axis_deg": AXIS_deg}
        before, after = (shift_error_px(s, true_px, **against) for s in (0 * true_px, alignment.shift_px))
        rows.append((before, after, alignment.axis_deg - AXIS_deg))
    return tuple(np.sqrt(np.mean(np.square(rows), axis=0)))


def accuracy(options) -> None:
    """The full alignment against noise and wedge."""
    print(f"{'object':16} {'wedge deg':>9} {'electrons':>9} {'before px':>9} {'shifts px':>9} {'axis deg':>8}")
    for kind in OBJECTS:
        for wedge_deg in (70.0, 50.0):
            for electrons in (np.inf, 300, 30):
                row = errors(
                    kind,
                    settings=AlignmentSettings(),
                    n_series=options.series,
                    wedge_deg=wedge_deg,
                    electrons=electrons,
                )
                print(
                    f"{kind:16} {wedge_deg:9.0f} {electrons:9.0f} {row[0]:9.2f} {row[1]:9.3f} {row[2]:8.2f}", flush=True
                )


def methods(options) -> None:
    """Each method at +-70 degrees and 300 electrons."""
    print(f"{'object':16} {'method':16} {'shifts px':>9}")
    for kind in OBJECTS:
        for method in ("correlation", "centre-of-mass", "full"):
            settings = AlignmentSettings(method=method)
            row = errors(kind, settings=settings, n_series=options.series, wedge_deg=70.0, electrons=300)
            print(f"{kind:16} {method:16} {row[1]:9.3f}", flush=True)


def timing(options) -> None:
    """Time to read a series, and to align it by each method."""
    tilt_deg = np.linspace(-70, 70, options.frames)
    shift_px = np.cumsum(np.random.default_rng(0).normal(0, 3, (options.frames, 2)), axis=0)
    shift_px -= shift_px.mean(axis=0)
    series = recorded_balls(tilt_deg=tilt_deg, shift_px=shift_px, axis_deg=AXIS_deg, shape=options.pixels)
    print(f"{options.frames} frames of {options.pixels} px")
    with tempfile.TemporaryDirectory() as folder:
        path = series.write(Path(folder) / "series.npz")
        start = time.perf_counter()
        series = TiltSeries.read(path)
        read_s = time.perf_counter() - start
    print(f"{'':16} {'wall s':>8} {'ratio':>8} {'shifts px':>9} {'axis deg':>8}\n{'reading':16} {read_s:8.2f} {1:8.1f}")
    for method in ("correlation", "centre-of-mass", "full"):
        start = time.perf_counter()
        alignment = align(series, settings=AlignmentSettings(method=method))
        seconds = time.perf_counter() - start
        error_px = shift_error_px(alignment.shift_px, shift_px, tilt_deg=tilt_deg, axis_deg=AXIS_deg)
        axis = f"{abs(alignment.axis_deg - AXIS_deg):8.2f}" if method == "full" else ""
        print(f"{method:16} {seconds:8.2f} {seconds / read_s:8.1f} {error_px:9.3f} {axis}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run in (("accuracy", accuracy), ("methods", methods)):
        added = commands.add_parser(name, help=run.__doc__)
        added.add_argument("--series", type=int, default=2, help="number of series in a row")
        added.set_defaults(run=run)
    added = commands.add_parser("time", help=timing.__doc__)
    added.add_argument("--frames", type=int, default=90)
    added.add_argument("--pixels", type=int, default=512)
    added.set_defaults(run=timing)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
