"""An object that goes on outside the frames is aligned: shifts and axis are fitted together with it."""

from dataclasses import replace

import numpy as np
from misaligned import drift, irregular_tilts
from phantoms import film

from tsg_core.preparation.alignment import align
from tsg_core.preparation.beyond_frames import BeyondFrames
from tsg_core.preparation.joint_fit import fit_jointly
from tsg_core.preparation.transformation import shift_error_px
from tsg_core.reconstruction.projection import Box
from tsg_core.samples.experiment import recorded_balls
from tsg_core.tilt_series import TiltSeries

TILT_deg = irregular_tilts(21, wedge_deg=60.0)
DRIFT_px = drift(21, step_px=0.6)
FILM = {"n_y": 16, "n_x": 32, "thickness_px": 16}


def error_px(shift_px, *, axis_deg):
    return shift_error_px(shift_px, DRIFT_px, tilt_deg=TILT_deg, axis_deg=axis_deg)


def test_balls_that_leave_the_frames_are_aligned():
    whole = recorded_balls(tilt_deg=TILT_deg, shift_px=DRIFT_px, axis_deg=1.5, shape=32, reach=0.7)
    alignment = align(replace(whole, frames=whole.frames[:, 8:24]))
    assert error_px(alignment.shift_px, axis_deg=1.5) < 0.25 * error_px(0 * DRIFT_px, axis_deg=1.5)
    assert abs(alignment.axis_deg - 1.5) < 0.7
    assert alignment.report.residual_after < 0.8 * alignment.report.residual_before


def test_a_film_is_aligned_together_with_its_volume():
    series = film(TILT_deg, **FILM, shift_px=DRIFT_px)
    of = {"tilt_deg": TILT_deg, "box": Box(16, 92), "axis_deg": 0.0, "n_iterations": 120}
    fit = fit_jointly(series.frames, **of, shift_px=0 * DRIFT_px)
    assert error_px(fit.shift_px, axis_deg=0.0) < 0.25 * error_px(0 * DRIFT_px, axis_deg=0.0)
    assert abs(fit.axis_deg) < 0.5


def test_a_fit_without_poses_leaves_them():
    series = film(TILT_deg, **FILM, shift_px=DRIFT_px)
    of = {"tilt_deg": TILT_deg, "box": Box(16, 80), "shift_px": DRIFT_px, "axis_deg": 2.0, "n_iterations": 8}
    fit = fit_jointly(series.frames, **of, fit_poses=False)
    np.testing.assert_array_equal(fit.shift_px, DRIFT_px)
    assert fit.axis_deg == 2.0 and fit.volume.shape == (16, 16, 80) and fit.volume.min() >= 0
    assert fit_jointly(series.frames, **of, fit_axis=False).axis_deg == 2.0


def test_left_out_frames_tell_right_shifts_from_wrong_ones():
    """Ever larger errors are ever worse, until hardly any pixels are left to compare."""
    judge = BeyondFrames(film(TILT_deg, **FILM, shift_px=DRIFT_px))
    right, recorded, doubled = (judge.residual(k * DRIFT_px, 0.0, thickness_px=16) for k in (1, 0, -1))
    assert right < 0.8 * recorded and recorded < doubled < np.inf
    assert judge.residual(40.0 * np.sign(DRIFT_px), 0.0, thickness_px=16) == np.inf


def test_frames_that_show_only_noise_are_left_as_recorded():
    noise = 10 + np.random.default_rng(3).standard_normal((9, 12, 16))
    alignment = align(TiltSeries(noise, np.linspace(-40, 40, 9), 1.0))
    assert alignment.report.kept and not alignment.shift_px.any() and alignment.axis_deg == 0
    assert "left as recorded" in str(alignment.report)
