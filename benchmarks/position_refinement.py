"""Are positions better for a refinement through multislice? `python benchmarks/position_refinement.py` (minutes).

The spots of `atoms` are fitted once more to the measured frames minus what multislice says beyond spots, and multislice
of the moved atoms is computed anew: Gauss-Newton with the derivatives of the spots. Frames and model differ in the
potential and the slices, as in `dynamical.py`. The last row of each particle has the true positions: what remains is
the error of the model itself.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from dynamical import samples, score_dB, split

from tsg_core.evaluation.atom_peaks import match_atoms
from tsg_core.interpolation.atoms.model import AtomModel
from tsg_core.interpolation.atoms.whitening import Whitening
from tsg_core.interpolation.densify import with_elements
from tsg_core.interpolation.dynamical.fit import DynamicalModel, fit_dynamical
from tsg_core.interpolation.fitted_series import FittedSeries

PARTICLES = {"CoPdPt": "Co,Pd,Pt", "W 65, bcc": "W"}
FREE = ("positions_A", "log_weight", "sigma_A", "offset")
N_ITERATIONS = 30  # of L-BFGS


@click.command(help=__doc__)
@click.option("--microscope", default="aberrated", show_default=True)
@click.option("--spacing", "spacing_deg", default=24.0, show_default=True)
@click.option("--rounds", default=2, show_default=True)
@click.option("--work", "folder", default="artifacts/dynamical", show_default=True, type=Path)
def main(microscope, spacing_deg, rounds, folder):
    click.echo(f"{'':31s}{'dB':>6s}{'median pm':>11s}{'misfit':>8s}")
    for name, elements in PARTICLES.items():
        sample = samples(microscope, folder=folder)[name]
        whole = with_elements(sample.series(), elements)
        measured, targets = split(whole, whole, spacing_deg=spacing_deg, n_targets=3)
        true_A = sample.atoms().positions
        click.echo(f"{name}, {microscope}, every {spacing_deg:g} deg")
        for what, model in models(measured, true_A, rounds=rounds):
            score = score_dB(model.predict(targets.tilt_deg), targets, whole)
            misfit = model.residual.std() / measured.frames.std()
            click.echo(f"  {what:29s}{score:6.1f}{100 * np.median(apart_A(model.spots, true_A)):11.1f}{misfit:8.4f}")


def models(measured: FittedSeries, true_A: np.ndarray, *, rounds: int) -> Iterator[tuple[str, DynamicalModel]]:
    fitted = partial(fit_dynamical, measured, names=measured.metadata["elements"])
    model = fitted(measured.atoms)
    yield "positions by atoms", model
    for i in range(rounds):
        model = fitted(moved(model.spots, refined_A(model)))
        yield f"refined, round {i + 1}", model
    yield "true positions", fitted(moved(measured.atoms, to_truth(measured.atoms, true_A)))


def refined_A(model: DynamicalModel) -> np.ndarray:
    """Positions (n, 3) at which spots fit what multislice leaves of the frames best."""
    spots, parameters = model.spots, model.spots._parameters
    wanted = (model.series.frames - model.beyond_spots) / np.float32(spots._unit)
    frames = replace(spots._frames, frames=torch.from_numpy(wanted.astype(np.float32)))
    features = None if spots.channelling is None else frames.features(parameters)
    missed = frames.residuals(parameters, features=features)
    frames = replace(frames, whitening=Whitening.of(missed, frames.frames, part=1.0))
    found = frames.fitted(parameters, free=FREE, n_iterations=N_ITERATIONS, features=features)
    return found["positions_A"].double().numpy()[spots._fixed]


def to_truth(spots: AtomModel, true_A: np.ndarray) -> np.ndarray:
    """The true positions of the found atoms, in the order of these."""
    found, of = match_atoms(spots.positions_A, true_A).pairs.T
    positions_A = spots.positions_A.copy()
    positions_A[found] = true_A[of]
    return positions_A


def moved(spots: AtomModel, positions_A: np.ndarray) -> AtomModel:
    """The spots elsewhere, as bright as before."""
    of_all = spots._parameters["positions_A"].clone()
    of_all[torch.from_numpy(spots._fixed)] = torch.from_numpy(positions_A.astype(np.float32))
    return replace(spots, positions_A=positions_A, _parameters=spots._parameters | {"positions_A": of_all})


def apart_A(spots: AtomModel, true_A: np.ndarray) -> np.ndarray:
    found, of = match_atoms(spots.positions_A, true_A).pairs.T
    return np.linalg.norm(spots.positions_A[found] - true_A[of], axis=1)


if __name__ == "__main__":
    main()
