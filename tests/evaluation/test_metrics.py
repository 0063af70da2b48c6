"""Metrics against scikit-image, brute force and theory."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from skimage import metrics

from tsg_core.errors import TsgError
from tsg_core.evaluation import (
    chamfer_distance,
    compare_prepared,
    compare_volumes,
    image_metrics,
    object_points,
    otsu_threshold,
    prepare_volume,
    rms_error,
)


def ball(n=32, radius=9.0, centre=(0.0, 0.0, 0.0)):
    """1 inside a ball, 0 outside; centre in voxels along (y, z, x) from the middle."""
    axes = [np.arange(n) - (n - 1) / 2 - c for c in centre]
    y, z, x = np.meshgrid(*axes, indexing="ij")
    return (x**2 + y**2 + z**2 <= radius**2).astype(np.float32)


def noisy_frames(seed=0):
    rng = np.random.default_rng(seed)
    truth = gaussian_filter(rng.random((3, 20, 24)), (0, 2, 2)).astype(np.float32)
    return truth + rng.normal(0, 0.02, truth.shape).astype(np.float32), truth


def test_image_metrics_are_those_of_scikit_image():
    prediction, truth = noisy_frames()
    found = image_metrics(prediction, truth, peak=0.8)
    for i in range(3):
        mse = metrics.mean_squared_error(truth[i], prediction[i])
        psnr = metrics.peak_signal_noise_ratio(truth[i], prediction[i], data_range=0.8)
        ssim = metrics.structural_similarity(
            truth[i], prediction[i], data_range=0.8, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert (found.mse[i], found.psnr_dB[i], found.ssim[i]) == pytest.approx((mse, psnr, ssim), rel=1e-4)


def test_image_metrics_do_not_depend_on_the_unit():
    prediction, truth = noisy_frames()
    one, other = image_metrics(prediction, truth, peak=1), image_metrics(prediction * 1e-3, truth * 1e-3, peak=1e-3)
    np.testing.assert_allclose(one.psnr_dB, other.psnr_dB, rtol=1e-4)
    np.testing.assert_allclose(one.ssim, other.ssim, rtol=1e-3)


def test_the_smallest_frames_are_as_large_as_the_window():
    assert image_metrics(*np.ones((2, 1, 11, 11)), peak=1).ssim == pytest.approx(1)


def test_equal_frames():
    _, truth = noisy_frames()
    found = image_metrics(truth, truth, peak=1)
    assert (found.mse == 0).all() and np.isinf(found.psnr_dB).all() and found.ssim == pytest.approx(np.ones(3))


def test_otsu_parts_two_levels():
    volume = ball() + np.random.default_rng(0).normal(0, 0.1, (32, 32, 32))
    assert 0.3 < otsu_threshold(volume) < 0.7


def test_points_fill_the_object_evenly_and_stand_where_atoms_would():
    volume = np.zeros((8, 10, 10), np.float32)
    volume[1, 2, 3:7] = 1  # y, z, x
    points = object_points(volume, n_points=20_000, voxel_size_A=0.5, seed=0)
    assert points.shape == (20_000, 3) and points.dtype == np.float32
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(low, [(3 - 5) * 0.5, (1 - 4) * 0.5, (2 - 5) * 0.5], atol=0.01)
    np.testing.assert_allclose(high - low, [2.0, 0.5, 0.5], atol=0.01)
    share, _ = np.histogram(points[:, 0], bins=8)
    np.testing.assert_allclose(share / 20_000, 1 / 8, atol=0.01)
    np.testing.assert_array_equal(points, object_points(volume, n_points=20_000, voxel_size_A=0.5, seed=0))
    assert len(object_points(volume, n_points=5, voxel_size_A=0.5, seed=0, threshold=0.2)) == 5


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 30), m=st.integers(1, 30), seed=st.integers(0, 1000))
def test_distances_follow_their_definitions(n, m, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 5, (n, 3)), rng.normal(1, 5, (m, 3))
    distance = cdist(a, b)
    forth, back = distance.min(axis=1), distance.min(axis=0)
    assert chamfer_distance(a, b) == pytest.approx((forth.mean() + back.mean()) / 2, rel=1e-4, abs=1e-5)
    assert rms_error(a, b) == pytest.approx(np.sqrt(((forth**2).mean() + (back**2).mean()) / 2), rel=1e-4, abs=1e-5)
    assert chamfer_distance(a, b) == pytest.approx(chamfer_distance(b, a))


def test_distance_of_shifted_planes_is_the_shift_and_of_clouds_the_floor():
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0), [0.0]), axis=-1).reshape(-1, 3)
    assert chamfer_distance(grid, grid + np.array([0, 0, 0.3])) == pytest.approx(0.3, rel=1e-5)
    assert rms_error(grid, grid + np.array([0, 0, 0.3])) == pytest.approx(0.3, rel=1e-5)
    volume = ball()
    a, b = (object_points(volume, n_points=40_000, voxel_size_A=1.0, seed=seed) for seed in (0, 1))
    assert chamfer_distance(a, b) == pytest.approx(0.554 * (volume.sum() / 40_000) ** (1 / 3), rel=0.05)


def test_volumes_that_differ_more_are_further_apart():
    reference = gaussian_filter(ball(), 1)
    options = {"voxel_size_A": 0.5, "n_points": 20_000}
    same = compare_volumes(reference, reference, **options)
    near = compare_volumes(gaussian_filter(ball(centre=(1, 0, 0)), 1), reference, **options)
    far = compare_volumes(gaussian_filter(ball(centre=(5, 0, 0)), 1), reference, **options)
    assert same.dice == 1 and same.nrmse == 0 and np.isinf(same.psnr_dB) and same.ssim == pytest.approx(1)
    for name, sign in (("chamfer_A", 1), ("rms_A", 1), ("nrmse", 1), ("dice", -1), ("psnr_dB", -1), ("ssim", -1)):
        values = np.array([getattr(metrics_, name) for metrics_ in (same, near, far)])
        assert (np.diff(sign * values) > 0).all(), name


def test_dice_counts_voxels():
    a, b = np.zeros((2, 12, 12, 12), np.float32)
    a[:, :, :6] = 1
    b[:, :, 3:6] = 1
    assert compare_volumes(b, a, voxel_size_A=1.0, n_points=10).dice == pytest.approx(2 * 3 / (6 + 3))


def test_volumes_are_compared_as_the_formulas_say():
    volume, reference = gaussian_filter(ball(16, 5, (1, 0, 0)), 1), 2 * gaussian_filter(ball(16, 5), 1)
    found = compare_volumes(volume, reference, voxel_size_A=1.0, n_points=10)
    mse = metrics.mean_squared_error(reference, volume)
    assert found.nrmse == pytest.approx(np.linalg.norm(volume - reference) / np.linalg.norm(reference), rel=1e-5)
    assert found.psnr_dB == pytest.approx(10 * np.log10(reference.max() ** 2 / mse), rel=1e-5)


def test_by_default_a_million_points_are_drawn_from_a_known_seed():
    for function in (object_points, prepare_volume, compare_volumes):
        assert inspect.signature(function).parameters["n_points"].default == 1_000_000
    a, b = ball(12, 4), ball(12, 3)
    options = {"voxel_size_A": 1.0, "n_points": 50}
    assert compare_volumes(a, b, **options) == compare_volumes(a, b, seed=0, **options)


def test_the_object_lies_above_the_threshold_not_at_it():
    volume = np.zeros((12, 12, 12), np.float32)
    volume[6:] = 256
    volume[0, 0, 0] = otsu_threshold(volume)
    assert prepare_volume(volume, voxel_size_A=1.0, n_points=10, seed=0).inside.sum() == 6 * 12 * 12
    row = np.array([[[0.5, 1.0, 0.5]]])
    assert np.abs(object_points(row, n_points=50, voxel_size_A=1.0, seed=0, threshold=0.5)[:, 0]).max() <= 0.5


def test_the_surface_of_a_single_voxel_is_an_octahedron():
    """All its eight faces are equal, so that each gets an eighth of the points."""
    volume = np.zeros((3, 3, 3))
    volume[1, 1, 1] = 1
    points = object_points(volume, n_points=8000, voxel_size_A=2.0, seed=0, threshold=0.5, surface=True)
    np.testing.assert_allclose(np.abs(points).sum(axis=1), 1, atol=1e-5)
    share = np.bincount((points > 0) @ [1, 2, 4], minlength=8) / 8000
    np.testing.assert_allclose(share, 1 / 8, atol=0.015)


def test_the_surface_may_lie_at_the_lowest_value_but_not_at_the_highest():
    options = {"n_points": 1, "voxel_size_A": 1.0, "seed": 0, "surface": True}
    assert object_points(ball(12, 4), threshold=0.0, **options).shape == (1, 3)
    with pytest.raises(TsgError, match=r"threshold=1.0 lies outside"):
        object_points(ball(12, 4), threshold=1.0, **options)


def test_surface_points_lie_on_the_surface_and_close_it_at_the_edge():
    volume = gaussian_filter(ball(radius=9), 1)
    options = {"voxel_size_A": 0.5, "seed": 0, "threshold": 0.5, "surface": True}
    points = object_points(volume, n_points=20_000, **options)
    assert points.shape == (20_000, 3) and points.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 4.5, atol=0.3)
    share, _ = np.histogram(points[:, 2], bins=8, range=(-4.5, 4.5))  # slices of a sphere have equal areas
    np.testing.assert_allclose(share / 20_000, 1 / 8, atol=0.02)
    block = np.zeros((8, 10, 10), np.float32)
    block[0:2, 2, 3:7] = 1  # y, z, x; it touches the edge in y
    points = object_points(block, n_points=5000, voxel_size_A=1.0, seed=0, threshold=0.5, surface=True)
    np.testing.assert_allclose(points.min(axis=0), [3 - 5, 0 - 4, 2 - 5], atol=0.2)
    np.testing.assert_allclose(points.max(axis=0), [7 - 5, 2 - 4, 3 - 5], atol=0.2)


def test_surface_points_see_a_hole_that_volume_points_hardly_do():
    shell = ball(radius=9) - ball(radius=4)
    solid, hollow = (
        [object_points(v, n_points=5000, voxel_size_A=1.0, seed=k, surface=s) for k, v in enumerate((ball(), shell))]
        for s in (False, True)
    )
    assert rms_error(*hollow) > 1.3 * rms_error(*solid)


def test_prepared_volumes_give_what_volumes_give():
    a, b = gaussian_filter(ball(), 1), gaussian_filter(ball(centre=(2, 0, 0)), 1)
    seeds = np.random.SeedSequence(3).spawn(2)
    options = {"voxel_size_A": 0.5, "n_points": 2000}
    first, second = (prepare_volume(v, seed=s, **options) for v, s in zip((a, b), seeds, strict=True))
    assert compare_prepared(first, second) == compare_volumes(a, b, seed=3, **options)
    assert chamfer_distance(first.points, second.points) == compare_prepared(first, second).chamfer_A


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: image_metrics(np.zeros((1, 20, 20)), np.zeros((2, 20, 20)), peak=1), r"\(1, 20, 20\)"),
        (lambda: image_metrics(np.zeros((1, 20, 20)), np.zeros((1, 20, 20)), peak=0), "peak=0"),
        (lambda: image_metrics(np.zeros((1, 20, 20)), np.zeros((1, 20, 20)), peak=np.inf), "peak=inf"),
        (lambda: image_metrics(np.zeros((0, 20, 20)), np.zeros((0, 20, 20)), peak=1), r"\(0, 20, 20\)"),
        (lambda: image_metrics(np.zeros((1, 8, 20)), np.zeros((1, 8, 20)), peak=1), "11 px"),
        (lambda: image_metrics(np.full((1, 20, 20), np.nan), np.zeros((1, 20, 20)), peak=1), "400 of 400"),
        (lambda: otsu_threshold(np.ones((4, 4, 4))), "without contrast"),
        (lambda: object_points(ball(), voxel_size_A=1.0, seed=0, threshold=2.0), "no voxel"),
        (lambda: chamfer_distance(np.zeros((0, 3)), np.zeros((1, 3))), r"\(0, 3\)"),
        (lambda: compare_volumes(ball(12, 4), ball(13, 4), voxel_size_A=1.0), r"\(12, 12, 12\)"),
        (lambda: compare_volumes(ball(12, 4)[0], ball(12, 4)[0], voxel_size_A=1.0), r"\(12, 12\)"),
        (lambda: compare_volumes(np.full((12, 12, 12), np.inf), ball(12, 4), voxel_size_A=1.0), "1728 of 1728"),
        (lambda: object_points(ball(), n_points=0, voxel_size_A=1.0, seed=0), "n_points=0"),
        (lambda: object_points(ball(), n_points=0, voxel_size_A=1.0, seed=0, surface=True), "n_points=0"),
        (lambda: object_points(ball(), voxel_size_A=-1.0, seed=0), "voxel_size_A=-1.0"),
        (lambda: object_points(ball(), voxel_size_A=0.0, seed=0), "voxel_size_A=0.0"),
        (lambda: object_points(ball(), voxel_size_A=np.inf, seed=0), "voxel_size_A=inf"),
        (lambda: object_points(ball(), voxel_size_A=1.0, seed=0, threshold=2.0, surface=True), "threshold=2.0"),
        (lambda: chamfer_distance(np.full((1, 3), np.nan), np.zeros((1, 3))), "3 of 3"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(TsgError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
