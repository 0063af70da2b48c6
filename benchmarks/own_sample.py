"""What `tsg densify` costs for a sample of your own: memory and time of the methods on whole frames.

    python benchmarks/own_sample.py                                  90 frames of 512 px: half an hour
    python benchmarks/own_sample.py --frames 90 --pixels 256         minutes
    python benchmarks/own_sample.py --methods linear kriging

One frame is predicted between each pair. Memory is the largest resident set of the command minus that of the same
command on a tiny series, which is Python and its packages (for auto, those of the method that needs most). It is
compared with the written series, measured and predicted frames together, and with the series that was read. Beside the
wall time stands the processor time, which depends less on other load on the machine. On two free cores, the fit of an
object takes little more than half its processor time; the rest of the work keeps mainly one of them busy.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tables

from tsg_core.interpolation import METHODS
from tsg_core.microscope import ABERRATED
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import random_rotation, training_particles
from tsg_core.tilt_series import TiltSeries

TABLE = ("linear", "cubic", "smooth", "tsgnet", "reprojection", "kriging", "informed", "auto")
WIDE_px = 136  # frames as wide as this are treated like wider ones


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a process: its largest resident set, wall time and processor time."""

    peak_MB: float
    wall_s: float
    processor_s: float


def series_of(n_frames: int, pixels: int) -> TiltSeries:
    """A particle at evenly spaced tilts up to 72 degrees."""
    atoms = random_rotation(training_particles(1, seed=5, diameter_A=(20, 26))[0], seed=0)
    tilt_deg = np.linspace(-72, 72, n_frames)
    return simulate_tilt_series(atoms, microscope=ABERRATED, tilt_deg=tilt_deg, shape=pixels, field_of_view_A=50.0)


def cost_of(*arguments) -> Cost:
    """What the command `tsg` costs with these arguments."""
    begun_s, before_s, peak_kB = time.perf_counter(), _processor_s(), 0
    child = subprocess.Popen([sys.executable, "-m", "tsgbook.cli", *map(str, arguments)], stdout=subprocess.DEVNULL)
    while child.poll() is None:
        # not the system's value for children, which starts at the size of this process
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{child.pid}/status").read_text())
        peak_kB = max(peak_kB, int(found[1]) if found else 0)
        time.sleep(0.02)
    if child.returncode:
        raise SystemExit(f"tsg {' '.join(map(str, arguments))} ended with status {child.returncode}")
    wall_s = time.perf_counter() - begun_s
    return Cost(peak_MB=peak_kB * 1024 / 1e6, wall_s=wall_s, processor_s=_processor_s() - before_s)


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(series: TiltSeries, methods: list[str]) -> None:
    n_tilt, n_y, n_x = series.frames.shape
    read_MB = series.frames.nbytes / 1e6
    written_MB = (2 * n_tilt - 1) / n_tilt * read_MB
    print(f"tsg densify, {n_tilt} frames of {n_x} x {n_y} px, one predicted between each pair, {os.cpu_count()} cores")
    columns = ("of the written", 15), ("of the read", 12), ("seconds", 8), ("of processors", 14), ("relative", 9)
    print(f"{'method':14} {'MB':>6} " + " ".join(f"{title:>{width}}" for title, width in columns))
    rows, tiny = {}, tiny_part(series)
    with tempfile.TemporaryDirectory() as folder:
        for method in methods:
            packages = densify(tiny, "informed" if method == "auto" else method, Path(folder))
            cost = densify(series, method, Path(folder))
            MB = cost.peak_MB - packages.peak_MB
            rows[method] = vars(cost) | {"peak_MB": MB}
            first = rows[methods[0]]
            print(
                f"{method:14} {MB:6.0f} {MB / written_MB:14.1f}x {MB / read_MB:11.1f}x {cost.wall_s:8.0f} "
                f"{cost.processor_s:14.0f} {cost.processor_s / first['processor_s']:9.0f}",
                flush=True,
            )
            tables.keep("own_sample", f"{n_tilt} frames of {n_x} x {n_y} px", rows)


def tiny_part(series: TiltSeries) -> TiltSeries:
    """The middle rows of the frames, and some of their columns: so many that the same packages are needed."""
    _, n_y, n_x = series.frames.shape
    rows, step = slice(max(0, n_y // 2 - 32), n_y // 2 + 32), max(1, n_x // WIDE_px)
    return TiltSeries(series.frames[:, rows, ::step], series.tilt_deg, step * series.pixel_size_A)


def densify(series: TiltSeries, method: str, folder: Path) -> Cost:
    """What it costs to predict a frame between each pair with `tsg densify`."""
    between, path = folder / "between.txt", series.write(folder / "series.mrc", overwrite=True)
    between.write_text("".join(f"{angle}\n" for angle in (series.tilt_deg[1:] + series.tilt_deg[:-1]) / 2))
    options = ("--at", between, "--method", method, "-o", folder / "out.mrc", "--overwrite")
    return cost_of("densify", path, *options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(TABLE))
    options = parser.parse_args()
    compare(series_of(options.frames, options.pixels), options.methods)


if __name__ == "__main__":
    main()
