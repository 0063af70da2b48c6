"""The loss terms against slow, literal versions of their definitions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tsg_core.losses import census, charbonnier, geometry_census, tsgnet_loss
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
