"""Predictions that are kept: told apart by what they were made of; the time left, by what they cost."""

import numpy as np
import pytest

from tsg_core.interpolation import large_series, methods
from tsg_core.interpolation.kept import KeptPredictions, Tracked
from tsg_core.interpolation.large_series import N_JUDGED, judged_part
from tsg_core.interpolation.leave_out import folds
from tsg_core.tilt_series import TiltSeries

WANTED_deg = np.array([1.5, 2.5])
rng = np.random.default_rng(0)


@pytest.fixture
def series(monkeypatch):
    monkeypatch.setattr(large_series, "LARGE_px", 1000)
    return TiltSeries(rng.random((5, 2 * N_JUDGED, 132), dtype=np.float32), np.arange(5.0), 1.0)


def test_a_band_whole_frames_and_other_frames_are_told_apart(series, tmp_path):
    other = TiltSeries(1 + series.frames, series.tilt_deg, 1.0)
    for _ in range(2):
        kept = KeptPredictions(tmp_path / "work", series=series)
        for given in (judged_part(series), series, other, judged_part(other)):
            np.testing.assert_array_equal(
                kept("linear", given, WANTED_deg), methods.predict("linear", given, WANTED_deg)
            )
    assert kept.recalled == 4


def test_what_a_band_costs_is_little_of_what_whole_frames_do(series):
    tracked = Tracked(methods.predict, methods=("linear", "reprojection"), series=series, tilt_deg=WANTED_deg)
    assert [method for method, _ in tracked.steps] == ["linear", "reprojection"] * (1 + len(list(folds(len(series)))))
    band, whole = tracked.costs[1], tracked.costs[-1]
    assert band / whole == pytest.approx(3 / 5 * N_JUDGED / series.frames.shape[1], rel=0.4)
    assert tracked.costs[-1] / tracked.costs[-2] == 1e4
