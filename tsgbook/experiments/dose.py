"""The fair question of dose: should a particle's electrons be spread over many frames, or over few better ones?"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from tsg_core.errors import TsgError
from tsg_core.evaluation.statistics import paired_difference, verdict
from tsg_core.interpolation.densify import densify
from tsg_core.model import shipped
from tsg_core.reconstruction import sirt
from tsg_core.simulation.datasets import Dataset
from tsg_core.simulation.noise import with_series_dose

from .arms import filled_tilts, sparse
from .frames_and_volumes import write_particle_by_particle, yardstick_of


def dose_metrics(
    folder: Path,
    data: Mapping[str, Dataset],
    *,
    total_doses_per_A2: Sequence[float],
    gaps: Sequence[int],
    mix_methods: Sequence[str],
    n_particles: int,
    n_iterations: int,
    n_points: int,
    checkpoint: Path | None = None,
    seed: int = 0,
) -> None:
    """Measure volumes from a fixed total dose spread over every gap-th frame; write the table to `folder`.

    The columns are those of `Yardstick.measure`. There is a row for each microscope, particle (the first
    `n_particles`), total dose in electrons per square angstrom, gap, arm and method. Sparse at a gap of 1 contains all
    frames; Mix (all) contains the noisy frames of F_g^(0) and those that a method predicts from them. The yardstick is
    the Reference from all frames without noise. Each particle draws its own noise. Raises TsgError if the gaps lack 1,
    with which the others are compared.
    """
    if 1 not in gaps:
        raise TsgError(f"gaps={list(gaps)} must include 1: the dose spread over all frames")
    network = shipped.network(checkpoint) if "tsgnet" in mix_methods else None

    def rows(dataset: Dataset, i: int) -> Iterator[dict]:
        full = dataset[i]
        yardstick = yardstick_of(dataset, i, n_iterations=n_iterations, n_points=n_points, seed=seed)
        for dose in total_doses_per_A2:
            for gap in gaps:
                known = with_series_dose(sparse(full, gap=gap), total_dose_per_A2=dose, seed=seed + i)
                arms = [("Sparse", "", known)]
                for method in mix_methods if gap > 1 else ():
                    tilts = filled_tilts(full, gap=gap, fill="all")
                    dense = densify(known, tilt_deg=tilts, method=method, checkpoint=network)
                    arms.append(("Mix (all)", method, dense))
                for arm, method, series in arms:
                    labels = {"dose_per_A2": dose, "gap": gap, "arm": arm, "method": method, "n_measured": len(known)}
                    yield labels | yardstick.measure(sirt(series, n_iterations=n_iterations))

    write_particle_by_particle(data, folder, rows, label="spreading the dose", n_particles=n_particles)


def against_all_frames(table: pd.DataFrame, *, column: str = "chamfer_A", seed: int = 0) -> pd.DataFrame:
    """For each microscope, dose, gap above 1 and arm: its value minus that of all frames at the same total dose.

    Columns `mean`, `low`, `high` of the paired difference over `particles`, and `verdict`: "better" if the interval
    lies below zero, "worse" if above, else "not resolved". Lower values of `column` must be better.
    """
    found = []
    for (microscope, dose), rows in table.groupby(["microscope", "dose_per_A2"], sort=False):
        all_frames = rows[rows["gap"] == 1].set_index("particle")[column]
        for (gap, arm, method), own in rows[rows["gap"] > 1].groupby(["gap", "arm", "method"], sort=False):
            values = own.set_index("particle")[column]
            difference = paired_difference(values, all_frames.loc[values.index], seed=seed)
            said = verdict(difference.low, difference.high, higher="worse", lower="better")
            names = {"microscope": microscope, "dose_per_A2": dose, "gap": gap, "arm": f"{arm} {method}".strip()}
            numbers = {
                "mean": difference.mean,
                "low": difference.low,
                "high": difference.high,
                "particles": difference.n,
            }
            found.append({**names, "n_measured": own["n_measured"].iloc[0], **numbers, "verdict": said})
    return pd.DataFrame(found)
