"""The automatic choice: the right method on cases that decide it, the trend behind it, and honest intervals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from phantoms import film, spot_series
from scipy.ndimage import gaussian_filter

from tsg_core.errors import TsgError
from tsg_core.interpolation import densify, densify_with_uncertainty, methods
from tsg_core.interpolation.choice import choose, predict_automatically
from tsg_core.interpolation.leave_out import (
    ErrorTrend,
    LeftOut,
    carried_gain_dB,
    effective_spacing_deg,
    error_trend,
    folds,
    leave_out,
)
from tsg_core.interpolation.uncertainty import coverage
from tsg_core.tilt_series import TiltSeries

METHODS = ("linear", "cubic", "reprojection")
TILT_deg = np.arange(-90.0, 91.0, 3.0)
FULL = spot_series(n=32)


def waves(tilt_deg, *, period_deg=120.0, noise=0.0):
    """Pixels that oscillate slowly with the angle, each with its own phase: no object's projections."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (16, 16))
    frames = 2 + np.sin(2 * np.pi * np.asarray(tilt_deg)[:, None, None] / period_deg + phase)
    # without an object there is no extent to look for
    return TiltSeries(frames + noise * rng.standard_normal(frames.shape), tilt_deg, 1.0, metadata={"extent": None})


def mse(dense, truth):
    return np.mean((dense - truth) ** 2)


def test_pixels_that_change_slowly_are_for_the_spline():
    series = waves(TILT_deg[::2])
    found = predict_automatically(series, tilt_deg=TILT_deg[1::2], methods=METHODS)
    assert found.choice.method == "cubic" and "cubic" in found.choice.verdict
    truth = waves(TILT_deg[1::2]).frames
    assert mse(found.frames, truth) < 1.05 * mse(densify(series, tilt_deg=TILT_deg[1::2], method="cubic").frames, truth)


@pytest.fixture(scope="module")
def few_tilts():
    """Sixteen tilts of a particle, the frames between them, and what is predicted for these."""
    measured, targets = FULL.subset(np.arange(0, 61, 4)), FULL.subset(np.arange(2, 60, 4))
    return measured, targets, predict_automatically(measured, tilt_deg=targets.tilt_deg, methods=METHODS)


def test_few_tilts_of_a_particle_are_for_the_object(few_tilts):
    measured, targets, predicted = few_tilts
    choice = predicted.choice
    assert choice.method == "reprojection" and choice.weights["reprojection"] > 0.8
    linear = densify(measured, tilt_deg=targets.tilt_deg, method="linear").frames
    assert mse(predicted.frames, targets.frames) < 0.3 * mse(linear, targets.frames)


def test_noise_around_a_constant_says_that_linear_is_as_good():
    noisy = waves(TILT_deg[::2], period_deg=1e9, noise=0.1)
    choice = choose(noisy, methods=("nearest", "linear", "cubic"))
    assert choice.weights == {"nearest": 0, "linear": 1, "cubic": 0}
    assert choice.verdict.startswith("linear is as good")
    np.testing.assert_allclose(
        predict_automatically(noisy, tilt_deg=[1.0], methods=("nearest", "linear", "cubic")).frames,
        densify(noisy, tilt_deg=[1.0], method="linear").frames,
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("cubic_mse", "carried_dB", "linear_is_taken"),
    [(1.3, (2.0, 1.8), True), (1.3, (2.0, 0.3), False), (0.9, (2.0, 1.8), False)],
)
def test_a_gain_that_no_left_out_frame_shows_is_taken_where_all_agree(
    monkeypatch, cubic_mse, carried_dB, linear_is_taken
):
    trend = ErrorTrend(
        spacing_deg=6.0,
        mse=np.array([1.0, cubic_mse]),
        power=np.array([1.0, 4.0]),  # at half the spacing cubic is expected to be far better, by the power law
        floor=0.0,
        correlation=np.array([[1.0, 0.95], [0.95, 1.0]]),
    )
    monkeypatch.setattr("tsg_core.interpolation.choice.error_trend", lambda _: trend)
    monkeypatch.setattr("tsg_core.interpolation.choice.carried_gain_dB", lambda *_, **__: carried_dB)
    choice = choose(waves(TILT_deg), methods=("linear", "cubic"))  # 3 deg apart
    assert (choice.method == "linear") == choice.verdict.startswith("linear is as good") == linear_is_taken
    assert trend.at(3.0)[1] < 0.5 * trend.at(3.0)[0]


def test_a_gain_is_carried_to_smaller_spacings_as_far_as_frames_agree():
    """Errors of the second method fall by 6 dB where those of the first fall by 3: half of the spacing, 3 dB more."""
    spacing_deg = np.repeat([4.0, 8.0], 6)
    size = np.stack([np.sqrt(spacing_deg / 4), 1.2 * spacing_deg / 4])
    size *= 1 + 0.05 * np.sin(np.arange(12))  # frames differ in what no method foretells; the gain does not
    left_out = LeftOut(
        tilt_deg=np.tile(np.arange(6.0), 2), spacing_deg=spacing_deg, near=spacing_deg < 5,
        truth=np.zeros((12, 1, 1)), predicted=size[..., None, None],
    )  # fmt: skip
    near_dB = -20 * np.log10(1.2)
    gain_dB, error_dB = carried_gain_dB(left_out, np.array([0.0, 1.0]), over=0, spacing_deg=2.0)
    assert gain_dB == pytest.approx(near_dB + 10 * np.log10(2)) and error_dB < 1e-6
    few = replace(left_out, tilt_deg=np.arange(12.0))  # no frame is left out twice
    assert carried_gain_dB(few, np.array([0.0, 1.0]), over=0, spacing_deg=2.0) == (pytest.approx(near_dB), np.inf)
    predicted = size * np.where(np.arange(12) % 2, 1.5, 1)[None] ** np.array([[0], [1]])
    torn = replace(left_out, predicted=predicted[..., None, None])
    assert carried_gain_dB(torn, np.array([0.0, 1.0]), over=0, spacing_deg=2.0)[1] > 0.5


def test_densify_records_the_choice():
    series = waves(TILT_deg[::12])
    dense = densify(series, tilt_deg=TILT_deg[::6], method="auto")
    choice = dense.metadata["choice"]
    assert dense.metadata["method"] == "auto" and choice["method"] in choice["weights"]
    assert {row["method"] for row in choice["left_out"]} >= {"linear", "cubic", "reprojection"}
    json.dumps(choice, allow_nan=False)


def test_the_same_frames_make_the_same_choice():
    series = waves(TILT_deg[::6])
    copies = (series, series.subset(np.arange(len(series))))
    first, again = (densify_with_uncertainty(s, tilt_deg=TILT_deg[::3], methods=METHODS).series for s in copies)
    np.testing.assert_array_equal(first.frames, again.frames)
    assert first.metadata["choice"] == again.metadata["choice"]


def test_noise_that_is_blurred_is_not_expected_to_fall_with_the_spacing():
    """It is not white, as that of recorded frames; what is expected at the real spacing is what comes true."""
    tilt_deg = np.arange(-60.0, 60.1, 2.0)
    clean = film(tilt_deg)
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(clean.frames.shape), (0, 1.5, 1.5))
    noise *= 0.5 * clean.frames.std() / noise.std()
    noisy = replace(clean, frames=clean.frames + noise)
    measured = noisy.subset(np.arange(0, len(noisy), 2))
    left_out, applying, _ = leave_out(measured, ("linear", "cubic", "smooth"), methods.predict)
    trend = error_trend(left_out)
    assert trend.floor == pytest.approx(noise.var(), rel=0.2)
    true = [mse(methods.predict(m, measured, tilt_deg[1::2]), noisy.frames[1::2]) for m in applying]
    np.testing.assert_allclose(10 * np.log10(trend.at(4.0) / true), 0, atol=1.0)


def test_two_frames_leave_nothing_to_learn_from():
    two = FULL.subset([20, 24])
    found = predict_automatically(two, tilt_deg=[-25.0])
    assert found.choice.method == "linear" and "untested" in found.choice.verdict and found.sigma is None
    np.testing.assert_array_equal(found.frames, densify(two, tilt_deg=[-25.0], method="linear").frames)


@pytest.mark.parametrize("n", [3, 4, 7])
def test_few_frames_at_irregular_angles(n):
    series = FULL.subset([0, 1, 7, 12, 13, 14, 29][:n])
    found = predict_automatically(series, tilt_deg=[-89.0, -75.0], methods=METHODS)
    assert np.isfinite(found.frames).all() and (found.sigma > 0).all()
    assert sum(found.choice.weights.values()) == pytest.approx(1)


def test_constant_frames_come_back_with_no_uncertainty():
    series = TiltSeries(np.ones((9, 12, 12)), np.arange(9.0), 1.0)
    found = predict_automatically(series, tilt_deg=[2.5, 3.5], methods=("linear", "cubic"))
    np.testing.assert_allclose(found.frames, 1, atol=1e-6)
    assert found.choice.method == "linear" and found.sigma.max() < 1e-5


def test_methods_that_do_not_apply_are_named_with_their_reason(monkeypatch):
    def never(series, tilt_deg):
        raise TsgError("not for these frames")

    monkeypatch.setitem(methods.SINGLE_METHODS, "never", never)
    choice = choose(waves(TILT_deg[::4]), methods=("linear", "never"))
    assert choice.table.set_index("method").loc["never", "reason"] == "not for these frames"
    assert list(choice.weights) == ["linear"]
    with pytest.raises(TsgError, match="none of the methods applies: never: not for these frames"):
        choose(waves(TILT_deg[::4]), methods=("never",))
    with pytest.raises(TsgError, match="'magic' cannot be chosen from; there are nearest, linear"):
        choose(waves(TILT_deg[::4]), methods=("magic",))
    with pytest.raises(TsgError, match="no methods"):
        choose(waves(TILT_deg[::4]), methods=())


def test_the_trend_foretells_the_error_at_the_real_spacing():
    for series, truth in ((waves(TILT_deg[::3]), waves(TILT_deg[1::3])), (FULL.subset(np.arange(0, 61, 2)), FULL)):
        targets = np.setdiff1d(truth.tilt_deg, series.tilt_deg)
        targets = targets[targets < series.tilt_deg[-1]]
        true = truth.subset(np.isin(truth.tilt_deg, targets)).frames
        choice = choose(series, methods=("linear", "reprojection"))
        spacing_deg = float(np.median(effective_spacing_deg(series.tilt_deg, targets)))
        found = mse(densify(series, tilt_deg=targets, method="linear").frames, true)
        left_out_mse = choice.table["left_out_mse"][0]
        assert abs(np.log(choice.trend.at(spacing_deg)[0] / found)) < 0.5 * abs(np.log(left_out_mse / found))


def test_no_error_falls_below_the_noise():
    sigma = 0.1
    choice = choose(waves(TILT_deg[::2], noise=sigma), methods=("linear", "cubic"))
    assert sigma**2 < choice.trend.at(1e-3)[0] < 2 * sigma**2


def test_blends_follow_the_spacing_and_need_errors_that_differ():
    trend = ErrorTrend(
        spacing_deg=4.0,
        mse=np.ones(2),
        power=np.array([4.0, 0.0]),
        floor=0.0,
        correlation=np.array([[1, 0.2], [0.2, 1]]),
    )
    (first, error), (second, _) = trend.blend(4.0), trend.blend(1.0)
    np.testing.assert_allclose(first, [0.5, 0.5])
    assert error == pytest.approx(0.6)
    np.testing.assert_allclose(second, [1, 0])
    alike = ErrorTrend(
        spacing_deg=4.0, mse=np.array([1.0, 2.0]), power=np.zeros(2), floor=0.0, correlation=np.ones((2, 2))
    )
    np.testing.assert_allclose(alike.blend(3.0)[0], [1, 0])


def test_noise_that_all_errors_share_is_no_reason_to_blend():
    mse = np.array([1.01, 1.04])  # noise of 1, and errors of 0.01 and 0.04 that have nothing in common
    shared = 1 / np.sqrt(mse[:, None] * mse)
    np.fill_diagonal(shared, 1)
    trend = ErrorTrend(spacing_deg=2.0, mse=mse, power=np.full(2, 2.0), floor=1.0, correlation=shared)
    np.testing.assert_allclose(trend.blend(1.0)[0], [0.8, 0.2], atol=0.01)


def test_a_method_that_needs_more_frames_than_wide_gaps_leave_still_competes():
    def predict(method, series, tilt_deg):
        if method == "needy" and len(series) < 6:
            raise TsgError("too few")
        return densify(series, tilt_deg=tilt_deg, method="linear").frames

    left_out, applying, failed = leave_out(FULL.subset(np.arange(0, 61, 8)), ("linear", "needy"), predict)
    assert applying == ("linear", "needy") and not failed
    trend = error_trend(left_out)
    assert trend.mse[0] == trend.mse[1] and trend.power[1] == 2


@pytest.mark.parametrize(
    ("n_pairs", "scatter", "lowest", "highest"),
    [(2, 0.0, 1.99, 2.01), (6, 0.0, 3.99, 4.01), (6, 0.8, 2.5, 3.5), (60, 0.8, 3.7, 4.0)],
)
def test_the_power_is_believed_as_far_as_pairs_of_errors_show_it(n_pairs, scatter, lowest, highest):
    tilt_deg = np.arange(n_pairs, dtype=float)
    smooth = np.full((1, n_pairs, 16, 16), 1.0)  # errors without noise: nothing in the bands of high frequencies
    growth = 4 * np.exp(scatter * (-1) ** np.arange(n_pairs))[None, :, None, None]  # 16 in squares at twice the spacing
    left_out = LeftOut(
        tilt_deg=np.append(tilt_deg, tilt_deg),
        spacing_deg=np.repeat([2.0, 4.0], n_pairs),
        truth=np.zeros((2 * n_pairs, 16, 16)),
        predicted=np.concatenate([smooth, growth * smooth], axis=1),
        near=np.repeat([True, False], n_pairs),
    )
    assert lowest < error_trend(left_out).power[0] < highest
    of_object = error_trend(replace(left_out, of_object=np.array([True]))).power[0]
    assert of_object <= 2 + 2 * n_pairs / (n_pairs + 4) + 0.01  # half-way to 4 with four pairs, however well they agree


@pytest.mark.parametrize("n", [3, 4, 6, 7, 9, 12, 31, 91])
def test_few_frames_are_left_out_at_a_time_and_nothing_is_extrapolated(n):
    found = list(folds(n))
    near = np.concatenate([out for _, out, direct in found if direct])
    assert len(np.unique(near)) == len(near) >= min(12, n - 2)
    for kept, out, direct in found:
        assert not np.intersect1d(kept, out).size and kept[0] == 0 and kept[-1] == n - 1
        assert len(kept) >= n / 2
        distance = np.abs(out[:, None] - kept).min(axis=1)
        assert (distance == (1 if direct else 2)).all()
    assert any(not direct for *_, direct in found) == (n >= 7)
    assert sum(len(kept) for kept, *_ in found) < (6.5 if n > 12 else 13) * n
    assert n > 12 or all(len(out) == 1 for _, out, direct in found if direct)
    assert set(np.concatenate([out for _, out, direct in found if not direct] or [[]])) <= set(near)
    assert not list(folds(2))


def test_few_frames_are_each_left_out_once():
    near = np.concatenate([out for _, out, direct in folds(12) if direct])
    np.testing.assert_array_equal(np.sort(near), np.arange(1, 11))


def test_left_out_frames_are_never_shown_to_the_methods():
    seen = []

    def spy(method, series, tilt_deg):
        seen.append((set(series.tilt_deg), set(tilt_deg)))
        return np.zeros((len(tilt_deg), *series.frames.shape[1:]), np.float32)

    left_out, applying, failed = leave_out(FULL.subset(np.arange(9)), ("a", "b"), spy)
    assert applying == ("a", "b") and not failed and left_out.predicted.shape[:2] == (2, len(left_out.tilt_deg))
    assert all(not known & asked for known, asked in seen)


def test_effective_spacing_is_the_gap_in_its_middle_and_nothing_at_its_ends():
    np.testing.assert_allclose(effective_spacing_deg(np.array([0.0, 4.0, 10.0]), np.array([0, 2, 4, 7])), [0, 4, 0, 6])


def test_coverage_of_normal_errors_is_the_level():
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.5, 2, (20, 30, 30))
    found = coverage(np.zeros_like(sigma), sigma, sigma * rng.standard_normal(sigma.shape))
    for level, share in found.items():
        assert share == pytest.approx(level, abs=0.02)
    assert coverage(np.zeros(4), np.ones(4), np.array([0, 1, 2, 3])) == {0.5: 0.25, 0.9: 0.5, 0.95: 0.5}


def test_intervals_hold_frames_that_were_not_measured(few_tilts):
    _, targets, found = few_tilts
    share = coverage(found.frames, found.sigma, targets.frames)
    assert 0.35 < share[0.5] < 0.95 and 0.75 < share[0.9] and 0.8 < share[0.95]
    noisy = waves(TILT_deg[::2], noise=0.1)
    truth = waves(TILT_deg[1::2]).frames + 0.1 * np.random.default_rng(1).standard_normal((30, 16, 16))
    found = predict_automatically(noisy, tilt_deg=TILT_deg[1::2], methods=("linear", "cubic"))
    for level, share in coverage(found.frames, found.sigma, truth).items():
        assert share == pytest.approx(level, abs=0.1)


def test_frames_that_are_not_finite_are_refused():
    with pytest.raises(TsgError, match="not finite"):
        predict_automatically(TiltSeries(np.full((5, 8, 8), np.nan), np.arange(5.0), 1.0), tilt_deg=[0.5])
