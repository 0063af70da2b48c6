"""Every method of `densify` under the same properties, and each on a case it must win."""

from functools import lru_cache

import numpy as np
import pytest
from phantoms import spot_series

from tsg_core.errors import TsgError
from tsg_core.interpolation import METHODS, densify, densify_with_uncertainty
from tsg_core.tilt_series import TiltSeries

ANYWHERE = [method for method in METHODS if method != "dynamical"]  # which needs a microscope
QUICK = ("linear", "cubic", "reprojection", "kriging")  # for "auto", which takes minutes with all of its candidates

FULL = spot_series()
SPARSE = FULL.subset(np.arange(0, 61, 4))
WANTED_deg = FULL.tilt_deg[::2] + 1e-8  # every second one is measured


def psnr_dB(dense, truth):
    return -10 * np.log10(np.mean((dense.frames - truth.frames)[~dense.measured] ** 2) / truth.frames.max() ** 2)


def dense_of(series, *, tilt_deg, method):
    if method == "auto":
        return densify_with_uncertainty(series, tilt_deg=tilt_deg, methods=QUICK).series
    return densify(series, tilt_deg=tilt_deg, method=method)


@lru_cache
def plain(method):
    return dense_of(SPARSE, tilt_deg=WANTED_deg, method=method)


@pytest.mark.parametrize("method", ANYWHERE)
def test_measured_frames_come_back_bit_for_bit(method):
    dense = plain(method)
    assert dense.frames.dtype == np.float32 and np.isfinite(dense.frames).all() and dense.frames.min() >= 0
    np.testing.assert_array_equal(dense.measured, np.arange(31) % 2 == 0)
    np.testing.assert_array_equal(dense.frames[dense.measured], SPARSE.frames)
    assert dense.metadata.items() >= {"sample": "spots", "method": method}.items()
    assert (dense.frames[1] > 0).any()


@pytest.mark.parametrize("method", ANYWHERE)
def test_predictions_scale_with_the_intensity(method):
    scale = 2.0**-17  # a power of two: numbers round alike, and iterations take the same way
    faint = TiltSeries(SPARSE.frames * np.float32(scale), SPARSE.tilt_deg, 0.5)
    found = dense_of(faint, tilt_deg=WANTED_deg, method=method).frames / scale
    np.testing.assert_allclose(found, plain(method).frames, atol=2e-3)


@pytest.mark.parametrize("method", ANYWHERE)
def test_predicted_frames_of_the_input_are_not_looked_at(method):
    measured = np.arange(61) % 4 == 0
    spoilt = TiltSeries(np.where(measured[:, None, None], FULL.frames, 9), FULL.tilt_deg, 0.5, measured=measured)
    found = dense_of(spoilt, tilt_deg=WANTED_deg, method=method)
    np.testing.assert_array_equal(found.frames, plain(method).frames)


@pytest.mark.parametrize(("method", "degree"), [("linear", 1), ("cubic", 3)])
def test_polynomials_in_angle_are_exact(method, degree):
    tilt_deg = np.array([-10.0, -7.0, -1.0, 2.0, 8.0, 9.0])
    targets = np.array([-9.5, -2.0, 0.0, 5.0, 8.9])
    coefficients = np.random.default_rng(0).random((degree + 1, 3, 4)) / 10.0 ** np.arange(degree + 1)[:, None, None]

    def frames(t):
        return 2 + np.einsum("dyx,dt->tyx", coefficients, np.stack([t**d for d in range(degree + 1)]))

    dense = densify(TiltSeries(frames(tilt_deg), tilt_deg, 1.0), tilt_deg=targets, method=method)
    np.testing.assert_allclose(dense.frames, frames(targets), rtol=1e-5)


def test_nearest_takes_the_nearer_frame_and_the_lower_of_two():
    frames = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 2, 2), np.float32)
    dense = densify(TiltSeries(frames, [0.0, 2.0, 6.0], 1.0), tilt_deg=[0.9, 1.0, 1.1, 3.9, 4.1], method="nearest")
    np.testing.assert_array_equal(dense.frames[:, 0, 0], [0, 0, 1, 1, 2])


def test_cubic_of_two_frames_is_the_line_between_them():
    pair = FULL.subset([10, 14])
    targets = FULL.tilt_deg[11:14]
    np.testing.assert_allclose(
        densify(pair, tilt_deg=targets, method="cubic").frames,
        densify(pair, tilt_deg=targets, method="linear").frames,
        atol=1e-6,
    )


def test_flow_follows_what_moves():
    grid = np.arange(48)
    centres = np.array([18.0, 21.0, 24.0])
    spot = np.exp(-((grid - centres[:, None]) ** 2) / 18)[:, None, :] * np.exp(-((grid - 24) ** 2) / 18)[None, :, None]
    full = TiltSeries(spot, [0.0, 1.0, 2.0], 1.0)
    error = {
        method: np.abs(densify(full.subset([0, 2]), tilt_deg=[1.0], method=method).frames - spot[1]).max()
        for method in ("flow", "linear")
    }
    assert error["flow"] < 0.3 * error["linear"]


def test_one_object_explains_frames_that_pixels_do_not():
    rising = ("nearest", "linear", "sirt_reprojection", "reprojection")
    score = [psnr_dB(densify(SPARSE, tilt_deg=FULL.tilt_deg, method=method), FULL) for method in rising]
    assert score == sorted(score)


def test_no_prediction_is_darker_than_zero_unless_the_data_are():
    ramp = np.array([4.0, 1.0, 0.0, 0.0])[:, None, None] * np.ones((4, 2, 2))
    dark = densify(TiltSeries(ramp, [0.0, 1.0, 2.0, 3.0], 1.0), tilt_deg=[2.5], method="cubic")
    assert dark.frames.min() == 0
    shifted = densify(TiltSeries(ramp - 1, [0.0, 1.0, 2.0, 3.0], 1.0), tilt_deg=[2.5], method="cubic")
    assert shifted.frames.min() == -1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"method": "magic"},
            "nearest, linear, cubic, smooth, flow, sirt_reprojection, reprojection, kriging, tsgnet, informed, atoms, "
            "dynamical, auto",
        ),
        ({"method": "tsgnet", "checkpoint": "huge"}, "checkpoint huge is neither a file nor a shipped network .*small"),
        ({"tilt_deg": [-91.0, 0.0]}, "-91 deg, lie outside"),
        ({"tilt_deg": [1.0, 0.0]}, "ascend"),
        ({"tilt_deg": [1.0, np.nan]}, "finite"),
        ({"tilt_deg": []}, "one at least"),
    ],
)
def test_bad_input(change, words):
    with pytest.raises(TsgError, match=words) as raised:
        densify(FULL, **{"tilt_deg": [1.0], "method": "linear"} | change)
    assert "\n" not in str(raised.value)


def test_one_measured_frame_is_not_enough():
    series = TiltSeries(FULL.frames[:3], FULL.tilt_deg[:3], 0.5, measured=[True, False, False])
    with pytest.raises(TsgError, match="1 measured"):
        densify(series, tilt_deg=[-90.0])
