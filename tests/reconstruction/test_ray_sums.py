"""Sums along rays without a matrix: those that the system matrix gives."""

import numpy as np
import pytest

from tsg_core.reconstruction.projection import project, system_matrix
from tsg_core.reconstruction.ray_sums import N_ROWS, Rays

TILT_deg = np.array([-90.0, -72.0, -45.0, -10.0, 0.0, 33.3, 45.0, 89.0, 135.0])
N_X = 19
rng = np.random.default_rng(0)
BLOCK = rng.random((N_X, N_X, N_ROWS), dtype=np.float32)
FRAMES = np.zeros((len(TILT_deg), N_X + 3, N_ROWS), np.float32)
FRAMES[:, 1 : N_X + 1] = rng.random((len(TILT_deg), N_X, N_ROWS))
MATRIX = system_matrix(tilt_deg=TILT_deg, n_x=N_X)
BACK = (MATRIX.T @ FRAMES[:, 1 : N_X + 1].reshape(-1, N_ROWS)).reshape(BLOCK.shape)
OVER = rng.random((N_X, N_X), dtype=np.float32) + 0.1


def test_a_block_projects_to_the_frames_of_the_matrix():
    found = Rays.at(TILT_deg).project(BLOCK)[:, 1 : N_X + 1].transpose(0, 2, 1)
    np.testing.assert_allclose(found, project(BLOCK.transpose(2, 0, 1), tilt_deg=TILT_deg), rtol=1e-4, atol=1e-4)


def test_the_sensitivity_is_the_sum_of_the_columns():
    found = Rays.at(TILT_deg).sensitivity(N_X)
    np.testing.assert_allclose(found.ravel(), MATRIX.sum(axis=0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("add", [False, True])
def test_corrections_are_the_transposed_matrix_times_the_frames(add):
    block = BLOCK.copy()
    Rays.at(TILT_deg).correct(block, FRAMES, over=OVER, add=add)
    correction = BACK * OVER[..., None]
    np.testing.assert_allclose(block, BLOCK + correction if add else BLOCK * correction, rtol=1e-4, atol=1e-4)


def test_voxels_that_are_not_seen_stay_and_faint_ones_are_emptied():
    over, block = OVER.copy(), BLOCK.copy()
    over[3, 4] = 0
    Rays.at(TILT_deg).correct(block, FRAMES, over=over, least=0.5)
    np.testing.assert_array_equal(block[3, 4], np.where(BLOCK[3, 4] > 0.5, BLOCK[3, 4], 0))
    expected = BLOCK * BACK * over[..., None]
    assert (block[0] == 0)[expected[0] < 0.499].all() and (block[0] > 0)[expected[0] > 0.501].all()
