"""What the commands for one's own sample cost: memory of `tsg densify`, times of the methods and of SIRT.

    python benchmarks/own_sample.py                       90 frames of 512 px
    python benchmarks/own_sample.py --frames 40 --pixels 256 --rows 4

Memory is the largest resident set of the command less that of the same command on a tiny series, which is Python and
its packages. It is compared with the series that is written, measured and predicted frames together, and with the one
that is read. Times of the methods are those of one prediction of all frames between the measured ones, for a few rows
of the frames: every method but TSGNet treats rows, or atoms in them, alike, so that whole frames take as many times
longer.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tsg_core.automatic import predict_automatically
from tsg_core.linear_system import needed_bytes
from tsg_core.methods import predict
from tsg_core.microscope import ABERRATED
from tsg_core.reconstruction import sirt
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import random_rotation, training_particles
from tsg_core.tilt_series import TiltSeries

METHODS = ("linear", "cubic", "reprojection", "tsgnet")


def series_of(n_frames: int, pixels: int) -> TiltSeries:
    """A particle at evenly spaced tilts up to 72 degrees."""
    atoms = random_rotation(training_particles(1, seed=5, diameter_A=(20, 26))[0], seed=0)
    tilt_deg = np.linspace(-72, 72, n_frames)
    return simulate_tilt_series(atoms, microscope=ABERRATED, tilt_deg=tilt_deg, shape=pixels, field_of_view_A=50.0)


def peak_and_seconds(*arguments) -> tuple[float, float]:
    """Largest resident set in MB, and wall seconds, of the command `tsg` with these arguments."""
    begun_s, peak_kB = time.perf_counter(), 0
    child = subprocess.Popen([sys.executable, "-m", "tsg_core.cli", *map(str, arguments)], stdout=subprocess.DEVNULL)
    while child.poll() is None:
        # not the system's count for children, which begins at the size of this process
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{child.pid}/status").read_text())
        peak_kB = max(peak_kB, int(found[1]) if found else 0)
        time.sleep(0.02)
    if child.returncode:
        raise SystemExit(f"tsg {' '.join(map(str, arguments))} ended with status {child.returncode}")
    return peak_kB * 1024 / 1e6, time.perf_counter() - begun_s


def memory(series: TiltSeries) -> None:
    n_tilt, n_y, n_x = series.frames.shape
    tiny = TiltSeries(series.frames[:, :16, :16], series.tilt_deg, series.pixel_size_A)
    step_deg = float(np.diff(series.tilt_deg).mean())
    print(f"memory of tsg densify, {n_tilt} frames of {n_x} x {n_y} px, one frame predicted between each pair")
    print(f"{'method':14} {'peak MB':>8} {'of the written':>15} {'of the read':>12} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        between = folder / "between.txt"
        between.write_text("".join(f"{angle + step_deg / 2}\n" for angle in series.tilt_deg[:-1]))
        paths = {"tiny": tiny.write(folder / "tiny.mrc"), "whole": series.write(folder / "whole.mrc")}
        for method in ("linear", "cubic"):
            found = {
                name: peak_and_seconds(
                    "densify", path, "--at", between, "--method", method, "-o", folder / "out.mrc", "--overwrite"
                )
                for name, path in paths.items()
            }
            peak_MB = found["whole"][0] - found["tiny"][0]
            read_MB = series.frames.nbytes / 1e6
            written_MB = (2 * n_tilt - 1) / n_tilt * read_MB
            print(
                f"{method:14} {peak_MB:8.0f} {peak_MB / written_MB:14.1f}x {peak_MB / read_MB:11.1f}x "
                f"{found['whole'][1]:8.1f}",
                flush=True,
            )
    fitted = needed_bytes(n_tilt, n_y, n_x, n_volumes=2, n_frames=3) / series.frames.nbytes
    print(
        f"a fit of an object (reprojection, and so auto) needs {fitted:.0f} times the series that is read, as estimated"
    )
    print("by what the methods check beforehand; volumes larger than the memory are refused, not tried\n")


def times(series: TiltSeries, *, rows: int) -> None:
    n_tilt, n_y, n_x = series.frames.shape
    first = (n_y - rows) // 2
    part = TiltSeries(series.frames[:, first : first + rows], series.tilt_deg, series.pixel_size_A)
    between_deg = (part.tilt_deg[1:] + part.tilt_deg[:-1]) / 2
    print(f"times for {rows} rows of {n_tilt} frames, {n_x} px wide, relative to linear")
    print(f"{'work':30} {'seconds':>9} {'relative':>9}")
    work = {method: lambda m=method: predict(m, part, between_deg) for method in METHODS}
    work["auto, with its left-out frames"] = lambda: predict_automatically(part, tilt_deg=between_deg, methods=METHODS)
    work["SIRT, 100 iterations"] = lambda: sirt(part, n_iterations=100)
    seconds = {}
    for name, function in work.items():
        begun_s = time.perf_counter()
        function()
        seconds[name] = time.perf_counter() - begun_s
        print(f"{name:30} {seconds[name]:9.3f} {seconds[name] / seconds['linear']:9.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--rows", type=int, default=8)
    options = parser.parse_args()
    series = series_of(options.frames, options.pixels)
    memory(series)
    times(series, rows=options.rows)


if __name__ == "__main__":
    main()
