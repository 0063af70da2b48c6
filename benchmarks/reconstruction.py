"""Speed, memory and quality of reconstruction; each command prints a table.

    python benchmarks/reconstruction.py engines              SIRT, ASTRA and TomoPy on a small volume: 4 slices of 96 px
    python benchmarks/reconstruction.py engines --slices 16 --pixels 128 --iterations 100
    python benchmarks/reconstruction.py engines --slices 16 --pixels 512 --iterations 100 --measured 4
    python benchmarks/reconstruction.py methods              all methods on one sparse, noisy series
    python benchmarks/reconstruction.py memory --pixels 512 --slices 512 --iterations 1
    python benchmarks/reconstruction.py distances --points 1000000

Ratios are the wall time and processor time of an engine divided by those of the first engine, `sparse` by default. The
ratio of processor times hardly depends on other load on the machine.
"""

import argparse
import resource
import sys
import time

import numpy as np
import tables
from scipy.ndimage import gaussian_filter

from tsg_core import reconstruction
from tsg_core.errors import TsgError
from tsg_core.microscope import NON_ABERRATED
from tsg_core.reconstruction import ENGINES, projection, sirt
from tsg_core.reconstruction.linear_system import needed_bytes
from tsg_core.reconstruction.projection import project, system_matrix
from tsg_core.reconstruction.slabs import COPIES
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-90.0, 91.0)
PIXEL_A = 0.3


def timed(work):
    """Result, wall seconds and processor seconds; caches of earlier geometries are cleared first."""
    projection._system_matrices.cache_clear()
    wall_s, processor_s = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall_s, time.process_time() - processor_s


def object_volume(n_y: int, n_x: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    volume = np.zeros((n_y, n_x, n_x), np.float32)
    volume[rng.integers(n_y, size=40 * n_y), *rng.integers(n_x // 4, n_x - n_x // 4, (2, 40 * n_y))] = 1
    return gaussian_filter(volume, 1.5)


def engines(options) -> None:
    """SIRT by each engine: making the matrix or projector, one iteration, and all iterations."""
    volume = object_volume(options.slices, options.pixels)
    series = TiltSeries(project(volume, tilt_deg=TILT_deg), TILT_deg, PIXEL_A)
    matrix, wall_s, _ = timed(lambda: system_matrix(tilt_deg=TILT_deg, n_x=options.pixels))
    print(f"system matrix of {len(TILT_deg)} x {options.pixels} px: {wall_s:.2f} s, {matrix.nnz / 1e6:.1f} M entries")
    del matrix
    size = f"{len(TILT_deg)} tilts x {options.slices} slices x {options.pixels} px x {options.iterations} iterations"
    print(f"SIRT, {size}" + (f", from 1 and {1 + options.measured} of them" if options.measured else ""))
    print(f"{'engine':8} {'wall s':>8} {'cpu s':>8} {'ratios':>14} {'r to first':>12} {'r to truth':>11}")
    first, rows = None, {}
    few = TiltSeries(series.frames[:, :1, :8], TILT_deg, PIXEL_A)
    for engine in options.engines:

        def run(n_iterations: int, engine=engine):
            return timed(lambda: sirt(series, n_iterations=n_iterations, engine=engine))

        try:
            sirt(few, n_iterations=1, engine=engine)  # imports what it needs
            if options.measured:
                one, more = run(1), run(1 + options.measured)
                steps = (options.iterations - 1) / options.measured
                result, wall_s, cpu_s = more[0], *(a + (b - a) * steps for a, b in zip(one[1:], more[1:], strict=True))
            else:
                result, wall_s, cpu_s = run(options.iterations)
        except TsgError as error:
            print(f"{engine:8} {error}")
            continue
        first = first or (result, wall_s, cpu_s)
        ratios = f"{wall_s / first[1]:.1f} / {cpu_s / first[2]:.1f}"
        r_first, r_truth = (np.corrcoef(result.ravel(), other.ravel())[0, 1] for other in (first[0], volume))
        print(f"{engine:8} {wall_s:8.2f} {cpu_s:8.2f} {ratios:>14} {r_first:12.6f} {r_truth:11.4f}", flush=True)
        rows[engine] = {"wall_s": wall_s, "processor_s": cpu_s, "r_to_first": r_first, "r_to_truth": r_truth}
    tables.keep("reconstruction", f"SIRT, {size}", rows)


def methods(options) -> None:
    """Every method on the same sparse, noisy frames with a probe: time, and correlation with the object."""
    from tsg_core.reconstruction.probe_blur import project_with_probe

    truth = object_volume(options.slices, options.pixels)
    tilt_deg = TILT_deg[:: options.gap]
    frames = project_with_probe(truth, tilt_deg=tilt_deg, pixel_size_A=PIXEL_A, microscope=NON_ABERRATED)
    frames += np.random.default_rng(0).normal(0, options.noise * frames.max(), frames.shape).astype(np.float32)
    series = TiltSeries(frames, tilt_deg, PIXEL_A)
    runs = {
        "fbp": {},
        "cgls": {"n_iterations": 5},
        "sirt": {"n_iterations": 100, "non_negative": True},
        "os_sart": {"n_iterations": 5, "non_negative": True},
        "tv": {"n_iterations": 100, "weight": options.noise * frames.max()},
        "os_em": {"n_iterations": 3, "microscope": NON_ABERRATED},
    }
    size = f"{len(tilt_deg)} tilts x {options.slices} slices x {options.pixels} px"
    print(f"{size}, noise {options.noise:g} of the brightest pixel")
    print(f"{'method':8} {'wall s':>8} {'cpu s':>8} {'r to truth':>11}  options")
    rows = {}
    for name, settings in runs.items():
        method = getattr(reconstruction, name)
        volume, wall_s, cpu_s = timed(lambda m=method, s=settings: m(series, allow_negative=True, **s))
        r = np.corrcoef(volume.ravel(), truth.ravel())[0, 1]
        said = ", ".join(f"{k}={v:.4g}" for k, v in settings.items() if k != "microscope")
        print(f"{name:8} {wall_s:8.2f} {cpu_s:8.2f} {r:11.4f}  {said}", flush=True)
        rows[name] = {"wall_s": wall_s, "processor_s": cpu_s, "r_to_truth": r, "options": said}
    tables.keep("reconstruction", f"methods, {size}", rows)


def memory(options) -> None:
    """Peak memory of this process, compared with the method's own estimate."""
    rng = np.random.default_rng(0)
    shape = (len(TILT_deg), options.slices, options.pixels)
    series = TiltSeries(rng.random(shape, np.float32), TILT_deg, PIXEL_A)
    method = getattr(reconstruction, options.method)
    needed = {"weight": 0.1} if options.method == "tv" else {}
    _, wall_s, _ = timed(lambda: method(series, n_iterations=options.iterations, **needed))
    peak_GB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    estimate_GB = (needed_bytes(*shape, **COPIES[method]) + series.frames.nbytes) / 1e9
    print(f"{'method':8} {'volume':>16} {'iterations':>10} {'wall s':>8} {'peak GB':>8} {'estimate GB':>12}")
    size = f"{options.slices} x {options.pixels} x {options.pixels}"
    print(f"{options.method:8} {size:>16} {options.iterations:10} {wall_s:8.1f} {peak_GB:8.2f} {estimate_GB:12.2f}")
    row = {"wall_s": wall_s, "peak_GB": peak_GB, "estimate_GB": estimate_GB, "n_iterations": options.iterations}
    tables.keep("reconstruction", f"memory, {size}", {options.method: row})


def distances(options) -> None:
    """Time for the Chamfer distance between two clouds of points on one object."""
    from tsg_core.evaluation import chamfer_distance, object_points

    shape = object_volume(96, 96)
    a, b = (object_points(shape, n_points=options.points, voxel_size_A=PIXEL_A, seed=seed) for seed in (0, 1))
    _, wall_s, cpu_s = timed(lambda: chamfer_distance(a, b))
    print(f"{'points':>10} {'wall s':>8} {'cpu s':>8}\n{options.points:10} {wall_s:8.2f} {cpu_s:8.2f}")
    row = {"wall_s": wall_s, "processor_s": cpu_s}
    tables.keep("reconstruction", f"Chamfer distance of {options.points} points", {"chamfer_distance": row})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(run, **defaults: int) -> argparse.ArgumentParser:
        added = commands.add_parser(run.__name__, help=run.__doc__)
        added.set_defaults(run=run)
        for name, value in defaults.items():
            added.add_argument(f"--{name}", type=type(value), default=value)
        return added

    added = command(engines, slices=4, pixels=96, iterations=20, measured=0)
    added.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES[1:])
    command(methods, slices=16, pixels=64, gap=6, noise=0.03)
    added = command(memory, slices=64, pixels=128, iterations=1)
    added.add_argument("--method", choices=("sirt", "os_sart", "cgls", "tv", "os_em"), default="sirt")
    command(distances, points=100_000)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
