"""The probe as a convolution of frames."""

from dataclasses import asdict

import numpy as np
import pytest
from ase import Atoms
from scipy.ndimage import gaussian_filter

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.optics.probe import transfer_function
from tsg_core.reconstruction.probe_blur import ProbeBlur, project_with_probe
from tsg_core.reconstruction.projection import project
from tsg_core.simulation import simulate_tilt_series
from tsg_core.tilt_series import TiltSeries, microscope_of


def point(shape, at):
    frame = np.zeros(shape, np.float32)
    frame[at] = 1
    return frame


@pytest.mark.parametrize("microscope", [ABERRATED, NON_ABERRATED])
def test_a_point_becomes_the_probe_which_is_nowhere_negative(microscope):
    image = ProbeBlur(shape=(161, 161), pixel_size_A=0.3, microscope=microscope)(point((161, 161), (80, 80)))
    assert image.min() > -1e-7 and image.sum() == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(image, image[::-1, ::-1], atol=1e-7)
    np.testing.assert_allclose(image, image.T, atol=1e-7)


def test_transfer_may_be_negative_where_the_kernel_is_not():
    assert transfer_function(ABERRATED, extent_A=(40.0, 40.0)).min() < -0.002


def test_blur_is_its_own_adjoint():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 20, 31), np.float32)
    blur = ProbeBlur(shape=(20, 31), pixel_size_A=0.4, microscope=ABERRATED, sigma_A=0.2)
    assert np.vdot(blur(a), b) == pytest.approx(np.vdot(a, blur(b)), rel=1e-5)


def test_what_leaves_the_frame_does_not_come_back_on_the_other_side():
    small = ProbeBlur(shape=(40, 30), pixel_size_A=0.5, microscope=ABERRATED)(point((40, 30), (3, 2)))
    large = ProbeBlur(shape=(120, 110), pixel_size_A=0.5, microscope=ABERRATED)(point((120, 110), (43, 42)))
    assert np.abs(small - large[40:80, 40:70]).max() < 0.05 * large.max()
    assert small.sum() < 0.8


def test_sigma_is_a_gaussian_filter():
    frames = np.random.default_rng(0).random((2, 30, 40))
    ours = ProbeBlur(shape=(30, 40), pixel_size_A=0.5, sigma_A=1.0)(frames)
    theirs = gaussian_filter(frames, (0, 2, 2), mode="constant", truncate=8)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_without_probe_and_sigma_frames_are_as_projected():
    volume = np.random.default_rng(0).random((3, 8, 8), np.float32)
    ours = project_with_probe(volume, tilt_deg=[0, 20], pixel_size_A=1.0, axis_shift_px=0.5)
    np.testing.assert_array_equal(ours, project(volume, tilt_deg=[0, 20], axis_shift_px=0.5))


def test_one_voxel_looks_like_one_atom():
    atom = Atoms("Au", positions=[[0.2, 0.2, -0.2]])  # the centre of a voxel
    simulated = simulate_tilt_series(
        atom, microscope=NON_ABERRATED, tilt_deg=[-90.0, 0.0, 90.0], shape=40, field_of_view_A=16.0
    )
    volume = np.zeros((40, 40, 40), np.float32)
    volume[20, 19, 20] = 1
    frames = project_with_probe(volume, tilt_deg=[-90, 0, 90], pixel_size_A=0.4, microscope=NON_ABERRATED, sigma_A=0.15)
    for ours, theirs in zip(frames, simulated.frames, strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98


def test_microscope_comes_from_the_metadata():
    frames = np.ones((2, 3, 3))
    for recorded, microscope in ((asdict(ABERRATED), ABERRATED), (ABERRATED, ABERRATED), (None, None)):
        assert microscope_of(TiltSeries(frames, [0, 1], 1.0, metadata={"microscope": recorded})) == microscope
    assert microscope_of(TiltSeries(frames, [0, 1], 1.0)) is None


@pytest.mark.parametrize("sigma_A", [-0.1, np.nan, np.inf])
def test_bad_input(sigma_A):
    with pytest.raises(TsgError, match="sigma_A"):
        ProbeBlur(shape=(3, 3), pixel_size_A=1.0, sigma_A=sigma_A)
