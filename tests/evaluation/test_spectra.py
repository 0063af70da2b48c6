"""A wave shows at its own frequency, white noise at all of them."""

import numpy as np
import pytest

from tsg_core.evaluation.spectra import radial_power_spectrum


@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
def test_a_wave_shows_at_its_frequency(shape):
    x = np.arange(shape[1]) * 0.5
    k, power = radial_power_spectrum(np.tile(np.cos(2 * np.pi * 0.4 * x), (shape[0], 1)), pixel_size_A=0.5)
    assert k[power.argmax()] == pytest.approx(0.4, abs=k[1])
    assert k[-1] == pytest.approx(1.0, abs=k[1])


def test_white_noise_has_its_variance_at_every_frequency():
    _, power = radial_power_spectrum(np.random.default_rng(0).normal(3.0, 2.0, (256, 256)), pixel_size_A=0.5)
    assert power[20:].mean() == pytest.approx(4.0, rel=0.03)
    assert power[0] == pytest.approx(0.0, abs=1e-9)
