"""`dynamical` beside linear and `atoms` on multislice series: `python benchmarks/dynamical.py` (hours on one core).

The shipped series have Kirkland's potential in slices of 1.5 A, the model Lobato's in slices of 3 A. `--off 0.05` tells
the methods a microscope whose convergence angle and Cs are 5 % and whose defocus is 20 A off.
"""

import time
from dataclasses import replace

import click
import numpy as np
from scipy.spatial import cKDTree

from tsg_core.evaluation.metrics import psnr_dB
from tsg_core.interpolation.densify import with_elements
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.microscope import MICROSCOPES
from tsg_core.samples.multislice_series import PARTICLES, reference_atoms, reference_series

METHODS = ("linear", "atoms", "dynamical")


@click.command()
@click.option("--microscope", "microscopes", multiple=True, default=tuple(MICROSCOPES), show_default=True)
@click.option("--particle", "particles", multiple=True, default=PARTICLES, show_default=True)
@click.option(
    "--spacing", "spacings_deg", multiple=True, default=(12.0,), show_default=True, help="multiple of 6 degrees"
)
@click.option("--targets", default=5, show_default=True, help="frames half-way between measured ones, evenly chosen")
@click.option("--elements", help="Elements of the particle; found if not given.")
@click.option(
    "--off", default=0.0, show_default=True, help="relative error of the microscope that the methods are told"
)
def main(microscopes, particles, spacings_deg, targets, elements, off):
    """Print PSNR in dB at tilts half-way between measured ones, errors of the positions, and the elements found."""
    click.echo(f"{'':34s}{'deg':>4s}" + "".join(f"{m:>11s}" for m in METHODS) + "     pm  elements, CPU time")
    for microscope in microscopes:
        for particle in particles:
            for spacing_deg in spacings_deg:
                start = time.process_time()
                series = with_elements(reference_series(particle, microscope), elements)
                line = scored(told(series, off=off), series, reference_atoms(particle), spacing_deg, targets)
                seconds = time.process_time() - start
                click.echo(f"{particle + ', ' + microscope:34s}{spacing_deg:4.0f}{line}, {seconds:.0f} s")


def told(series, *, off: float):
    """The series with a microscope that is wrong by a fraction of its convergence angle and Cs."""
    right = series.metadata["microscope"]
    wrong = {
        "convergence_mrad": right["convergence_mrad"] * (1 + off),
        "Cs_um": right["Cs_um"] * (1 + off),
        "defocus_A": right["defocus_A"] + 400 * off,
    }
    return replace(series, metadata={**series.metadata, "microscope": {**right, **wrong}})


def scored(series, truth, atoms, spacing_deg: float, n_targets: int) -> str:
    step_deg = float(series.tilt_deg[1] - series.tilt_deg[0])
    gap = round(spacing_deg / step_deg)
    measured = FittedSeries.of(series.subset(np.arange(0, len(series), gap)))
    middle = np.arange(gap // 2, len(series) - gap // 2, gap)
    middle = middle[np.unique(np.linspace(0, len(middle) - 1, min(n_targets, len(middle))).round().astype(int))]
    scores = []
    for method in METHODS:
        frames = predict(method, measured, series.tilt_deg[middle])
        error = ((frames.astype(float) - truth.frames[middle]) ** 2).mean(axis=(1, 2))
        scores.append(float(psnr_dB(error, truth.intensity_scale).mean()))
    model = measured.dynamical
    distance_A, of = cKDTree(atoms.positions).query(model.spots.positions_A)
    true, found = np.array(atoms.get_chemical_symbols())[of], model.elements.symbols
    pairs = [
        f"{a} -> {b} {((true == a) & (found == b)).sum()}"
        for a in sorted(set(true))
        for b in sorted(set(found))
        if ((true == a) & (found == b)).any()
    ]
    return "".join(f"{score:11.1f}" for score in scores) + f"{100 * np.median(distance_A):7.1f}  {', '.join(pairs)}"


if __name__ == "__main__":
    main()
