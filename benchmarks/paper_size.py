"""Frames predicted at the paper's size: 512 x 512 pixels, 181 tilts, both microscopes.

    python benchmarks/paper_size.py simulate     simulate the tilt series, minutes
    python benchmarks/paper_size.py predict      predict frames and print the table, an hour on two cores
    python benchmarks/paper_size.py predict --microscopes aberrated --rates 12 --targets 2
    python benchmarks/paper_size.py predict --finished      what an interrupted call has finished

Four test particles of 20 to 40 A are simulated by the incoherent engine with channelling. Of each series every 2r-th
frame counts as measured, and a share of those half-way between is predicted: `--targets` of them, evenly spaced over
the range. `auto` chooses among all its candidates and shares their fits with the single methods. PSNR in dB, with the
brightest pixel of the series as its peak; `cpu s` is the processor time of a case, all methods together.

Series and finished cases are kept in the folder `--work`, so that the same command continues after an interruption;
other code predicts again.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from tsg_core.evaluation import image_metrics
from tsg_core.interpolation.choice import predict_automatically
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.microscope import MICROSCOPES
from tsg_core.simulation.datasets import Dataset, write_dataset
from tsg_core.sparsity import midpoint_trios
from tsg_core.structures import random_rotation, test_particles
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.digests import digest_of, read_json, write_json
from tsg_core.tools.provenance import code_version

TILT_deg = np.arange(-90.0, 91.0)
FIELD_A = 76.8
N_PARTICLES = 4
METHODS = ("linear", "cubic", "tsgnet", "reprojection", "auto")


def dataset(microscope: str, *, work: Path, pixels: int) -> Dataset:
    """The series of all particles, simulated unless they are there."""
    particles = test_particles(N_PARTICLES, seed=1, diameter_A=(20, 40))
    path = write_dataset(
        work / f"{microscope}-{pixels}px.zarr",
        [random_rotation(atoms, seed=i) for i, atoms in enumerate(particles)],
        microscope=MICROSCOPES[microscope],
        tilt_deg=TILT_deg,
        shape=pixels,
        field_of_view_A=FIELD_A,
        channelling=True,
    )
    return Dataset(path)


def scores(clean: TiltSeries, *, rate: int, n_targets: int) -> dict:
    """PSNR and SSIM of every method, the weights of `auto`, and the processor time."""
    trios = midpoint_trios(len(clean), rate=rate, offset=0)
    targets = trios[np.unique(np.linspace(0, len(trios) - 1, min(n_targets, len(trios))).round().astype(int)), 1]
    measured = FittedSeries.of(clean.subset(np.union1d(trios[:, 0], trios[:, 2])))
    peak, kept = float(clean.frames.max()), {}

    def predict_once(method, series, tilt_deg):
        frames = predict(method, series, tilt_deg)
        if series is measured:
            kept[method] = frames
        return frames

    begun_s = time.process_time()
    automatic = predict_automatically(measured, tilt_deg=clean.tilt_deg[targets], predict_by=predict_once)
    kept["auto"] = automatic.frames
    found = {}
    for method in METHODS:
        frames = kept[method] if method in kept else predict(method, measured, clean.tilt_deg[targets])
        metrics = image_metrics(frames, clean.frames[targets], peak=peak)
        found[method] = {"psnr_dB": float(metrics.psnr_dB.mean()), "ssim": float(metrics.ssim.mean())}
    return {
        "methods": found,
        "n_targets": len(targets),
        "n_midpoints": len(trios),
        "expected_dB": float(automatic.choice.table["expected_psnr_dB"].max()),
        "weights": {m: w for m, w in automatic.choice.weights.items() if w},
        "processor_s": time.process_time() - begun_s,
    }


def kept_scores(data: Dataset, i: int, *, rate: int, n_targets: int, work: Path, finished: bool) -> dict | None:
    """`scores` of particle i, from a file if the same code has made them; None if only finished ones are wanted."""
    code = code_version(["tsg_core.interpolation.choice", "tsg_core.simulation.series"])
    case = digest_of([Path(data).name, data.names[i], rate, n_targets, code])
    path = work / "scores" / f"{case}.json"
    if not (found := read_json(path)) and not finished:
        found = scores(data[i], rate=rate, n_targets=n_targets)
        path.parent.mkdir(exist_ok=True)
        write_json(path, found)
    return found


def simulate(options) -> None:
    for microscope in options.microscopes:
        begun_s = time.process_time()
        data = dataset(microscope, work=options.work, pixels=options.pixels)
        spent_s = time.process_time() - begun_s
        print(f"{microscope}: {len(data)} series of {len(data.tilt_deg)} frames, {spent_s:.0f} s of processors now")


def prediction(options) -> None:
    width = max(map(len, METHODS))
    heads = " ".join(f"{method:>{width}}" for method in METHODS)
    print(f"{'series':24} {'rate':>4} {'midpoints':>10} {heads} {'cpu s':>6}  weights of auto")
    for microscope in options.microscopes:
        data = dataset(microscope, work=options.work, pixels=options.pixels)
        for rate in options.rates:
            rows = []
            for i, name in enumerate(data.names):
                options_of_case = {"n_targets": options.targets, "work": options.work, "finished": options.finished}
                if (found := kept_scores(data, i, rate=rate, **options_of_case)) is None:
                    continue
                rows.append(found)
                cells = " ".join(f"{found['methods'][method]['psnr_dB']:{width}.2f}" for method in METHODS)
                share = f"{found['n_targets']} of {found['n_midpoints']}"
                weights = ", ".join(f"{method} {weight:.2f}" for method, weight in found["weights"].items())
                print(f"{name:24} {rate:4} {share:>10} {cells} {found['processor_s']:6.0f}  {weights}", flush=True)
            for metric, digits in (("psnr_dB", 2), ("ssim", 4)) if rows else ():
                means = [np.mean([found["methods"][method][metric] for found in rows]) for method in METHODS]
                cells = " ".join(f"{mean:{width}.{digits}f}" for mean in means)
                label = f"{microscope}, {metric.partition('_')[0].upper()}"
                print(f"{label:24} {rate:4} {f'mean of {len(rows)}':>10} {cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, command in (("simulate", simulate), ("predict", prediction)):
        sub = commands.add_parser(name)
        sub.set_defaults(command=command)
        sub.add_argument("--microscopes", nargs="+", default=list(MICROSCOPES), choices=list(MICROSCOPES))
        sub.add_argument("--pixels", type=int, default=512)
        sub.add_argument("--work", type=Path, default=Path("artifacts/paper_size"))
        if command is prediction:
            sub.add_argument("--rates", type=int, nargs="+", default=[1, 3, 6, 12])
            sub.add_argument("--targets", type=int, default=5, help="midpoints that are predicted of each series")
            sub.add_argument("--finished", action="store_true", help="only print the cases that are finished")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.command(options)


if __name__ == "__main__":
    main()
