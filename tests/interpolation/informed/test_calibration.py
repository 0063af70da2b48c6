from dataclasses import replace

import numpy as np
import pytest

from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.informed import calibration
from tsg_core.interpolation.informed.calibration import predict_calibrated, shortfall
from tsg_core.interpolation.informed.network import predict_informed, shipped_net
from tsg_core.interpolation.uncertainty import coverage
from tsg_core.samples.multislice_series import PARTICLES, reference_series
from tsg_core.tilt_series import TiltSeries
from tsgbook.experiments.off_model import spacing_case

NET = None  # what a network predicts is patched
N = 21


@pytest.fixture
def series():
    return TiltSeries(np.zeros((N, 32, 32), np.float32), 5.0 * np.arange(N), 0.5)


def predictions(monkeypatch, *, error, stated, stated_left_out=None):
    """Predictions of frames of nothing that are `error` off; returns a list of (frames known, frames asked for)."""
    asked = []

    def predict_informed(net, known, tilt_deg):
        asked.append((len(known), len(tilt_deg)))
        shape = (len(tilt_deg), 32, 32)
        sigma = stated if len(known) == N or stated_left_out is None else stated_left_out
        return np.random.default_rng(0).normal(0, error, shape), np.full(shape, sigma, np.float32)

    monkeypatch.setattr(calibration, "predict_informed", predict_informed)
    return asked


def covered(series):
    inner = slice(1, -1)
    frames, sigma = predict_calibrated(NET, series, series.tilt_deg[inner])
    return coverage(frames, sigma, series.frames[inner])[0.9]


def test_intervals_that_are_too_narrow_are_widened_until_they_hold_their_share(series, monkeypatch):
    asked = predictions(monkeypatch, error=0.3, stated=0.1)
    assert covered(series) == pytest.approx(0.9, abs=0.01)
    assert asked == [(N, N - 2), (11, 10)]  # every second frame is left out, the first and the last are not


def test_what_the_network_did_not_foresee_does_not_shrink_with_the_spacing(series, monkeypatch):
    predictions(monkeypatch, error=0.3, stated=0.01, stated_left_out=0.1)
    assert covered(series) == pytest.approx(0.88, abs=0.03)


def test_intervals_that_are_too_wide_stay(series, monkeypatch):
    predictions(monkeypatch, error=0.05, stated=0.1)
    assert shortfall(NET, series)[0] == 1.0
    assert covered(series) > 0.99


def test_of_two_frames_none_can_be_left_out(series):
    assert shortfall(NET, series.subset([0, 20])) == (1.0, 0.0)


def test_the_shipped_network_is_not_too_sure_of_multislice_frames():
    series = reference_series(PARTICLES[1], "aberrated")
    series = replace(series, frames=series.frames[:, 8:-8, 8:-8])  # less vacuum
    measured, targets = spacing_case(series, spacing_deg=24.0)
    measured = FittedSeries.of(measured)  # fitted once
    stated, calibrated = (
        coverage(*predict(shipped_net(), measured, targets.tilt_deg), targets.frames)[0.9]
        for predict in (predict_informed, predict_calibrated)
    )
    assert 0.8 < stated <= calibrated < 0.97
