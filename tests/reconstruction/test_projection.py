"""The projector: its weights, its adjoint, its axes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsg_core.errors import TsgError
from tsg_core.reconstruction.projection import frame_columns, project, row_blocks, system_matrix, volume_columns


def astra_matrix(tilt_deg, n_x):
    astra = pytest.importorskip("astra")
    geometry = astra.create_proj_geom("parallel", 1.0, n_x, np.deg2rad(-tilt_deg))
    projector = astra.create_projector("linear", geometry, astra.create_vol_geom(n_x, n_x))
    matrix = astra.projector.matrix(projector)
    dense = astra.matrix.get(matrix).toarray()
    astra.matrix.delete(matrix)
    astra.projector.delete(projector)
    return dense


def test_weights_are_those_of_astra():
    tilt_deg = np.array([-90.0, -61.3, -45.0, -20.0, 0.0, 7.5, 44.9, 45.1, 90.0])
    matrix = system_matrix(tilt_deg=tilt_deg, n_x=17).toarray()
    assert np.abs(matrix - astra_matrix(tilt_deg, 17)).max() < 1e-4


@settings(max_examples=15, deadline=None)
@given(
    tilt_deg=st.lists(st.floats(-180, 180), min_size=1, max_size=4),
    n_x=st.integers(1, 12),
    shift=st.floats(-3, 3),
    seed=st.integers(0, 99),
)
def test_transpose_is_the_adjoint_of_project(tilt_deg, n_x, shift, seed):
    rng = np.random.default_rng(seed)
    volume = rng.random((3, n_x, n_x), np.float32)
    frames = rng.random((len(tilt_deg), 3, n_x), np.float32)
    back = system_matrix(tilt_deg=tilt_deg, n_x=n_x, axis_shift_px=shift).T @ frame_columns(frames)
    projected = project(volume, tilt_deg=tilt_deg, axis_shift_px=shift)
    assert np.vdot(projected, frames) == pytest.approx(np.vdot(volume_columns(volume), back), rel=1e-4, abs=1e-4)


def test_zero_tilt_sums_over_z_and_right_angle_over_x():
    volume = np.random.default_rng(0).random((2, 5, 5), np.float32)
    frames = project(volume, tilt_deg=[0, 90, -90])
    np.testing.assert_allclose(frames[0], volume.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(frames[1], volume.sum(axis=2), rtol=1e-5)  # column = z
    np.testing.assert_allclose(frames[2], volume.sum(axis=2)[:, ::-1], rtol=1e-5)  # column = -z


def test_rows_never_mix_and_any_number_of_rows_is_projected():
    volume = np.random.default_rng(0).random((131, 6, 6), np.float32)
    whole = project(volume, tilt_deg=[10, 50])
    np.testing.assert_allclose(whole[:, 77:78], project(volume[77:78], tilt_deg=[10, 50]), rtol=1e-5)
    for n_y in (1, 2, 63, 64, 65, 131, 1000):
        rows = row_blocks(n_y)
        assert [i for r in rows for i in range(r.start, r.stop)] == list(range(n_y))


def test_axis_shift_moves_the_whole_image():
    volume = np.zeros((1, 11, 11), np.float32)
    volume[0, 4:6, 3:6] = 1
    centred = project(volume, tilt_deg=[0, 30, -70])
    shifted = project(volume, tilt_deg=[0, 30, -70], axis_shift_px=2.0)
    np.testing.assert_allclose(shifted[:, :, 2:], centred[:, :, :-2], atol=1e-5)


@pytest.mark.parametrize(
    ("volume", "tilt_deg", "word"),
    [
        (np.zeros((2, 3, 4)), [0.0], r"\(2, 3, 4\)"),
        (np.zeros((3, 3)), [0.0], "n_y, n_z, n_x"),
        (np.zeros((2, 3, 3)), [np.nan], "finite"),
    ],
)
def test_bad_input(volume, tilt_deg, word):
    with pytest.raises(TsgError, match=word):
        project(volume, tilt_deg=tilt_deg)
