import numpy as np
import pytest

from tsg_core.interpolation.angles import cubic, linear
from tsg_core.interpolation.kriging import kriged, smooth
from tsg_core.tilt_series import TiltSeries

MEASURED_deg = np.arange(-60.0, 61.0, 5.0)
MIDDLES_deg = MEASURED_deg[:-1] + 2.5


def frames_with(angles_deg, *, changing, seed=0, shape=(16, 20)):
    """Frames of a fixed pattern plus smooth patterns that turn through `changing` periods over 5 degrees."""
    rng = np.random.default_rng(seed)
    still, wave, other = rng.normal(size=(3, *shape))
    phase = 2 * np.pi * changing * np.asarray(angles_deg)[:, None, None] / 5
    return still + wave * np.cos(phase) + other * np.sin(phase)


def error(predicted, true):
    return float(((predicted - true) ** 2).mean())


def test_what_changes_slowly_is_followed():
    true = frames_with(MIDDLES_deg, changing=0.03)
    predicted = kriged(frames_with(MEASURED_deg, changing=0.03), measured_deg=MEASURED_deg, tilt_deg=MIDDLES_deg)
    assert error(predicted, true) < 1e-4 * true.var()


def test_what_changes_altogether_falls_back_to_what_lasts():
    rng = np.random.default_rng(3)
    still = rng.normal(size=(16, 20))
    measured = still + rng.normal(size=(len(MEASURED_deg), 16, 20))
    predicted = kriged(measured, measured_deg=MEASURED_deg, tilt_deg=MIDDLES_deg)
    series = TiltSeries(measured, MEASURED_deg, 1.0)
    assert error(predicted, still) < 0.1
    for method in (linear, cubic):
        assert error(method(series, MIDDLES_deg), still) > 4 * error(predicted, still)


def test_bands_are_judged_each_for_itself():
    n = 32
    x = np.arange(n)
    coarse, fine = (np.cos(np.pi * k * (x + 0.5) / n) * np.ones((n, 1)) for k in (2, 20))
    rng = np.random.default_rng(1)
    jumps = rng.normal(size=len(MEASURED_deg))[:, None, None] * coarse
    turning = np.cos(MEASURED_deg / 15)[:, None, None] * fine
    predicted = kriged(jumps + turning, measured_deg=MEASURED_deg, tilt_deg=MIDDLES_deg)
    amplitude = (predicted * fine).sum(axis=(1, 2)) / (fine**2).sum()
    np.testing.assert_allclose(amplitude, np.cos(MIDDLES_deg / 15), atol=0.02)
    assert (predicted * coarse).sum(axis=(1, 2)).std() < 0.5 * (jumps * coarse).sum(axis=(1, 2)).std()


def test_the_unit_of_the_frames_is_of_no_matter():
    frames = frames_with(MEASURED_deg, changing=0.1)
    plain, scaled = (kriged(k * frames, measured_deg=MEASURED_deg, tilt_deg=MIDDLES_deg) for k in (1, 1e3))
    np.testing.assert_allclose(scaled, 1e3 * plain, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("n", [2, 3])
def test_few_empty_and_small_frames_are_predicted(n):
    angles = np.linspace(-10, 10, n)
    assert np.isfinite(kriged(np.zeros((n, 6, 5)), measured_deg=angles, tilt_deg=np.array([1.0]))).all()
    assert kriged(np.ones((n, 6, 5)), measured_deg=angles, tilt_deg=np.array([1.0])) == pytest.approx(1, abs=1e-2)


def test_frames_are_smoothed_over_the_angle_as_their_noise_asks():
    """Linear interpolation carries half of its neighbours' noise; frames that change slowly have many neighbours."""
    rng = np.random.default_rng(5)
    clean, true = (frames_with(angles_deg, changing=0.02) for angles_deg in (MEASURED_deg, MIDDLES_deg))
    for noise, gain in ((0.0, 4), (0.3, 2)):
        series = TiltSeries(clean + noise * rng.normal(size=clean.shape), MEASURED_deg, 1.0)
        errors = [error(method(series, MIDDLES_deg), true) for method in (smooth, linear, cubic)]
        assert errors[0] * gain < errors[1] and (noise == 0 or errors[0] * gain < errors[2])


def test_smoothing_leaves_alone_what_only_two_frames_show():
    frames = np.random.default_rng(0).random((2, 8, 8))
    series = TiltSeries(frames, [0.0, 4.0], 1.0)
    assert np.isfinite(smooth(series, np.array([2.0]))).all()
    even = TiltSeries(np.full((4, 8, 8), 3.0), [0.0, 4.0, 8.0, 12.0], 1.0)
    np.testing.assert_allclose(smooth(even, np.array([2.0])), 3.0, rtol=1e-3)
