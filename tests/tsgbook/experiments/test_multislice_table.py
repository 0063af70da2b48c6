"""The table of the multislice test set: what is scored, at which frames, and how it goes on."""

import numpy as np
import pandas as pd
import pytest

from tsg_core.errors import TsgError
from tsg_core.microscope import MICROSCOPES
from tsg_core.samples.multislice_sets import multislice_set
from tsgbook.experiments import multislice_table
from tsgbook.experiments.multislice_table import (
    METHODS,
    SPACINGS_deg,
    cases_of,
    forget,
    gains_by_element,
    gains_table,
    mean_gains,
    read_frames,
    read_volumes,
    score_frames,
    score_volumes,
    spread,
)

ONE = {"microscopes": ["non_aberrated"], "particles": [3]}


def test_scores_are_those_of_frames_half_way_between_measured_ones(tmp_path):
    score_frames(tmp_path, cases_of(**ONE, spacings_deg=[24.0]), methods=["linear", "cubic"], n_slow=3)
    table = read_frames(tmp_path).set_index("method")
    frames = multislice_set("test", "non_aberrated")[3].frames  # every 4 degrees
    middle = np.arange(3, 43, 6)
    error = (frames[middle - 3] + frames[middle + 3]) / 2 - frames[middle]
    psnr_dB = 10 * np.log10(frames.max() ** 2 / (error**2).mean(axis=(1, 2)))
    assert table.loc["linear", "psnr_dB"] == pytest.approx(psnr_dB.mean(), abs=1e-3)
    assert table.loc["linear", "gain"] == 0 and table.loc["linear", "targets"] == len(middle)
    gain = table.loc["cubic", "psnr_dB"] - table.loc["linear", "psnr_dB"]
    assert table.loc["cubic", "gain"] == pytest.approx(gain) and set(table["element"]) == {"Ir"}


def test_slow_methods_are_scored_at_some_frames_and_linear_at_the_same(tmp_path, monkeypatch):
    asked = []

    def predicted(method, series, tilt_deg, **_):
        asked.append((method, tuple(tilt_deg)))
        return series.frames[: len(tilt_deg)].copy()

    monkeypatch.setattr(multislice_table, "predict", predicted)
    cases = cases_of(**ONE, spacings_deg=[24.0])
    score_frames(tmp_path, cases, methods=["dynamical"], n_slow=3)
    targets = multislice_set("test", "non_aberrated")[3].tilt_deg[[9, 21, 33]]
    assert asked == [("dynamical", tuple(targets)), ("linear", tuple(targets))]
    assert read_frames(tmp_path)["targets"].tolist() == [3]


def test_a_method_that_refuses_gains_nothing_and_says_why(tmp_path):
    score_frames(tmp_path, cases_of(**ONE, spacings_deg=[72.0]), methods=["atoms"], n_slow=3)
    row = read_frames(tmp_path).iloc[0]
    assert row["gain"] == 0 and "at least 5 are needed" in row["reason"]


def test_only_what_is_missing_or_forgotten_is_scored(tmp_path, monkeypatch):
    cases = cases_of(**ONE, spacings_deg=[16.0, 24.0])
    score_frames(tmp_path, cases, methods=["linear", "cubic"], n_slow=3)
    before = read_frames(tmp_path)
    asked, predict = [], multislice_table.predict
    monkeypatch.setattr(
        multislice_table, "predict", lambda method, *a, **o: asked.append(method) or predict(method, *a, **o)
    )
    score_frames(tmp_path, cases, methods=["linear", "cubic"], n_slow=3)
    assert not asked
    forget(tmp_path, methods=["cubic"], cases=cases[:1])
    score_frames(tmp_path, cases, methods=["linear", "cubic"], n_slow=3)
    assert asked == ["cubic", "linear"]
    order = ["spacing_deg", "method"]
    pd.testing.assert_frame_equal(
        *(t.sort_values(order).reset_index(drop=True) for t in (before, read_frames(tmp_path)))
    )


def test_what_does_not_exist_is_refused(tmp_path):
    with pytest.raises(TsgError, match="particles 0 to 7; there is no number 8"):
        cases_of(microscopes=["aberrated"], particles=[0, 8], spacings_deg=SPACINGS_deg)
    with pytest.raises(TsgError, match="'cubik' is not known; choose of linear"):
        score_frames(tmp_path, [], methods=["cubik"], n_slow=3)


@pytest.mark.parametrize(("n", "n_wanted", "chosen"), [(7, 3, [1, 3, 5]), (22, 2, [5, 16]), (2, 5, [0, 1])])
def test_frames_are_chosen_evenly(n, n_wanted, chosen):
    assert spread(n, n_wanted=n_wanted).tolist() == chosen


def test_gains_are_averaged_over_spacings_first():
    """A particle that was scored at one spacing counts as much as one that was scored at three."""
    rows = [("a", 8.0, 1.0), ("a", 16.0, 2.0), ("a", 24.0, 3.0), ("b", 24.0, 6.0)]
    table = pd.DataFrame(rows, columns=["particle", "spacing_deg", "gain"])
    table = table.assign(microscope="aberrated", method=METHODS[0], targets=2, mse=0.0, psnr_dB=0.0, ssim=0.0)
    mean = mean_gains(table).iloc[0]
    assert mean["gain"] == 4 and (mean["particles"], mean["spacings"], mean["targets"]) == (2, 3, 8)
    assert mean["gain_low"] == 2 and mean["gain_high"] == 6


def test_the_books_tables_stand_beside_incoherent_frames_and_the_paper():
    gains = {"linear": 0.0, "tsgnet": 1.0, "atoms": 4.0}
    rows = [
        ("aberrated", f"{i} {element} fcc 19", element, spacing, method, i + gain if gain else 0.0)
        for i, element in enumerate(("Xe", "Al"))
        for spacing in (16.0, 24.0)
        for method, gain in gains.items()
    ]
    table = pd.DataFrame(rows, columns=["microscope", "particle", "element", "spacing_deg", "method", "gain"])
    table = table.assign(targets=3, mse=0.0, psnr_dB=30 + table["gain"], ssim=0.9)
    rows = [
        ("aberrated", "0", rate, method, 30 + rate * gains[method])
        for rate in (4, 5, 12)
        for method in ("linear", "tsgnet")
    ]
    incoherent = pd.DataFrame(rows, columns=["microscope", "particle", "rate", "method", "psnr_dB"])
    found = gains_table(table, incoherent=incoherent).set_index("method")
    assert list(found.index) == ["atoms", "tsgnet"]
    assert found.loc["atoms", "mean"] == "4.5 [4.0, 5.0]" and found.loc["tsgnet", "every 16°"] == "1.5 [1.0, 2.0]"
    assert found.loc["tsgnet", ["incoherent", "paper", "frames"]].tolist() == ["8.0", "1.1", "12"]  # rates 4 and 12
    assert found.loc["atoms", ["incoherent", "paper"]].tolist() == ["–", "–"]
    by_element = gains_by_element(table).set_index("method")
    assert by_element.loc["atoms", ["Xe", "Al"]].tolist() == ["+4.0", "+5.0"]
    narrow = table[(table["method"] != "atoms") | (table["spacing_deg"] == 24.0)]
    found = gains_table(narrow, incoherent=incoherent).set_index("method")
    assert found.loc["atoms", ["mean", "PSNR", "every 16°"]].tolist() == ["–"] * 3
    assert found.loc["atoms", "every 24°"] == "4.5 [4.0, 5.0]" and found.loc["tsgnet", "mean"] == "1.5 [1.0, 2.0]"
    assert set(gains_by_element(narrow)["method"]) == {"tsgnet"}


def test_volumes_are_of_the_first_particles_at_the_spacings_of_the_frames(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        multislice_table, "volume_metrics", lambda folder, data, **options: asked.update(data, **options)
    )
    score_volumes(tmp_path, microscopes=["non_aberrated"], methods=["linear"], n_particles=2, n_points=10)
    particles, shipped = asked["non_aberrated"], multislice_set("test", "non_aberrated")
    assert asked["n_particles"] == 2 and asked["mix_methods"] == ["linear"]
    np.testing.assert_array_equal(particles[1].frames, shipped[1].frames)
    np.testing.assert_array_equal(particles.atoms(1).positions, shipped.atoms(1).positions)
    assert particles.names[1] == shipped.atoms(1).info["name"]
    assert particles.microscope == MICROSCOPES["non_aberrated"]
    step_deg = particles[1].tilt_deg[1] - particles[1].tilt_deg[0]
    pd.DataFrame({"gap": asked["gaps"]}).to_csv(tmp_path / "table.csv")
    in_degrees = read_volumes(tmp_path)["gap"].tolist()
    assert in_degrees == [step_deg * gap for gap in asked["gaps"]] and set(in_degrees) < set(SPACINGS_deg)
