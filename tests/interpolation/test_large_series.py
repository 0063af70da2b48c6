"""What is done with little memory for large series gives what is done at once for others."""

import tracemalloc

import numpy as np
import pytest
from phantoms import spots

from tsg_core.interpolation import densify_with_uncertainty, kriging, large_series
from tsg_core.interpolation.choice import candidates_of, choose, predict_automatically
from tsg_core.interpolation.informed import network, views
from tsg_core.interpolation.informed.network import InformedNet, predict_informed
from tsg_core.interpolation.large_series import N_JUDGED
from tsg_core.interpolation.methods import predict
from tsg_core.interpolation.uncertainty import coverage
from tsg_core.reconstruction.projection import project
from tsg_core.tilt_series import TiltSeries

N_Y, N_X = 2 * N_JUDGED, 132
TILT_deg = np.linspace(-70, 70, 29)
rng = np.random.default_rng(0)


def series_of(noise=0.0):
    """A few spots in the upper rows, and nothing below."""
    volume = np.zeros((N_Y, N_X, N_X), np.float32)
    volume[10:50, 40:90, 40:90] = spots(n_y=40, n=50, sigma=2.0)
    frames = project(volume, tilt_deg=TILT_deg)
    return TiltSeries(frames + noise * rng.standard_normal(frames.shape), TILT_deg, 0.5)


FULL = series_of()
MEASURED, WANTED_deg = FULL.subset(np.arange(0, 29, 2)), TILT_deg[1::2]


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(large_series, "LARGE_px", 100_000)


@pytest.fixture
def without_atoms(monkeypatch):
    """As for series that are too large to fit atoms; here it would take minutes."""
    monkeypatch.setattr(views, "AFFORDABLE_px", 0)


@pytest.mark.parametrize("method", ["reprojection", "kriging", "informed"])
def test_large_series_are_predicted_as_others_are(monkeypatch, without_atoms, method):
    found = {}
    for limit in (10**9, 100_000):
        monkeypatch.setattr(large_series, "LARGE_px", limit)
        found[limit] = predict(method, MEASURED, WANTED_deg[::5])
    assert found[100_000].dtype == np.float32
    np.testing.assert_allclose(found[100_000], found[10**9], atol=1e-3 * FULL.frames.max())


def test_strips_are_what_the_network_says_of_whole_frames(monkeypatch, large, without_atoms):
    net = InformedNet()
    for parameter in net.parameters():
        parameter.data.normal_(0, 0.05)
    frames, sigma = predict_informed(net, MEASURED, WANTED_deg[:1])
    monkeypatch.setattr(network, "STRIP_px", 48)
    strips, sigma_of_strips = predict_informed(net, MEASURED, WANTED_deg[:1])
    np.testing.assert_allclose(strips, frames, atol=1e-4 * frames.max())
    np.testing.assert_allclose(sigma_of_strips, sigma, rtol=1e-2)
    assert predict_informed(net, MEASURED, WANTED_deg[:1], with_sigma=False)[1] is None


def test_methods_are_judged_by_the_rows_in_which_something_changes(large):
    choice = choose(MEASURED, methods=("linear", "cubic"))
    assert choice.rows.start <= 10 and choice.rows.stop >= 50 and choice.summary()["judged_rows"][1] == choice.rows.stop
    band = TiltSeries(MEASURED.frames[:, choice.rows], MEASURED.tilt_deg, 0.5)
    of_band = choose(band, methods=("linear", "cubic"))
    assert choice.weights == of_band.weights and of_band.rows is None and "judged_rows" not in of_band.summary()


def test_the_blend_is_made_of_whole_frames(large):
    methods = ("linear", "cubic")
    found = densify_with_uncertainty(MEASURED, tilt_deg=TILT_deg, methods=methods)
    predicted = found.series.frames[1::2]
    assert predicted.shape == found.sigma.shape == (14, N_Y, N_X)
    by_hand = [predict(method, MEASURED, WANTED_deg) for method in methods]
    tolerance = 1e-4 * FULL.frames.max()
    assert (predicted > np.minimum(*by_hand) - tolerance).all() and (predicted < np.maximum(*by_hand) + tolerance).all()


def test_standard_deviations_hold_beyond_the_judged_rows(large):
    noisy = series_of(noise=0.3)
    found = predict_automatically(noisy.subset(np.arange(0, 29, 2)), tilt_deg=WANTED_deg, methods=("linear", "cubic"))
    share = coverage(found.frames, found.sigma, noisy.frames[1::2])
    assert share[0.5] == pytest.approx(0.5, abs=0.1) and share[0.9] == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize("method", ["sirt_reprojection", "reprojection", "kriging"])
def test_three_times_what_is_written_is_enough(large, monkeypatch, method):
    monkeypatch.setattr(kriging, "AT_ONCE", 2000)
    tilt_deg = np.linspace(-70, 70, 80)
    series = TiltSeries(np.tile(MEASURED.frames, (6, 1, 1))[:80], tilt_deg, 0.5)
    wanted_deg = (tilt_deg[1:] + tilt_deg[:-1]) / 2
    predict(method, series.subset(range(5)), wanted_deg[:1])  # what is only allocated once
    tracemalloc.start()
    predicted = predict(method, series, wanted_deg)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + series.frames.nbytes < 3 * (series.frames.nbytes + predicted.nbytes)


def test_a_network_that_sees_more_rows_than_the_band_is_not_judged_by_it(large):
    assert "tsgnet" not in candidates_of(MEASURED) and "informed" in candidates_of(MEASURED)
    assert "tsgnet" in candidates_of(TiltSeries(MEASURED.frames[:, :100], MEASURED.tilt_deg, 0.5))
