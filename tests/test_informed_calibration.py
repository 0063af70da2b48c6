import numpy as np
import pytest
import torch

from tsg_core import informed_calibration
from tsg_core.informed_calibration import predict_calibrated, sigma_factor
from tsg_core.tilt_series import TiltSeries
from tsg_core.uncertainty import coverage


@pytest.fixture
def net():
    return torch.nn.Identity()  # stands for a network: what it predicts is patched


def noise_by(monkeypatch, series, truth, *, stated, error):
    """Predictions of the truth, `error` off, with another stated standard deviation."""
    asked = []

    def predict_informed(net, known, tilt_deg):
        asked.append((len(known), len(tilt_deg)))
        at = np.searchsorted(series.tilt_deg, tilt_deg)
        rng = np.random.default_rng(len(tilt_deg))
        smooth = np.repeat(np.repeat(rng.normal(0, error, (len(at), 16, 16)), 4, axis=1), 4, axis=2)
        return truth[at] + smooth, np.full((len(at), 64, 64), stated, np.float32)

    monkeypatch.setattr(informed_calibration, "predict_informed", predict_informed)
    return asked


def a_series(truth, noise=0.0):
    frames = truth + np.random.default_rng(1).normal(0, noise, truth.shape)
    return TiltSeries(frames, np.arange(len(truth)) * 5.0, 0.5)


def test_the_factor_makes_the_intervals_hold_their_share(net, monkeypatch):
    truth = np.zeros((21, 64, 64), np.float32)
    series = a_series(truth)
    asked = noise_by(monkeypatch, series, truth, stated=0.1, error=0.3)
    frames, sigma = predict_calibrated(net, series, series.tilt_deg[1:-1])
    assert coverage(frames, sigma, truth[1:-1])[0.9] == pytest.approx(0.9, abs=0.02)
    assert asked == [(21, 19), (11, 10)]  # every second frame is left out, the first and the last are not


def test_intervals_that_are_too_wide_are_narrowed(net, monkeypatch):
    truth = np.zeros((21, 64, 64), np.float32)
    series = a_series(truth)
    noise_by(monkeypatch, series, truth, stated=0.1, error=0.05)
    assert sigma_factor(net, series) == pytest.approx(0.5, rel=0.1)


def test_noise_of_the_left_out_frames_does_not_widen_the_intervals(net, monkeypatch):
    truth = np.zeros((21, 64, 64), np.float32)
    series = a_series(truth, noise=0.1)
    noise_by(monkeypatch, series, truth, stated=0.2, error=0.2)
    assert sigma_factor(net, series) == pytest.approx(1.0, rel=0.1)


def test_of_two_frames_none_can_be_left_out(net):
    assert sigma_factor(net, a_series(np.zeros((2, 64, 64), np.float32))) == 1.0
