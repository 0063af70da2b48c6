"""Speed of SIRT beside ASTRA and TomoPy, of the distances between clouds, and of the system matrix.

    python benchmarks/reconstruction.py                    small: 181 tilts, 4 slices of 96 px, 20 iterations
    python benchmarks/reconstruction.py --slices 16 --pixels 128 --iterations 100 --points 1000000

Ratios are wall time and processor time of an engine over those of the first one, `sparse` unless told otherwise; that
of processor time hardly depends on what else the machine does.
"""

import argparse
import time

import numpy as np
from scipy.ndimage import gaussian_filter

from tsg_core.errors import TsgError
from tsg_core.evaluation import chamfer_distance, object_points
from tsg_core.projection import _system_matrix, project, system_matrix
from tsg_core.reconstruction import ENGINES, sirt
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-90.0, 91.0)


def timed(work):
    """Result, wall seconds and processor seconds."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall_s, time.process_time() - processor_s


def object_volume(n_y: int, n_x: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    volume = np.zeros((n_y, n_x, n_x), np.float32)
    volume[rng.integers(n_y, size=40 * n_y), *rng.integers(n_x // 4, n_x - n_x // 4, (2, 40 * n_y))] = 1
    return gaussian_filter(volume, 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--pixels", type=int, default=96)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    options = parser.parse_args()

    volume = object_volume(options.slices, options.pixels)
    matrix, wall_s, _ = timed(lambda: system_matrix(tilt_deg=TILT_deg, n_x=options.pixels))
    print(f"system matrix of {len(TILT_deg)} x {options.pixels} px: {wall_s:.2f} s, {matrix.nnz / 1e6:.1f} M entries")
    series = TiltSeries(project(volume, tilt_deg=TILT_deg), TILT_deg, 0.3)

    size = f"{len(TILT_deg)} tilts x {options.slices} slices x {options.pixels} px"
    print(f"SIRT, {size} x {options.iterations} iterations")
    print(f"{'engine':8} {'wall s':>8} {'cpu s':>8} {'ratios':>14} {'r to first':>12} {'r to truth':>11}")
    first = None
    for engine in options.engines:
        _system_matrix.cache_clear()  # the making of the matrix counts
        try:
            result, wall_s, cpu_s = timed(lambda e=engine: sirt(series, n_iterations=options.iterations, engine=e))
        except TsgError as error:
            print(f"{engine:8} {error}")
            continue
        first = first or (result, wall_s, cpu_s)
        ratios = f"{wall_s / first[1]:.1f} / {cpu_s / first[2]:.1f}"
        r_first, r_truth = (np.corrcoef(result.ravel(), other.ravel())[0, 1] for other in (first[0], volume))
        print(f"{engine:8} {wall_s:8.2f} {cpu_s:8.2f} {ratios:>14} {r_first:12.6f} {r_truth:11.4f}", flush=True)

    shape = object_volume(96, 96)
    a, b = (object_points(shape, n_points=options.points, voxel_size_A=0.3, seed=seed) for seed in (0, 1))
    _, wall_s, cpu_s = timed(lambda: chamfer_distance(a, b))
    print(f"Chamfer distance of two clouds of {options.points} points: {wall_s:.2f} s (cpu {cpu_s:.2f} s)")


if __name__ == "__main__":
    main()
