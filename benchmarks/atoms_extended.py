"""Atoms of objects that go on outside the frames: found where all frames look, and what they add to predicted frames.

    python benchmarks/atoms_extended.py                          the simulated cases of `verdicts.py`, some minutes
    python benchmarks/atoms_extended.py --recorded FOLDER        recorded films instead, as `extended.py` reads them

`looked at` is the number of true atoms that all frames show, `recall` the fraction of them that is found, `false` the
number of atoms found among them that are not there, and `rmsd` how far off the others are. PSNR in dB is that of frames
half-way between the measured ones (recorded: of the frames left out), with the residual. `alone` is without it.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from extended import recorded
from verdicts import CASES, clean_series, extended

from tsg_core.evaluation.atom_peaks import match_atoms
from tsg_core.evaluation.metrics import psnr_dB
from tsg_core.geometry import tilted_positions
from tsg_core.interpolation.atoms.fit import AtomSettings, NotAtoms, fit_atoms
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.simulation.noise import with_dose
from tsg_core.tilt_series import TiltSeries

OTHERS = ("linear", "smooth", "reprojection")
LATTICE_PIXEL_A = 0.49  # of the film example: a face-centred lattice whose constant is 8 pixels, as of platinum
Part = tuple[str, TiltSeries, TiltSeries, np.ndarray | None]


def simulated() -> Iterator[Part]:
    """Name, measured frames, true frames between them, and the places of the true atoms."""
    for case in (c for c in CASES if c.sample != "particle"):
        between_deg = (case.measured_deg[1:] + case.measured_deg[:-1]) / 2
        clean = clean_series(case, np.union1d(case.measured_deg, between_deg))
        measured = clean.subset(np.isin(clean.tilt_deg, case.measured_deg))
        if case.dose_per_A2 is not None:
            measured = with_dose(measured, dose_per_A2=case.dose_per_A2, seed=1)
        yield case.name, measured, clean.subset(np.isin(clean.tilt_deg, between_deg)), extended(case).positions


def recorded_films(folder: Path) -> Iterator[Part]:
    for name, series in recorded(folder):
        if name == "film example":
            series = replace(series, pixel_size_A=LATTICE_PIXEL_A)
        for every in (2, 4):
            kept = np.arange(0, len(series), every)
            between = np.setdiff1d(np.arange(kept[-1]), kept)
            yield f"{name}, every {every}", series.subset(kept), series.subset(between), None


def mean_psnr_dB(frames: np.ndarray, truth: np.ndarray, peak: float) -> float:
    return float(psnr_dB(((frames - truth) ** 2).mean(axis=(1, 2)), peak).mean())


def looked_at(positions_A: np.ndarray, series: TiltSeries) -> np.ndarray:
    """Whether all frames show the middle of each atom (n,)."""
    _, n_y, n_x = series.frames.shape
    columns_A, rows_A, _ = np.moveaxis(tilted_positions(positions_A, tilt_deg=series.tilt_deg), -1, 0)
    edge_y_A, edge_x_A = n_y * series.pixel_size_A / 2, n_x * series.pixel_size_A / 2
    return (np.abs(columns_A) <= edge_x_A).all(axis=0) & (np.abs(rows_A[0]) <= edge_y_A)


def compared(found_A: np.ndarray, true_A: np.ndarray, series: TiltSeries) -> str:
    pairs = match_atoms(found_A, true_A, within_A=0.8).pairs
    found, true = looked_at(found_A, series), looked_at(true_A, series)
    invented = np.setdiff1d(np.flatnonzero(found), pairs[:, 0])
    inner = pairs[true[pairs[:, 1]]]
    apart_A = np.linalg.norm(found_A[inner[:, 0]] - true_A[inner[:, 1]], axis=1)
    rmsd_pm = 100 * np.sqrt(np.mean(apart_A**2)) if len(inner) else np.nan
    return f"{true.sum():9d} {len(inner) / max(true.sum(), 1):6.3f} {len(invented):5d} {rmsd_pm:6.1f}"


def line(name: str, measured: TiltSeries, truth: TiltSeries, true_A: np.ndarray | None, settings: AtomSettings) -> str:
    series, peak = FittedSeries.of(measured), float(np.percentile(truth.frames, 99.99))
    others = [mean_psnr_dB(predict(method, series, truth.tilt_deg), truth.frames, peak) for method in OTHERS]
    head = f"{name:26} {len(series):6d} " + " ".join(f"{value:12.2f}" for value in others)
    begun_s = time.process_time()
    try:
        model = fit_atoms(series, settings=settings)
    except NotAtoms as refused:
        return f"{head} {refused}"
    cpu_s = time.process_time() - begun_s
    alone, whole = (mean_psnr_dB(model.predict(truth.tilt_deg, residual=r), truth.frames, peak) for r in (False, True))
    atoms = (
        compared(model.positions_A, true_A, series) if true_A is not None else f"{'-':>9} {'-':>6} {'-':>5} {'-':>6}"
    )
    return f"{head} {alone:6.2f} {whole:6.2f} {len(model):6d} {model.explained:9.1%} {atoms} {cpu_s:6.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recorded", type=Path, metavar="FOLDER", help="folder of recorded series")
    parser.add_argument("--only", default="", help="part of the names of the cases")
    parser.add_argument("--channelling", action="store_true", help="fit the channelling term, too")
    options = parser.parse_args()
    print(
        f"{'case':26} {'frames':>6} " + " ".join(f"{method:>12}" for method in OTHERS) + f" {'alone':>6} {'atoms':>6} "
        f"{'n':>6} {'explained':>9} {'looked at':>9} {'recall':>6} {'false':>5} {'rmsd':>6} {'cpu s':>6}"
    )
    settings = AtomSettings(channelling=options.channelling)
    for name, *part in recorded_films(options.recorded) if options.recorded else simulated():
        if options.only in name:
            print(line(name, *part, settings), flush=True)


if __name__ == "__main__":
    main()
