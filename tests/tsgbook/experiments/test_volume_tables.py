"""Tables, sentences and figures of the chapter on volumes, from tables of which the answer is known."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from tsg_core.evaluation.spectra import ShellCorrelation
from tsg_core.tilt_series import TiltSeries
from tsgbook.experiments import example_volumes, volume_tables
from tsgbook.figures import volumes as volume_figures

matplotlib.use("Agg")
COUNTS = {"Reference": (0, 0), "Sparse": (5, 20), "Mix (all)": (1, 2), "Twice as dense": (0, 0)}


@pytest.fixture
def table():
    """Six particles of 50 atoms; Mix is nearer at a gap of 6, farther at 2, and can't be told from Sparse at 4."""
    rng = np.random.default_rng(0)
    rows = []
    for microscope in ("aberrated", "non_aberrated"):
        for p in range(6):
            own = rng.normal(1, 0.3)
            for gap in (1, 2, 4, 6):
                for arm in ["Reference"] if gap == 1 else ["Sparse", "Mix (all)", "Twice as dense"]:
                    change = {2: 0.1, 4: 0.1 * (-1) ** p, 6: -0.2}.get(gap, 0) if arm.startswith("Mix") else 0
                    far = own + 0.1 * gap + change + rng.normal(0, 0.001)
                    missing, invented = COUNTS[arm]
                    row = {"microscope": microscope, "particle": f"p{p}", "gap": gap, "offset": 0, "arm": arm}
                    row |= {"method": "net" if arm.startswith("Mix") else "", "chamfer_A": far, "rms_A": far}
                    row |= {"true_chamfer_A": far, "atoms": 50, "missing": missing, "invented": invented}
                    rows.append(row | {"rmsd_pm": 4.0, "artefacts": far, "background": far, "roughness_per_A": far})
    return pd.DataFrame(rows)


def test_who_wins_at_which_gap(table):
    found = volume_tables.against_sparse(table)
    assert set(found["label"]) == {"Mix (all) net"}
    winners = found.set_index(["microscope", "gap"])["winner"]
    for microscope in ("aberrated", "non_aberrated"):
        assert winners[microscope].tolist() == ["Sparse", volume_tables.NEITHER, "Mix"]
    shown = volume_tables.who_wins(table)
    assert list(shown) == ["microscope", "gap", "Mix (all) net"]
    assert shown.iloc[0].tolist()[:2] == ["aberrated", 2] and shown.iloc[0, 2].endswith("Sparse")
    text = volume_tables.who_wins_sentences(table)
    line = text.splitlines()[1]
    assert "non-aberrated: nearer than Sparse at 1 of 3 gaps, farther at 1, no difference resolved at 1" in line
    assert "-0.2" in line and line.endswith("at a gap of 6.")
    worse = table.assign(chamfer_A=table["chamfer_A"] + table["arm"].str.startswith("Mix"))
    assert volume_tables.who_wins_sentences(worse).count("On average it is farther at every gap.") == 2


def test_claims_stand_beside_those_by_the_truth(table):
    shown = volume_tables.claims_table(table.drop(columns="true_chamfer_A"))
    judged = shown[shown["claim"].str.contains("twice the")]
    assert judged["verdict"].tolist() == ["no", "no"]
    assert set(judged["by the true density"]) == {"not measured"}
    assert set(shown.loc[shown["claim"].str.contains("artefacts in Mix"), "by the true density"]) == {""}
    same = volume_tables.claims_table(table)
    by_distance = same[same["by the true density"] != ""]
    assert (by_distance["verdict"] == by_distance["by the true density"]).all() and len(by_distance) > 3
    assert "artefacts" in volume_tables.claims_sentences(table)


def test_atoms_are_counted_apart(table):
    found = volume_tables.atom_means(table).set_index(["microscope", "label", "gap"]).loc["aberrated"]
    sparse = found.loc["Sparse", 6]
    assert (sparse["missing"], sparse["invented"], sparse["recall"]) == pytest.approx((10, 40, 0.9))
    assert sparse["precision"] == pytest.approx(45 / 65)
    shown = volume_tables.atoms_table(table, gap=6)
    assert shown["arm"].tolist()[:3] == ["Reference", "Sparse", "Mix (all) net"]
    assert shown["invented per 100 atoms"][1].startswith("40.0")
    assert "Sparse misses 10.0 and invents 40.0; Mix (all) net misses 2.0 and invents 4.0." in (
        volume_tables.atoms_sentences(table)
    )


def test_nothing_found_is_nothing_invented(table):
    nothing = table.assign(missing=50, invented=0)
    found = volume_tables.atom_means(nothing)
    assert (found["precision"] == 1).all() and (found["recall"] == 0).all()


def dosed(change):
    return pd.DataFrame(
        {"microscope": "aberrated", "dose_per_A2": 1e6, "particle": f"p{p}", "gap": gap, "arm": "Sparse", "method": "",
         "n_measured": 120 // gap, "chamfer_A": p + (0 if gap == 1 else change + 0.01 * p)}
        for p in range(6) for gap in (1, 3)
    )  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [(-0.5, "40 measured frames, -0.47"), (0.5, "nothing came nearer")])
def test_the_sentence_on_dose_names_the_best_spread(change, words):
    text = volume_tables.dose_sentences(dosed(change))
    assert words in text and "1,000,000 e/Å²" in text
    assert ("over 6 particles, a resolved gain" in text) == (change < 0)
    assert volume_tables.dose_table(dosed(change))["than all frames"].tolist() == ["better" if change < 0 else "worse"]


CURVE = ShellCorrelation(frequency_per_A=np.array([0.1, 0.2, 0.4]), correlation=np.array([1.0, 0.6, 0.2]))


def test_crossings_or_how_far_the_curve_reaches():
    shown = volume_tables.resolutions_table({"all": {"Sparse": CURVE}})
    assert shown.iloc[0].tolist() == ["all", "Sparse", "4.00", "≤ 2.50"]


def test_figures_show_every_arm_and_panel(table):
    figure = volume_figures.against_gap(table)
    assert [axis.get_title() for axis in figure.axes] == ["aberrated"] * 2 + ["non-aberrated"] * 2
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "Reference", "Sparse", "Mix (all) net",
    ]  # fmt: skip
    assert len(volume_figures.atoms_against_gap(table).axes) == 6
    assert len(volume_figures.against_dose(dosed(1.0)).axes) == 1
    drawn = volume_figures.shell_correlations({"all": {"Sparse": CURVE, "Mix": CURVE}, "cone": {"Sparse": CURVE}})
    assert [len(axis.get_legend().get_texts()) for axis in drawn.axes] == [2, 1]
    volumes = {"a": np.ones((4, 6, 8)), "b": np.zeros((4, 6, 8))}
    shapes = [
        axis.images[0].get_array().shape for axis in volume_figures.orthogonal_slices(volumes, voxel_size_A=1.0).axes
    ]
    assert shapes == [(6, 8)] * 2 + [(4, 8)] * 2 + [(4, 6)] * 2


class Data:
    def __getitem__(self, i):
        frames = np.random.default_rng(0).random((13, 6, 8), np.float32)
        return TiltSeries(frames, np.linspace(-90, 90, 13), 0.5)


def test_examples_are_slices_of_the_volumes(tmp_path):
    settings = {"method": "linear", "n_iterations": 5}
    example_volumes.example_volumes(tmp_path / "volumes.npz", Data()[0], gap=3, **settings)
    with np.load(tmp_path / "volumes.npz") as stored:
        volumes = dict(stored)
    assert list(volumes) == ["Reference", "Sparse", "Mix (midpoint)", "Mix (all)"]
    example_volumes.example_slices(tmp_path / "slices.npz", {"m": Data(), "n": Data()}, gaps=[1, 3], **settings)
    slices = example_volumes.read_slices(tmp_path / "slices.npz", "n")
    assert {arm: list(row) for arm, row in slices.items()} == {"Sparse": [1, 3], "Mix (all)": [1, 3]}
    np.testing.assert_allclose(slices["Sparse"][1], volumes["Reference"][3], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(slices["Mix (all)"][3], volumes["Mix (all)"][3], rtol=1e-4, atol=1e-6)
    figure = volume_figures.slices_by_gap(slices, pixel_size_A=0.5)
    assert len([axis for axis in figure.axes if axis.images]) == 4
    assert "Å" in figure.axes[0].texts[0].get_text(), "a scale bar"
