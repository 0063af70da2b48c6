"""Total variation: its operators, its minimum where that is known, what it is good for."""

from itertools import pairwise

import numpy as np
import pytest
from phantoms import TILT_deg, series_of, spots
from scipy import sparse
from scipy.optimize import nnls
from skimage.restoration import denoise_tv_chambolle

from tsg_core.errors import TsgError
from tsg_core.reconstruction import sirt, total_variation, tv
from tsg_core.reconstruction.projection import frame_columns, project, row_blocks, system_matrix, volume_columns
from tsg_core.reconstruction.projector import MatrixProjector
from tsg_core.reconstruction.total_variation import divergence, gradient, minimise
from tsg_core.tilt_series import TiltSeries


def solid(n_y=10, n=32):
    """A disc with a dense and an empty part."""
    z, x = np.mgrid[:n, :n] - (n - 1) / 2
    volume = np.zeros((n_y, n, n), np.float32)
    volume[2:8] = np.hypot(z, x) < 10
    volume[3:7] += np.hypot(z - 3, x + 4) < 3
    volume[4:6] -= np.hypot(z + 4, x - 2) < 2.5
    return volume


def noisy_series(volume, tilt_deg, noise=0.05):
    frames = project(volume, tilt_deg=tilt_deg)
    noise = np.random.default_rng(0).normal(0, noise * frames.max(), frames.shape)
    return TiltSeries(frames + noise, tilt_deg, 1.0)


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 3, 3), (2, 1, 4)])
def test_divergence_is_the_negative_adjoint_of_the_gradient(shape):
    rng = np.random.default_rng(0)
    volume, field = rng.random(shape), rng.random((3, *shape))
    assert np.vdot(gradient(volume), field) == pytest.approx(-np.vdot(volume, divergence(field)))


def test_gradient_points_along_its_axes():
    y, z, x = np.indices((4, 4, 4), float)
    np.testing.assert_array_equal(gradient(100 * y + 10 * z + x)[:, 1, 1, 1], [100, 10, 1])


def test_without_projection_it_denoises_as_scikit_image_does():
    noisy = solid(6, 16) + np.random.default_rng(0).normal(0, 0.2, (6, 16, 16)).astype(np.float32)
    ours = np.zeros_like(noisy)
    data = [volume_columns(noisy[r]) for r in row_blocks(6)]
    identity = sparse.eye_array(16 * 16, format="csr", dtype=np.float32)
    minimise(MatrixProjector(identity), data, ours, weight=0.15, n_iterations=400, non_negative=False)
    theirs = denoise_tv_chambolle(noisy, weight=0.15, eps=1e-9, max_num_iter=2000)
    assert np.abs(ours - theirs).max() < 0.01


def test_weight_zero_is_least_squares_without_negative_values():
    series = noisy_series(spots(n_y=1, n=16)[:, 3:13, 3:13], TILT_deg, 0.02)
    matrix = system_matrix(tilt_deg=TILT_deg, n_x=10).toarray().astype(float)
    data = frame_columns(series.frames).ravel().astype(float)
    solution, least = nnls(matrix, data)
    assert 10 < np.count_nonzero(solution == 0) < 90
    volume = tv(series, weight=0, n_iterations=500, allow_negative=True)
    assert volume.min() == 0
    assert np.linalg.norm(matrix @ volume.ravel() - data) == pytest.approx(least, rel=5e-3)


def test_few_noisy_frames_of_a_solid_object_come_nearer_to_it_than_by_sirt():
    truth = solid()
    series = noisy_series(truth, np.arange(-60.0, 61.0, 15))

    def error(volume):
        return np.linalg.norm(volume - truth) / np.linalg.norm(truth)

    best_sirt = min(
        error(sirt(series, n_iterations=n, non_negative=True, allow_negative=True)) for n in (5, 10, 20, 40, 80)
    )
    volume = tv(series, weight=0.05 * series.intensity_scale, n_iterations=100, allow_negative=True)
    assert volume.dtype == np.float32 and volume.min() >= 0
    assert error(volume) < 0.8 * best_sirt


def test_a_larger_weight_leaves_less_variation_and_fits_less():
    series = noisy_series(solid(), np.arange(-60.0, 61.0, 15))
    residuals, variations = [], []
    for weight in (0.005, 0.05, 0.5):
        volume = tv(series, weight=weight * series.intensity_scale, allow_negative=True)
        residuals.append(np.linalg.norm(project(volume, tilt_deg=series.tilt_deg) - series.frames))
        variations.append(np.sqrt((gradient(volume) ** 2).sum(axis=0)).sum())
    assert residuals == sorted(residuals) and variations == sorted(variations, reverse=True)


def test_weight_has_the_unit_of_the_frames():
    bright = series_of(solid(), axis_shift_px=1.5)
    faint = TiltSeries(1e-4 * bright.frames, TILT_deg, 0.5)
    volumes = [tv(s, weight=w, n_iterations=20, axis_shift_px=1.5) for s, w in ((bright, 0.5), (faint, 0.5e-4))]
    np.testing.assert_allclose(volumes[1], 1e-4 * volumes[0], atol=1e-8)


def test_blocks_of_rows_do_not_show(monkeypatch):
    series = series_of(solid())
    whole = {}
    for edges in ([0, 10], [0, 1, 4, 5, 10]):
        rows = [slice(a, b) for a, b in pairwise(edges)]
        monkeypatch.setattr(total_variation, "row_blocks", lambda n_y, rows=rows: rows)
        whole[len(rows)] = tv(series, weight=0.5, n_iterations=20)
    np.testing.assert_allclose(whole[4], whole[1], atol=1e-5)


def test_callback_and_start():
    truth = solid()
    series = series_of(truth)
    residuals = []
    tv(series, weight=0.1, n_iterations=30, callback=lambda iteration, residual: residuals.append(residual))
    assert len(residuals) == 30 and residuals[0] == pytest.approx(1) and residuals[-1] < 0.1
    first = []
    volume = tv(
        series, weight=0.1, n_iterations=1, start=truth, callback=lambda iteration, residual: first.append(residual)
    )
    assert first[0] < 1e-6 and volume is not truth


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": -0.1}, "weight=-0.1"),
        ({"weight": np.nan}, "weight=nan"),
        ({"n_iterations": 0}, "n_iterations=0"),
        ({"start": np.zeros((1, 2, 3))}, r"\(1, 2, 3\)"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(TsgError, match=words):
        tv(series_of(spots()), **{"weight": 0.1, **options})
