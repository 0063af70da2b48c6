"""Reprojection: one object explains the frames, with the probe where it is wide; what it misses is carried over."""

from dataclasses import asdict

import numpy as np
import pytest
from phantoms import spots

from tsg_core.interpolation import densify
from tsg_core.interpolation.fitted_object import ReprojectionSettings, fitted_object
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.reprojection import reprojection, sirt_reprojection
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.reconstruction.probe_blur import ProbeBlur, project_with_probe
from tsg_core.simulation.noise import with_dose
from tsg_core.tilt_series import TiltSeries

PIXEL_A = 0.5
TILT_deg = np.arange(-90.0, 91.0, 3.0)
DEFAULT = ReprojectionSettings()


def series_of(microscope, *, intensity=1.0):
    frames = intensity * project_with_probe(
        spots(n_y=24, sigma=0.8), tilt_deg=TILT_deg, pixel_size_A=PIXEL_A, microscope=microscope
    )
    return TiltSeries(frames.clip(0), TILT_deg, PIXEL_A, metadata={"microscope": asdict(microscope)})


SHARP, WIDE = series_of(NON_ABERRATED), series_of(ABERRATED)


def gain_dB(full, measured, method="reprojection", *, over="linear"):
    """How much nearer to the clean frames of `full` one method comes than another."""
    targets = full.tilt_deg[2:-2:4]
    error = {
        m: np.mean((densify(measured, tilt_deg=targets, method=m).frames - full.frames[2:-2:4]) ** 2)
        for m in (method, over)
    }
    return 10 * np.log10(error[over] / error[method])


@pytest.mark.parametrize(("full", "at_least"), [(SHARP, 4), (WIDE, 4)])
def test_few_frames_of_one_object(full, at_least):
    measured = full.subset(np.arange(0, 61, 4))
    assert gain_dB(full, measured) > at_least


def test_the_probe_is_in_the_model_only_where_it_is_wide():
    assert fitted_object(WIDE, DEFAULT).blur.microscope == ABERRATED
    assert fitted_object(SHARP, DEFAULT).blur is None
    unknown = TiltSeries(WIDE.frames, TILT_deg, PIXEL_A)
    assert fitted_object(unknown, DEFAULT).blur is None
    assert np.isfinite(reprojection(unknown, np.array([1.0]))).all()


def test_the_probe_gains_where_it_is_wide():
    few = np.arange(0, 61, 4)
    known, unknown = WIDE.subset(few), TiltSeries(WIDE.frames[few], TILT_deg[few], PIXEL_A)
    assert gain_dB(WIDE, known) > gain_dB(WIDE, unknown) + 2


@pytest.mark.parametrize("oversampling", [1, 2])
def test_the_object_explains_the_frames_it_was_made_of(oversampling):
    measured = SHARP.subset(np.arange(0, 61, 2))
    fitted = fitted_object(measured, ReprojectionSettings(oversampling=oversampling))
    assert fitted.volume.shape == (24, 24 * oversampling, 24 * oversampling)
    assert np.abs(fitted.frames(measured.tilt_deg) - measured.frames).mean() < 0.05 * measured.frames.mean()


def test_all_of_a_clean_residual_is_carried_over_and_little_of_a_noisy_one():
    clean = FittedSeries.of(WIDE).residual_weights
    noisy = FittedSeries.of(with_dose(series_of(ABERRATED, intensity=1e-3), dose_per_A2=1e5, seed=0)).residual_weights
    assert clean.shape == noisy.shape == (5, 5)
    assert clean[:3, :3].min() > 0.9 and clean.min() >= 0 and clean.max() <= 1
    assert noisy[2:, 2:].max() < 0.4


def test_noise_is_not_carried_over():
    full = series_of(ABERRATED, intensity=1e-3)
    assert gain_dB(full, with_dose(full, dose_per_A2=1e5, seed=0).subset(np.arange(0, 61, 4))) > 3


def test_two_frames_irregular_angles_and_nothing_in_them():
    two = SHARP.subset([20, 24])
    assert np.isfinite(densify(two, tilt_deg=[-25.0], method="reprojection").frames).all()
    irregular = SHARP.subset([0, 1, 7, 12, 13, 14, 29, 40, 51, 60])
    assert densify(irregular, tilt_deg=[-80.0, 10.0], method="reprojection").frames.max() < 2 * SHARP.frames.max()
    empty = TiltSeries(np.zeros_like(SHARP.frames), TILT_deg, PIXEL_A)
    assert not densify(empty, tilt_deg=[1.0], method="reprojection").frames.any()


def test_repetition_gives_equal_frames():
    few = np.arange(0, 61, 6)
    again = [reprojection(WIDE.subset(few), np.array([4.0, 10.0])) for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_sirt_reprojection_is_the_projection_of_its_volume():
    frames = sirt_reprojection(SHARP.subset(np.arange(0, 61, 2)), TILT_deg[1::2])
    assert np.mean((frames - SHARP.frames[1::2]) ** 2) < 0.01 * SHARP.frames.max() ** 2


def test_sharpening_undoes_the_blur_that_the_probe_passes():
    blur = ProbeBlur(shape=(24, 24), pixel_size_A=PIXEL_A, sigma_A=0.5)
    frame = spots(n_y=1, sigma=1.5)
    blurred = blur(frame)
    assert np.abs(blur.sharpen(blurred, regularisation=1e-4) - frame).max() < 0.2 * np.abs(blurred - frame).max()
