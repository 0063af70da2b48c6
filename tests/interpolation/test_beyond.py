"""Frames beyond the measured range: refused unless asked for, by methods with an object, with errors that grow."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import film, spot_series

from tsg_core.errors import TsgError
from tsg_core.interpolation import densify, densify_with_uncertainty
from tsg_core.interpolation.beyond import BEYOND, distance_deg, edge_folds, predict_beyond
from tsg_core.interpolation.uncertainty import coverage
from tsg_core.reconstruction.extent import Extent

FULL = spot_series(np.arange(-90.0, 91.0, 6.0), n=28)
INSIDE = np.abs(FULL.tilt_deg) <= 60
WEDGE_deg = FULL.tilt_deg[~INSIDE]


@pytest.fixture(scope="module")
def measured():
    return FULL.subset(np.flatnonzero(INSIDE))


@pytest.fixture(scope="module")
def found(measured):
    return densify_with_uncertainty(
        measured, tilt_deg=FULL.tilt_deg, methods=["linear", "reprojection", "kriging"], extrapolate=True
    )


def test_nothing_is_extrapolated_unless_asked_for(measured):
    for method in ("linear", "reprojection", "auto"):
        with pytest.raises(TsgError, match="nothing is extrapolated unless you ask for it"):
            densify(measured, tilt_deg=FULL.tilt_deg, method=method)


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "smooth", "flow", "tsgnet", "informed"])
def test_methods_without_an_object_refuse_in_one_line(measured, method):
    with pytest.raises(
        TsgError, match="cannot predict beyond the measured range, -60 to 60 deg; methods that can"
    ) as e:
        densify(measured, tilt_deg=WEDGE_deg, method=method, extrapolate=True)
    assert "\n" not in str(e.value) and all(name in str(e.value) for name in BEYOND)


def test_methods_without_an_object_still_predict_inside(measured):
    inner = densify(measured, tilt_deg=[2.5], method="linear", extrapolate=True)
    np.testing.assert_array_equal(inner.frames, densify(measured, tilt_deg=[2.5], method="linear").frames)


@pytest.mark.parametrize("method", ["reprojection", "kriging"])
def test_an_object_predicts_beyond_better_than_the_last_frame_that_was_measured(measured, method):
    near = WEDGE_deg[np.abs(WEDGE_deg) <= 75]
    predicted = densify(measured, tilt_deg=near, method=method, extrapolate=True)
    truth = FULL.frames[np.isin(FULL.tilt_deg, near)]
    last = measured.frames[np.where(near < 0, 0, -1)]
    assert np.mean((predicted.frames - truth) ** 2) < 0.25 * np.mean((last - truth) ** 2)
    assert not predicted.measured.any() and predicted.frames.min() >= 0


def test_measured_frames_stay_and_predictions_inside_are_those_without_extrapolation(measured, found):
    np.testing.assert_array_equal(found.series.frames[INSIDE], measured.frames)
    assert found.series.measured.sum() == INSIDE.sum() and len(found.sigma) == (~INSIDE).sum()
    dense_deg = np.union1d(measured.tilt_deg, [-2.5, 2.5])
    options = {"methods": ["linear", "reprojection", "kriging"]}
    narrow = densify_with_uncertainty(measured, tilt_deg=dense_deg, **options)
    both = densify_with_uncertainty(measured, tilt_deg=np.union1d(dense_deg, [65.0]), extrapolate=True, **options)
    np.testing.assert_array_equal(both.series.frames[: len(dense_deg)], narrow.series.frames)
    np.testing.assert_array_equal(both.sigma[:2], narrow.sigma)


def test_uncertainties_grow_with_the_distance_and_hold_the_truth(found):
    sigma = np.sqrt((found.sigma.astype(float) ** 2).mean(axis=(1, 2)))
    away_deg = distance_deg(WEDGE_deg, (-60, 60))
    near, far = sigma[away_deg <= 12].mean(), sigma[away_deg > 20].mean()
    assert far > 1.3 * near
    predicted = found.series.frames[~INSIDE]
    assert 0.8 <= coverage(predicted, found.sigma, FULL.frames[~INSIDE])[0.9] <= 1.0


def test_what_left_out_ends_say_is_told(found):
    beyond, told = found.beyond, found.series.metadata["beyond"]
    assert beyond.range_deg == (-60.0, 60.0) and beyond.farthest_deg == 30.0
    assert beyond.tested_deg == 30.0 and "farther than" not in beyond.verdict
    assert {row["method"] for row in told["left_out"]} == {"reprojection", "kriging"}
    assert sum(row["weight"] for row in told["left_out"]) == pytest.approx(1)
    assert "10 of the predicted frames lie beyond the measured range, -60 to 60 deg" in found.series.history[-1]


def test_only_outside_frames_may_be_asked_for(measured):
    only = densify_with_uncertainty(measured, tilt_deg=[65.0, 85.0], methods=["reprojection"], extrapolate=True)
    assert (
        len(only.series) == 2 and only.choice.method == "reprojection" and only.sigma.shape == only.series.frames.shape
    )


def test_ends_are_left_out_on_one_side_as_far_as_the_targets_lie():
    measured_deg = np.arange(-60.0, 61, 6)
    folds = list(edge_folds(measured_deg, np.array([78.0])))
    assert [len(out) for _, out in folds] == [1, 1, 3, 3]
    for kept, out in folds:
        assert len(kept) + len(out) == 21 and (out.min() > kept.max() or out.max() < kept.min())
    assert max(len(out) for _, out in edge_folds(measured_deg, np.array([-90.0]))) == 5  # a quarter at most


def test_of_a_film_the_verdict_says_that_unseen_parts_come_into_the_frames(found):
    measured = film(np.arange(-40.0, 41, 10), n_x=20)
    measured = replace(measured, metadata={"extent": Extent(thickness_A=12.0)})
    beyond = predict_beyond(measured, tilt_deg=np.array([50.0]), methods=["reprojection"])
    assert beyond.extended and "show parts of it that no measured frame shows" in beyond.verdict
    assert not found.beyond.extended and "no measured frame" not in found.beyond.verdict


@pytest.mark.parametrize(
    ("frames", "tilt_deg", "message"),
    [(4, [70.0], "4 measured frames do not show how errors grow"), (21, [95.0], "lies beyond \\+-90 deg")],
)
def test_what_cannot_be_extrapolated_is_one_clear_line(measured, frames, tilt_deg, message):
    with pytest.raises(TsgError, match=message):
        densify_with_uncertainty(
            measured.subset(np.arange(frames)), tilt_deg=tilt_deg, methods=["reprojection"], extrapolate=True
        )
