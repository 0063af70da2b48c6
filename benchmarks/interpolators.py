"""How close each method's midpoint frames come to the truth, on particles of the training elements.

    python benchmarks/interpolators.py                        three particles, both microscopes, rates 1, 3, 6, 12
    python benchmarks/interpolators.py --particles 1 --rates 6 --dose 1e5
    python benchmarks/interpolators.py --file series.npz --rates 1 2   a series of your own, every step of it

A rate r keeps every 2r-th frame and predicts those half-way between. PSNR is in dB; its peak is the brightest pixel of
the clean series. `auto` chooses among the other methods named. The last columns are the processor time of `auto`, and
the fractions of pixels inside its 50, 90 and 95 % intervals.
"""

import argparse
import time

import numpy as np

from tsg_core.evaluation import image_metrics
from tsg_core.interpolation import densify
from tsg_core.interpolation.choice import predict_automatically
from tsg_core.interpolation.uncertainty import coverage
from tsg_core.microscope import MICROSCOPES
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.noise import with_dose
from tsg_core.sparsity import midpoint_trios
from tsg_core.structures import random_rotation, training_particles
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-90.0, 91.0)


def series_of(options):
    """Names and clean series, one by one."""
    if options.file:
        yield "file", TiltSeries.read(options.file)
        return
    particles = training_particles(options.particles, seed=5, diameter_A=(12, 17))
    for i, atoms in enumerate(particles):
        for name in options.microscopes:
            series = simulate_tilt_series(
                random_rotation(atoms, seed=i),
                microscope=MICROSCOPES[name],
                tilt_deg=TILT_deg,
                shape=options.pixels,
                field_of_view_A=24.0,
                seed=i,
            )
            yield f"{atoms.info['name']}, {name}", series


def scores(clean: TiltSeries, *, rate: int, methods: list[str], dose_per_A2: float | None) -> list[float]:
    """PSNR of each method and of `auto`, the processor seconds of `auto`, and the coverage of its intervals."""
    trios = midpoint_trios(len(clean), rate=rate, offset=0)
    noisy = clean if dose_per_A2 is None else with_dose(clean, dose_per_A2=dose_per_A2, seed=0)
    measured, truth = (noisy.subset(np.union1d(trios[:, 0], trios[:, 2])), clean.frames[trios[:, 1]])
    targets = clean.tilt_deg[trios[:, 1]]

    def psnr_dB(frames):
        return float(image_metrics(frames, truth, peak=float(clean.frames.max())).psnr_dB.mean())

    found = [psnr_dB(densify(measured, tilt_deg=targets, method=method).frames) for method in methods]
    begun_s = time.process_time()
    automatic = predict_automatically(measured, tilt_deg=targets, methods=methods)
    found += [psnr_dB(automatic.frames), time.process_time() - begun_s]
    return found + ([] if automatic.sigma is None else [*coverage(automatic.frames, automatic.sigma, truth).values()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["linear", "cubic", "sirt_reprojection", "reprojection"])
    parser.add_argument("--rates", nargs="+", type=int, default=[1, 3, 6, 12])
    parser.add_argument("--particles", type=int, default=3)
    parser.add_argument("--microscopes", nargs="+", default=list(MICROSCOPES), choices=list(MICROSCOPES))
    parser.add_argument("--pixels", type=int, default=56)
    parser.add_argument("--dose", type=float, default=None, help="electrons per square angstrom and frame")
    parser.add_argument("--file")
    options = parser.parse_args()
    names = [*options.methods, "auto", "cpu s", "in 50 %", "in 90 %", "in 95 %"]
    print(f"{'series':36} {'rate':>4} " + " ".join(f"{name:>{max(7, len(name))}}" for name in names))
    for name, series in series_of(options):
        for rate in options.rates:
            row = scores(series, rate=rate, methods=options.methods, dose_per_A2=options.dose)
            cells = (f"{v:{max(7, len(n))}.2f}" for n, v in zip(names, row, strict=False))
            print(f"{name:36} {rate:4} " + " ".join(cells), flush=True)


if __name__ == "__main__":
    main()
