"""Sums along rays without a matrix: those that the system matrix gives."""

import numpy as np
import pytest

from tsg_core.reconstruction.expectation_maximisation import SEEN, em_correction
from tsg_core.reconstruction.projection import Box, system_matrix
from tsg_core.reconstruction.projector import MatrixProjector
from tsg_core.reconstruction.ray_sums import N_ROWS, RaySums

TILT_deg = np.array([-90.0, -72.0, -45.0, -10.0, -5.0, 0.0, 3.0, 12.0, 25.0, 33.3, 45.0, 60.0, 89.0, 135.0])
N_PIXELS = 19


@pytest.fixture(params=[Box(19, 19), Box(7, 50), Box(24, 5)], ids=str)
def pair(request):
    """What finds the weights on the way, and the matrix."""
    matrix = system_matrix(tilt_deg=TILT_deg, n_x=N_PIXELS, box=request.param)
    return RaySums(TILT_deg, n_pixels=N_PIXELS, box=request.param), MatrixProjector(matrix)


def test_sums_along_rays_and_back_are_those_of_the_matrix(pair):
    sums, matrix = pair
    rng = np.random.default_rng(0)
    x, y = (rng.random((n, N_ROWS), dtype=np.float32) for n in matrix.matrix.shape[::-1])
    np.testing.assert_allclose(sums(x), matrix(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sums.T(y), matrix.T(y), rtol=1e-4, atol=1e-4)


def test_lengths_of_rays_and_how_much_voxels_are_seen_are_those_of_the_matrix(pair):
    sums, matrix = pair
    for name in ("ray_sums", "voxel_sums", "ray_scale"):
        np.testing.assert_allclose(getattr(sums, name), getattr(matrix, name), rtol=1e-3, atol=1e-4)


def test_the_correction_in_one_pass_is_that_of_the_matrix(pair):
    sums, matrix = pair
    rng = np.random.default_rng(0)
    x, ratio = (rng.random((n, N_ROWS), dtype=np.float32) for n in matrix.matrix.shape[::-1])
    x[rng.random(len(x)) < 0.3] = 0  # empty voxels are passed over
    expected, found, highest = x.copy(), x.copy(), float(matrix.voxel_sums.max())
    em_correction(matrix, ratio, expected, seen=matrix.voxel_sums, highest=highest, least=0.02)
    sums.correct(found, ratio, least_seen=SEEN * highest, least=0.02)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(sums(x), matrix(x), rtol=1e-4, atol=1e-4)
