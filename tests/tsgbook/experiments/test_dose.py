"""One dose over many frames or few: what the rows hold, and the verdict against all frames."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.geometry import pixel_centres_A
from tsg_core.microscope import NON_ABERRATED
from tsg_core.tilt_series import TiltSeries
from tsgbook.experiments import dose
from tsgbook.experiments.frames_and_volumes import read_table

PLACES = np.array([[2.0, -1.0, 1.5], [-2.5, 2.0, 0.5], [0.0, 0.5, -2.5]])


class Data:
    """Three spots that are atoms, as two particles."""

    microscope = NON_ABERRATED
    names = ("first", "second")

    def __getitem__(self, i):
        tilt_deg = np.arange(-90, 91, 7.5)
        grid = pixel_centres_A(24, pixel_size_A=0.5)
        frames = np.zeros((len(tilt_deg), 24, 24))
        for x, y, z in PLACES:
            column = x * np.cos(np.deg2rad(tilt_deg)) + z * np.sin(np.deg2rad(tilt_deg))
            frames += np.exp(-((grid[None, None] - column[:, None, None]) ** 2) - (grid[:, None] - y) ** 2)
        return TiltSeries(0.01 * frames, tilt_deg, 0.5)

    def atoms(self, i):
        return Atoms("Au3", positions=PLACES)


SETTINGS = {"gaps": [1, 2, 4], "mix_methods": ["linear"], "n_particles": 1, "n_iterations": 20, "n_points": 1000}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dose")
    dose.dose_metrics(folder, {"m": Data()}, total_doses_per_A2=[3e4, 1e8], **SETTINGS)
    return read_table(folder)


def test_every_spread_of_every_dose_is_measured(table):
    arms = [(1, "Sparse", 25), (2, "Sparse", 13), (2, "Mix (all)", 13), (4, "Sparse", 7), (4, "Mix (all)", 7)]
    expected = [["0 first", amount, *arm] for amount in (3e4, 1e8) for arm in arms]
    assert table[["particle", "dose_per_A2", "gap", "arm", "n_measured"]].to_numpy().tolist() == expected


def test_more_dose_is_better_and_little_noise_leaves_the_reference(table):
    by_dose = table.pivot_table(index=["gap", "arm"], columns="dose_per_A2", values="nrmse")
    assert (by_dose[3e4] > by_dose[1e8]).all()
    assert by_dose.loc[(1, "Sparse"), 1e8] < 0.05
    assert by_dose.loc[(4, "Sparse"), 1e8] > 0.1  # for want of angles


def test_all_spreads_receive_the_same_dose(monkeypatch, tmp_path):
    given = []
    original = dose.with_series_dose

    def noted(series, **options):
        given.append((len(series), options["total_dose_per_A2"], options["seed"]))
        return original(series, **options)

    monkeypatch.setattr(dose, "with_series_dose", noted)
    dose.dose_metrics(tmp_path, {"m": Data()}, total_doses_per_A2=[1e6], **{**SETTINGS, "n_particles": 2}, seed=5)
    assert given == [(n, 1e6, seed) for seed in (5, 6) for n in (25, 13, 7)]  # noise of its own for each particle


def test_all_frames_must_be_among_the_spreads(tmp_path):
    with pytest.raises(TsgError, match=r"gaps=\[2, 4\] must include 1"):
        dose.dose_metrics(tmp_path, {"m": Data()}, total_doses_per_A2=[1e6], **{**SETTINGS, "gaps": [2, 4]})


def rows(values):
    """A table of six particles; values[(gap, arm)] is added to what the particles differ in."""
    of_particle = np.linspace(0, 5, 6)
    return pd.DataFrame(
        {"microscope": "m", "dose_per_A2": 1e5, "particle": f"p{p}", "gap": gap, "arm": arm, "method": method,
         "n_measured": 120 // gap, "chamfer_A": own + value[p % len(value)]}
        for (gap, arm, method), value in values.items() for p, own in enumerate(of_particle)
    )  # fmt: skip


def test_verdicts_against_all_frames():
    found = dose.against_all_frames(
        rows(
            {
                (1, "Sparse", ""): [0.0],
                (2, "Sparse", ""): [1.0, 1.1],
                (2, "Mix (all)", "net"): [-0.5, -0.6],
                (4, "Sparse", ""): [1.0, -1.0],
            }
        )
    )
    said = {(row.gap, row.arm): (row.verdict, row.n_measured) for row in found.itertuples()}
    assert said == {
        (2, "Sparse"): ("worse", 60), (2, "Mix (all) net"): ("better", 60), (4, "Sparse"): ("not resolved", 30),
    }  # fmt: skip
    best = found[found["arm"] == "Mix (all) net"].iloc[0]
    assert best["mean"] == pytest.approx(-0.55) and best["low"] <= best["mean"] <= best["high"]
