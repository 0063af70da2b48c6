"""Speed and memory of reading and writing tilt series, one row for each format.

    python benchmarks/formats.py                              61 frames of 512 x 512
    python benchmarks/formats.py --frames 181 --pixels 1024 --repeats 1

Throughput refers to the float32 series and is the best of the repeats, with the files in the system's cache. Ratios are
to .npy, written by numpy.save and read by numpy.load. Memory is the growth of the process while it reads, divided by
the size of the series; each format is read in a process of its own.
"""

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mrcfile
import numpy as np
import tifffile

from tsg_core.formats import read_series, write_series
from tsg_core.tilt_series import TiltSeries

WRITTEN = (".npz", ".zarr", ".mrc", ".tif", ".hspy", ".zspy", ".emd")


def example(n_frames: int, n_pixels: int) -> TiltSeries:
    """Counts as float32, since measured frames consist mostly of noise."""
    frames = np.random.default_rng(0).poisson(300, (n_frames, n_pixels, n_pixels)).astype(np.float32)
    return TiltSeries(frames, np.linspace(-70, 70, n_frames), 2.0)


def best_s(work, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def write_own(series: TiltSeries, path: Path) -> None:
    write_series(series, path, overwrite=True)


def integer_mrc(series: TiltSeries, path: Path) -> None:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(series.frames.astype(np.int16))
        file.set_image_stack()
        file.voxel_size = series.pixel_size_A
    path.with_suffix(".rawtlt").write_text("".join(f"{angle!r}\n" for angle in series.tilt_deg.tolist()))


def compressed_tiff(series: TiltSeries, path: Path) -> None:
    resolution = {"resolution": (1e8 / series.pixel_size_A,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, series.frames.astype(np.uint16), photometric="minisblack", compression="zlib", **resolution)
    path.with_suffix(".rawtlt").write_text("".join(f"{angle!r}\n" for angle in series.tilt_deg.tolist()))


def folder_of_tiff(series: TiltSeries, path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    resolution = {"resolution": (1e8 / series.pixel_size_A,) * 2, "resolutionunit": "CENTIMETER"}
    for angle, frame in zip(series.tilt_deg, series.frames, strict=True):
        tifffile.imwrite(path / f"tilt_{angle:+.3f}.tif", frame.astype(np.uint16), **resolution)


FOREIGN = {
    "MRC of int16": (integer_mrc, "integers.mrc"),
    "TIFF, zlib": (compressed_tiff, "compressed.tif"),
    "folder of TIFF": (folder_of_tiff, "frames"),
}


def peak_over_size(path: Path) -> float:
    done = subprocess.run(
        [sys.executable, __file__, "--peak-of", str(path)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def print_peak(path: Path) -> None:
    """Growth of the process divided by the size of the series; a small series of the same format is read first."""
    series = example(3, 32)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / f"small{path.suffix}"
        folder_of_tiff(series, small) if path.is_dir() and not path.suffix else write_series(series, small)
        read_series(small)
    before = peak_bytes()
    nbytes = read_series(path).frames.nbytes
    print((peak_bytes() - before) / nbytes)


def peak_bytes() -> int:
    """Peak memory of the process; on Linux without that of its parent, which getrusage would include."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def compare(options) -> None:
    series = example(options.frames, options.pixels)
    size_MB = series.frames.nbytes / 1e6
    print(f"{options.frames} frames of {options.pixels} x {options.pixels}, {size_MB:.0f} MB as float32")
    print(
        f"{'format':16} {'file MB':>8} {'write MB/s':>11} {'ratio':>6} "
        f"{'read MB/s':>10} {'ratio':>6} {'memory/size':>12}"
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        path = folder / "plain.npy"
        reference_s = (
            best_s(lambda: np.save(path, series.frames), options.repeats),
            best_s(lambda: np.load(path), options.repeats),
        )
        path.unlink()
        rows = {suffix: (write_own, f"series{suffix}") for suffix in WRITTEN} | FOREIGN
        print_row(".npy (NumPy)", size_MB, size_MB, reference_s, reference_s, None)
        for label, (write, name) in rows.items():
            path = folder / name
            times_s = (
                best_s(lambda write=write, path=path: write(series, path), options.repeats),
                best_s(lambda path=path: read_series(path), options.repeats),
            )
            print_row(label, size_MB, stored_MB(path), times_s, reference_s, peak_over_size(path))
            for written in folder.iterdir():
                shutil.rmtree(written) if written.is_dir() else written.unlink()


def stored_MB(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def print_row(label, size_MB, file_MB, times_s, reference_s, memory) -> None:
    cells = [f"{label:16} {file_MB:8.0f}"]
    for width, time_s, of_s in zip((11, 10), times_s, reference_s, strict=True):
        cells.append(f"{size_MB / time_s:{width}.0f} {of_s / time_s:6.2f}")
    print(*cells, f"{memory:12.2f}" if memory is not None else f"{'':12}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=61)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    print_peak(options.peak_of) if options.peak_of else compare(options)


if __name__ == "__main__":
    main()
