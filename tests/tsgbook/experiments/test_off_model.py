import numpy as np
import pandas as pd
import pytest

from tsg_core.errors import TsgError
from tsg_core.interpolation.leave_out import folds
from tsg_core.interpolation.methods import predict
from tsg_core.tilt_series import TiltSeries
from tsgbook.experiments import off_model
from tsgbook.experiments.off_model import SparseCase, method_scores, off_model_metrics, read_off_model, spacing_case

FAST = ["linear", "cubic", "auto"]


def turning_spot(*, step_deg=3.0, turns=1.0):
    """A spot that moves along x as an atom beside the axis does."""
    tilt_deg = np.arange(-90.0, 90.1, step_deg)
    x = 12 + 6 * np.sin(turns * np.deg2rad(tilt_deg))
    grid = np.arange(24)
    frames = np.exp(-((grid - x[:, None]) ** 2)[:, None, :] / 8 - ((grid - 12) ** 2)[:, None] / 8)
    return TiltSeries(frames.astype(np.float32), tilt_deg, 0.5)


@pytest.mark.parametrize("spacing_deg", [6.0, 12.0, 24.0])
def test_targets_lie_half_way_between_measured_frames(spacing_deg):
    measured, targets = spacing_case(turning_spot(), spacing_deg=spacing_deg)
    assert np.allclose(np.diff(measured.tilt_deg), spacing_deg)
    assert np.allclose(targets.tilt_deg, measured.tilt_deg[:-1] + spacing_deg / 2)
    assert measured.tilt_deg[0] == -90


@pytest.mark.parametrize("spacing_deg", [3.0, 9.0, 7.0, 0.0])
def test_a_spacing_without_frames_half_way_is_refused(spacing_deg):
    with pytest.raises(TsgError, match=f"spacing_deg={spacing_deg:g} is not an even multiple of the series' 3 deg"):
        spacing_case(turning_spot(), spacing_deg=spacing_deg)


def test_uneven_angles_are_refused():
    with pytest.raises(TsgError, match="not even"):
        spacing_case(turning_spot().subset([0, 1, 2, 5]), spacing_deg=6.0)


def test_every_value_is_dealt_out_as_often():
    hands = [off_model.share_of(range(1, 13), to=i, each=3) for i in range(8)]
    assert all(len(hand) == 3 for hand in hands) and hands[0] == [1, 5, 9] and hands[4] == hands[0]
    assert sorted(value for hand in hands for value in hand) == sorted(2 * list(range(1, 13)))
    assert off_model.share_of([6], to=5, each=1) == [6] and off_model.share_of([3, 6], to=1, each=2) == [3, 6]


def test_scores_are_those_of_the_midpoints_and_gains_those_over_linear():
    measured, targets = spacing_case(turning_spot(), spacing_deg=12.0)
    rows = {row["method"]: row for row in method_scores(measured, targets, FAST)}
    mean = (measured.frames[:-1] + measured.frames[1:]) / 2
    mse = ((mean - targets.frames) ** 2).mean(axis=(1, 2))
    peak = max(measured.frames.max(), targets.frames.max())
    assert rows["linear"]["psnr_dB"] == pytest.approx((10 * np.log10(peak**2 / mse)).mean(), abs=1e-3)
    assert rows["linear"]["gain"] == 0 and rows["cubic"]["gain"] > 5
    assert rows["cubic"]["gain"] == pytest.approx(rows["cubic"]["psnr_dB"] - rows["linear"]["psnr_dB"])
    assert "coverage_90" in rows["auto"] and "coverage_90" not in rows["cubic"]


def test_a_method_that_refuses_has_its_reason_and_auto_goes_on_without_it():
    measured, targets = spacing_case(turning_spot(step_deg=30.0), spacing_deg=60.0)
    few = measured.subset(slice(None, 3))
    rows = {row["method"]: row for row in method_scores(few, targets.subset([0, 1]), ["atoms", "cubic", "auto"])}
    assert "at least 5 are needed" in rows["atoms"]["reason"] and "psnr_dB" not in rows["atoms"]
    assert rows["auto"]["reason"] == "" and rows["auto"]["psnr_dB"] > 0


def test_auto_chooses_among_the_methods_that_are_named(monkeypatch):
    asked = []
    monkeypatch.setattr(off_model, "predict", lambda method, *a: asked.append(method) or predict(method, *a))
    measured, targets = spacing_case(turning_spot(turns=1.1), spacing_deg=12.0)
    method_scores(measured, targets, ["auto", "cubic"])
    assert set(asked) == {"linear", "cubic"}
    assert asked[:2] == ["linear", "cubic"]  # auto last, so that what the others made is there
    assert len(asked) == 2 + 2 * len(list(folds(len(measured))))  # of the whole series once, then of every fold


def test_an_unknown_method_is_no_reason_but_an_error():
    with pytest.raises(TsgError, match="'cubik' is not known; choose of nearest, linear"):
        method_scores(*spacing_case(turning_spot(), spacing_deg=12.0), ["cubik"])


def case(particle, spacing_deg, load=turning_spot):
    return SparseCase(model="multislice", particle=particle, microscope="aberrated", spacing_deg=spacing_deg, load=load)


def test_an_interrupted_table_goes_on_with_the_case_it_had_reached(tmp_path):
    def stopped():
        raise KeyboardInterrupt

    first = [case("a", 6.0), case("a", 12.0)]
    with pytest.raises(KeyboardInterrupt):
        off_model_metrics([*first, case("b", 6.0, load=stopped)], tmp_path, methods=FAST)
    kept = read_off_model(tmp_path)
    never_again = [case("a", 6.0, load=stopped), case("a", 12.0, load=stopped)]
    off_model_metrics([*never_again, case("b", 6.0)], tmp_path, methods=FAST)
    whole = read_off_model(tmp_path)
    assert list(whole.groupby(["particle", "spacing_deg"]).size()) == [3, 3, 3]
    pd.testing.assert_frame_equal(whole[: len(kept)], kept)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


@pytest.fixture
def table():
    """Two multislice cases and one of the usual model; atoms refuses the second."""
    rows = []
    for model, particle, psnr_dB in (
        ("multislice", "a", {"linear": 30, "cubic": 32, "atoms": 40, "auto": 39}),
        ("multislice", "b", {"linear": 20, "cubic": 19, "atoms": None, "auto": 19.5}),
        ("incoherent", "c", {"linear": 30, "cubic": 31, "atoms": 60, "auto": 60}),
    ):
        for method, value in psnr_dB.items():
            row = {
                "model": model,
                "particle": particle,
                "microscope": "aberrated",
                "spacing_deg": 6.0,
                "method": method,
            }
            found = {} if value is None else {"psnr_dB": value, "gain": value - psnr_dB["linear"]}
            covered = {f"coverage_{n}": n / 100 for n in (50, 90, 95)} if method == "auto" else {}
            rows.append(row | {"reason": "no atoms" if value is None else ""} | found | covered)
    return pd.DataFrame(rows)


def test_tables_of_gains(table):
    gains = off_model.gains_table(table)
    assert list(gains.columns) == ["cubic", "atoms", "auto"] and len(gains) == 3
    assert gains["atoms"].isna().sum() == 1
    means = off_model.mean_gains(table)
    assert means.loc["cubic", "multislice"] == 0.5 and means.loc["atoms", "incoherent"] == 30
    assert means.loc["atoms", "multislice"] == 5  # nothing gained where it refuses


def test_the_worst_case_is_told_plainly(table):
    where, gain_dB = off_model.worst_of(table)
    assert where == ("multislice", "b", "aberrated", 6.0) and gain_dB == -0.5


def test_a_method_is_compared_with_the_best_where_it_applies(table):
    assert off_model.furthest_behind(table, method="atoms") == (("multislice", "a", "aberrated", 6.0), 0.0)
    where, behind_dB = off_model.furthest_behind(table, method="linear")
    assert where[1] == "c" and behind_dB == -30


def test_coverages_are_of_methods_that_state_an_uncertainty(table):
    found = off_model.coverages(table)
    assert list(found.index) == [("multislice", "aberrated", "auto"), ("incoherent", "aberrated", "auto")]
    assert np.allclose(found, [[0.5, 0.9, 0.95]] * 2)


def test_tables_read_with_empty_text_for_missing_numbers_are_understood():
    rows = [
        {"model": "multislice", "particle": "a", "microscope": "m", "spacing_deg": 6.0, "method": m, "gain": g}
        | {f"coverage_{level}": c for level in (50, 90, 95)}
        for m, g, c in (("linear", "0.0", ""), ("atoms", "", ""), ("auto", "3.5", "0.5"))
    ]
    table = pd.DataFrame(rows)
    assert off_model.mean_gains(table).loc[["atoms", "auto"], "multislice"].tolist() == [0.0, 3.5]
    assert off_model.coverages(table).loc[("multislice", "m", "auto"), "coverage_90"] == 0.5
