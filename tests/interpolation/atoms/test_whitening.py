"""The whitening that says how much each spatial frequency of a misfit counts."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from tsg_core.interpolation.atoms.whitening import Whitening

RNG = np.random.default_rng(0)


def tensor(array):
    return torch.from_numpy(np.asarray(array, np.float32))


def coloured(n=12, shape=(40, 46)):
    """Strong slow variations and weak white noise."""
    white = RNG.normal(size=(n, *shape))
    return tensor(30 * gaussian_filter(RNG.normal(size=(n, *shape)), (0, 4, 4)) + 0.05 * white)


def test_whitened_residuals_are_white():
    residuals = coloured()
    variance = Whitening.of(residuals, residuals).coefficients(residuals).square().mean(dim=0)
    assert variance[:12, :12].mean() == pytest.approx(float(variance[-12:, -12:].mean()), rel=0.15)
    plain = Whitening.of(residuals, residuals, part=0).coefficients(residuals).square().mean(dim=0)
    assert plain[:12, :12].mean() > 100 * plain[-12:, -12:].mean()


def test_no_part_of_it_is_the_plain_sum_of_squares():
    residuals = coloured()
    plain = Whitening.of(residuals, residuals, part=0)
    assert plain.energy(residuals) == pytest.approx(float(residuals.double().square().sum()), rel=1e-5)
    torch.testing.assert_close(plain.weighted(residuals), residuals, atol=1e-4, rtol=1e-4)


def test_weighted_frames_have_the_products_of_the_coefficients():
    residuals, others = coloured(), coloured()
    whitening = Whitening.of(residuals, residuals, part=0.7)
    inner = (whitening.coefficients(residuals) * whitening.coefficients(others)).sum()
    assert float((whitening.weighted(residuals) * others).sum()) == pytest.approx(float(inner), rel=1e-3)


def test_a_perfect_model_leaves_the_weights_finite():
    frames = coloured()
    whitening = Whitening.of(torch.zeros_like(frames), frames)
    assert torch.isfinite(whitening.inverse_root).all() and whitening.inverse_root.square().mean() == pytest.approx(
        1, rel=1e-3
    )


@pytest.mark.parametrize("shape", [(5, 7), (16, 9)])
def test_small_frames_lack_bands(shape):
    frames = coloured(n=4, shape=shape)
    assert torch.isfinite(Whitening.of(frames, frames).coefficients(frames)).all()


def test_the_place_of_a_spot_is_found_beside_strong_slow_residuals():
    """What the whitening is for: of the same frame, a plain fit and a whitened one."""
    x = np.arange(46) - 22.5
    line = lambda at: np.exp(-((x - at) ** 2) / 4.5)  # noqa: E731
    spot = lambda at: np.outer(np.exp(-((np.arange(40) - 19.5) ** 2) / 4.5), line(at))  # noqa: E731
    residuals = coloured()
    errors = {}
    for part in (0, 1):
        whitening = Whitening.of(residuals, residuals, part=part)
        slope = tensor(spot(0.05) - spot(-0.05)) / 0.1
        steps = (whitening.weighted(residuals) * slope).sum(dim=(1, 2)) / whitening.energy(slope)
        errors[part] = float(steps.square().mean().sqrt())
    assert errors[1] < 0.3 * errors[0]
