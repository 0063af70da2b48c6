"""Metrics against scikit-image, brute force and theory."""

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
    compare_volumes,
    fourier_shell_correlation,
    image_metrics,
    object_points,
    otsu_threshold,
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
    assert chamfer_distance(grid, grid + [0, 0, 0.3]) == pytest.approx(0.3, rel=1e-5)
    assert rms_error(grid, grid + [0, 0, 0.3]) == pytest.approx(0.3, rel=1e-5)
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


def spatial_frequency(shape):
    """|q| in cycles per voxel over the whole Fourier space."""
    return np.sqrt(sum(q**2 for q in np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")))


def test_fsc_of_a_filtered_volume_ends_where_the_filter_does():
    rng = np.random.default_rng(0)
    shape, voxel_size_A = (30, 32, 32), 0.5
    signal, noise = rng.normal(size=(2, *shape))
    frequency = spatial_frequency(shape) / voxel_size_A
    cut_per_A = 0.45
    mixed = np.where(frequency < cut_per_A, np.fft.fftn(signal), np.fft.fftn(noise))
    curve = fourier_shell_correlation(signal, np.fft.ifftn(mixed).real, voxel_size_A=voxel_size_A)
    assert curve.frequency_per_A[0] == pytest.approx(1 / 15) and curve.frequency_per_A[-1] == pytest.approx(1.0)
    assert curve.correlation[curve.frequency_per_A < 0.4] == pytest.approx(1, abs=1e-4)
    assert np.abs(curve.correlation[curve.frequency_per_A > 0.5]).max() < 0.2
    assert curve.resolution_A(threshold=0.5) == pytest.approx(1 / cut_per_A, rel=0.08)


def test_fsc_is_that_of_the_whole_fourier_space():
    a, b = np.random.default_rng(1).normal(size=(2, 8, 9, 7))
    b += a
    f, g = np.fft.fftn(a), np.fft.fftn(b)
    curve = fourier_shell_correlation(a, b, voxel_size_A=1.0)
    for k, found in enumerate(curve.correlation, start=1):
        shell = np.rint(spatial_frequency(a.shape) * 7) == k
        expected = np.sum((f * g.conj())[shell]).real
        expected /= np.sqrt(np.sum(np.abs(f[shell]) ** 2) * np.sum(np.abs(g[shell]) ** 2))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_resolution_at_the_ends_of_the_curve():
    volume = np.random.default_rng(0).normal(size=(8, 8, 8))
    assert fourier_shell_correlation(volume, volume, voxel_size_A=0.5).resolution_A() == pytest.approx(1.0)
    assert np.isinf(fourier_shell_correlation(volume, -volume, voxel_size_A=0.5).resolution_A())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: image_metrics(np.zeros((1, 20, 20)), np.zeros((2, 20, 20)), peak=1), r"\(1, 20, 20\)"),
        (lambda: image_metrics(np.zeros((1, 20, 20)), np.zeros((1, 20, 20)), peak=0), "peak=0"),
        (lambda: image_metrics(np.zeros((1, 8, 20)), np.zeros((1, 8, 20)), peak=1), "11 px"),
        (lambda: image_metrics(np.full((1, 20, 20), np.nan), np.zeros((1, 20, 20)), peak=1), "400 of 400"),
        (lambda: otsu_threshold(np.ones((4, 4, 4))), "without contrast"),
        (lambda: object_points(ball(), voxel_size_A=1.0, seed=0, threshold=2.0), "no voxel"),
        (lambda: chamfer_distance(np.zeros((0, 3)), np.zeros((1, 3))), r"\(0, 3\)"),
        (lambda: compare_volumes(ball(12, 4), ball(13, 4), voxel_size_A=1.0), r"\(12, 12, 12\)"),
        (lambda: fourier_shell_correlation(ball(12), ball(13), voxel_size_A=1.0), r"\(13, 13, 13\)"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(TsgError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
