"""The loss terms against slow, literal versions of their definitions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tsg_core.losses import census, charbonnier, gain_loss, geometry_census, tsgnet_loss
from tsg_core.model import TSGNet


def literal_census(x, y, patch):
    """All patches at once: normalised differences to the centre, distance, mean over the patch, border masked."""

    def differences(frames):
        patches = F.unfold(frames.flatten(0, 1)[:, None], patch, padding=patch // 2)
        d = patches - frames.flatten(0, 1).flatten(1)[:, None]
        return d / torch.sqrt(0.81 + d**2)

    q2 = (differences(x) - differences(y)) ** 2
    distance = (q2 / (0.1 + q2)).mean(dim=1).reshape(x.shape)
    mask = torch.zeros_like(x)
    b = patch // 2
    mask[..., b:-b, b:-b] = 1
    return (distance * mask).mean()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), n_y=st.integers(7, 20), n_x=st.integers(7, 20))
def test_census_equals_its_literal_definition(seed, n_y, n_x):
    x, y = torch.rand(2, 2, 3, n_y, n_x, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(geometry_census(x, y), literal_census(x, y, 3))
    mean_x, mean_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    torch.testing.assert_close(census(x, y), literal_census(mean_x, mean_y, 7))


def test_charbonnier_is_a_smooth_absolute_error():
    error = torch.tensor([0.0, 0.3, -2.0])
    expected = np.sqrt(error.numpy() ** 2 + 1e-6).mean()
    assert charbonnier(error, torch.zeros(3)).item() == pytest.approx(expected)


def test_only_the_geometry_census_trains_its_target():
    x, y = torch.rand(2, 1, 2, 9, 9, requires_grad=True)
    assert not census(x.detach(), y).requires_grad
    assert geometry_census(x.detach(), y).requires_grad


def test_census_does_not_see_a_brightness_offset_but_charbonnier_does():
    x = torch.rand(1, 1, 16, 16)
    assert census(x + 0.2, x).item() == pytest.approx(0, abs=1e-9)
    assert charbonnier(x + 0.2, x).item() == pytest.approx(0.2, rel=1e-4)


def test_eta_weighs_the_geometry_term():
    model, frames = TSGNet(channels=(4, 6, 8, 10)), torch.rand(3, 1, 1, 32, 32)
    once, twice = (tsgnet_loss(model, *frames, torch.tensor([0.5]), eta=eta) for eta in (0.01, 0.02))
    assert twice.geometry.item() == pytest.approx(2 * once.geometry.item())
    assert twice.reconstruction.item() == once.reconstruction.item()


class Fixed:
    """Stands for a network that predicts these frames."""

    def __init__(self, frames):
        self.frames = frames

    def predict_with_features(self, *_):
        return self.frames, []


def test_the_gain_loss_is_zero_for_linear_interpolation():
    a, b, target = torch.rand(3, 2, 1, 16, 16)
    t = torch.tensor([0.5, 0.2])
    untrained = TSGNet(channels=(4, 6, 8, 10), linear_start=True, motion_scaled=True)
    assert gain_loss(untrained, a, b, target, t).item() == pytest.approx(0, abs=1e-5)


def test_the_gain_loss_is_the_mean_logarithm_of_the_ratio_of_squared_errors():
    a, b = torch.zeros(2, 1, 1, 2), torch.ones(2, 1, 1, 2)
    target = torch.tensor([[0.5, 1.5], [0.5, 0.7]]).reshape(2, 1, 1, 2)
    # linear errors: (0, 1) and (0, 0.2) at t = 0.5; the predictions' errors: (0, 0.5) and (0, 0.4)
    predicted = target + torch.tensor([[0.0, 0.5], [0.0, 0.4]]).reshape(2, 1, 1, 2)
    loss = gain_loss(Fixed(predicted), a, b, target, torch.full((2,), 0.5))
    assert loss.item() == pytest.approx((np.log(0.25) + np.log(4)) / 2, abs=1e-3)
    once = gain_loss(Fixed(predicted[:1]), a[:1], b[:1], target[:1], torch.tensor([0.5]))
    assert once.item() == pytest.approx(np.log(0.25), abs=1e-3)
    assert -10 / np.log(10) * once.item() == pytest.approx(20 * np.log10(2), abs=1e-2)  # the gain in decibels


def test_gains_beyond_40_dB_do_not_count_and_flat_samples_stay_finite():
    a, b = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    target = torch.full((1, 1, 4, 4), 0.8)
    perfect = gain_loss(Fixed(target), a, b, target, torch.tensor([0.5])).item()
    assert perfect == pytest.approx(-np.log(1e4), rel=1e-3)
    assert gain_loss(Fixed(a), a, a, a, torch.tensor([0.5])).item() == 0
