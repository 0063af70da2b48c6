"""SIRT, OS-SART and CGLS: engines beside one another, options, and what is refused."""

import importlib.util
import warnings

import numpy as np
import pytest
from phantoms import TILT_deg, correlation, series_of, spots

from tsg_core.errors import TsgError
from tsg_core.reconstruction import algebraic, cgls, os_sart, project, sirt
from tsg_core.reconstruction.linear_system import needed_bytes
from tsg_core.reconstruction.projection import MATRIX_BYTES, system_matrix
from tsg_core.reconstruction.projector import TorchProjector
from tsg_core.tilt_series import TiltSeries


@pytest.mark.parametrize("engine", ["sparse", "torch", "astra", "tomopy"])
@pytest.mark.parametrize("axis_shift_px", [0.0, 1.5])
def test_engines_find_the_object_in_the_same_orientation(engine, axis_shift_px):
    if engine != "sparse" and importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    truth = spots()
    series = series_of(truth, axis_shift_px=axis_shift_px)
    volume = sirt(series, n_iterations=50, engine=engine, axis_shift_px=axis_shift_px)
    assert volume.shape == truth.shape and volume.dtype == np.float32
    assert correlation(volume, truth) > 0.95
    assert correlation(volume, sirt(series, n_iterations=50, axis_shift_px=axis_shift_px)) > 0.99


@pytest.mark.parametrize("non_negative", [False, True])
def test_sparse_is_astra_to_rounding(non_negative):
    pytest.importorskip("astra")
    series = series_of(spots())
    ours = sirt(series, n_iterations=20, non_negative=non_negative)
    theirs = sirt(series, n_iterations=20, engine="astra", non_negative=non_negative)
    assert np.abs(ours - theirs).max() < 1e-4 * theirs.max()
    assert (ours.min() >= 0) == non_negative


@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("method", [sirt, os_sart])
def test_torch_is_sparse_to_rounding_with_every_option(method, non_negative):
    series = series_of(spots(), axis_shift_px=0.7)
    options = {"n_iterations": 8, "relaxation": 0.8, "start": spots(seed=1), "axis_shift_px": 0.7, "tolerance": 0.05}
    ours, theirs = (method(series, engine=e, non_negative=non_negative, **options) for e in ("sparse", "torch"))
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    assert (theirs.min() >= 0) == non_negative


@pytest.mark.parametrize("fits", [False, True])
def test_the_default_engine_is_torch_where_the_transposed_matrix_fits(monkeypatch, fits):
    series, made = series_of(spots()), []
    needed = needed_bytes(*series.frames.shape) + MATRIX_BYTES * len(series) * 24**2
    monkeypatch.setattr(algebraic, "free_bytes_of_torch", lambda: needed if fits else needed - 1)
    monkeypatch.setattr(algebraic, "TorchProjector", lambda matrix: made.append(matrix) or TorchProjector(matrix))
    volume = sirt(series, n_iterations=2)
    assert len(made) == fits
    np.testing.assert_allclose(volume, sirt(series, n_iterations=2, engine="sparse"), atol=1e-6)


def test_os_sart_with_one_subset_is_sirt():
    series = series_of(spots())
    np.testing.assert_allclose(os_sart(series, n_subsets=1, n_iterations=7), sirt(series, n_iterations=7), atol=1e-6)


def test_os_sart_gains_by_its_subsets():
    truth = spots()
    series = series_of(truth, TILT_deg[::2])
    error = {n: np.linalg.norm(os_sart(series, n_iterations=5, n_subsets=n) - truth) for n in (1, 4, 16)}
    assert error[16] < error[4] < error[1]
    assert error[4] < 1.1 * np.linalg.norm(sirt(series, n_iterations=20) - truth)


def test_relaxation_scales_the_first_step():
    series = series_of(spots())
    whole, half = (sirt(series, n_iterations=1, relaxation=r) for r in (1.0, 0.5))
    np.testing.assert_allclose(half, whole / 2, rtol=1e-5)


def test_residual_falls_and_tolerance_ends_early():
    series = series_of(spots())
    residuals = []
    sirt(series, n_iterations=15, callback=lambda iteration, residual: residuals.append((iteration, residual)))
    assert [i for i, _ in residuals] == list(range(1, 16))
    values = np.array([r for _, r in residuals])
    assert values[0] == pytest.approx(1) and (np.diff(values) < 0).all()
    stopped = []
    sirt(series, n_iterations=15, tolerance=values[4], callback=lambda iteration, _: stopped.append(iteration))
    assert stopped == [1, 2, 3, 4, 5]


def test_warm_start_goes_on_where_the_first_run_ended():
    series = series_of(spots(n_y=3))
    whole = sirt(series, n_iterations=12)
    halves = sirt(series, n_iterations=6, start=sirt(series, n_iterations=6))
    np.testing.assert_allclose(halves, whole, atol=1e-6)


def test_start_volume_is_not_written_to():
    series = series_of(spots(n_y=1))
    start = np.ones((1, 24, 24), np.float32)
    sirt(series, n_iterations=2, start=start)
    assert (start == 1).all()


def test_irregular_angles_serve_and_a_missing_wedge_costs():
    truth = spots()
    irregular_deg = np.sort(TILT_deg + np.random.default_rng(0).uniform(-2, 2, TILT_deg.size))
    irregular = correlation(sirt(series_of(truth, irregular_deg)), truth)
    wedge = correlation(sirt(series_of(truth, irregular_deg[np.abs(irregular_deg) < 50])), truth)
    assert irregular > 0.98 and 0.5 < wedge < irregular - 0.03


def test_intensities_keep_their_unit():
    truth = spots()
    faint, bright = series_of(1e-4 * truth), series_of(truth)
    np.testing.assert_allclose(sirt(faint, n_iterations=5), 1e-4 * sirt(bright, n_iterations=5), rtol=1e-3, atol=1e-9)
    again = project(sirt(bright), tilt_deg=TILT_deg)
    assert np.linalg.norm(again - bright.frames) < 0.02 * np.linalg.norm(bright.frames)


def test_cgls_reaches_the_residual_of_sirt_in_fewer_iterations():
    truth = spots()
    truth[1] = 0  # a slice without data converges at once
    series = series_of(truth, axis_shift_px=1.5)

    def misfit(volume):
        return np.linalg.norm(project(volume, tilt_deg=TILT_deg, axis_shift_px=1.5) - series.frames)

    volume = cgls(series, n_iterations=20, axis_shift_px=1.5)
    assert misfit(volume) < misfit(sirt(series, n_iterations=60, axis_shift_px=1.5))
    assert correlation(volume, truth) > 0.99
    assert (volume[1] == 0).all()


def test_cgls_solves_the_normal_equations():
    series = series_of(spots(n_y=1, n=16))
    matrix = system_matrix(tilt_deg=TILT_deg, n_x=16).toarray().astype(float)
    solution = np.linalg.lstsq(matrix, series.frames[:, 0].ravel(), rcond=None)[0]
    np.testing.assert_allclose(cgls(series, n_iterations=150).ravel(), solution, atol=2e-3 * solution.max())


ALONE = np.pad(spots(), ((4, 4), (4, 4), (4, 4)))  # with vacuum on all sides


def noisy(*, offset=0.0, contrast=100.0, seed=0):
    """Counted electrons about an offset: many pixels are darker than the vacuum by far more than a part of the peak."""
    frames = project(ALONE, tilt_deg=TILT_deg)
    rng = np.random.default_rng(seed)
    counts = rng.poisson(frames / frames.max() * contrast + 60) - 60.0
    return TiltSeries(counts + offset, TILT_deg, 0.5)


def dark_object():
    frames = project(ALONE, tilt_deg=TILT_deg)
    return TiltSeries(-frames, TILT_deg, 0.5)


@pytest.mark.parametrize(
    ("series", "options", "words"),
    [
        (series_of(spots(), TILT_deg[:1]), {}, "two angles"),
        (dark_object(), {}, "bright field; turn their contrast first .tsg prepare IN --invert"),
        (series_of(spots()), {"engine": "magic"}, "sparse, torch, astra, tomopy"),
        (series_of(spots()), {"engine": "astra", "tolerance": 0.1}, "tolerance"),
        (series_of(spots()), {"engine": "tomopy", "non_negative": True}, "non_negative"),
        (series_of(spots()), {"n_iterations": 0}, "n_iterations=0"),
        (series_of(spots()), {"relaxation": 2.0}, "relaxation=2"),
        (series_of(spots()), {"start": np.zeros((4, 24, 23))}, r"\(4, 24, 23\)"),
        (series_of(spots()), {"start": np.full((4, 24, 24), np.nan)}, "2304 values that are not finite"),
        (series_of(spots()), {"axis_shift_px": 12.0}, "axis_shift_px=12.0 .* outside the frame"),
        (series_of(spots()), {"axis_shift_px": np.nan}, "axis_shift_px=nan"),
    ],
)
def test_bad_input(series, options, words):
    with pytest.raises(TsgError, match=words) as raised:
        sirt(series, **options)
    assert "\n" not in str(raised.value)


def test_noise_about_the_vacuum_is_no_mistake():
    series = noisy()
    assert series.frames.min() < -0.2 * series.frames.max()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        volume = sirt(series, n_iterations=20)
    assert correlation(volume, sirt(series, n_iterations=20, allow_negative=True)) > 0.9999


@pytest.mark.parametrize("method", [sirt, os_sart, cgls])
def test_an_offset_below_zero_is_subtracted_and_said(method):
    expected = method(noisy(), n_iterations=5)
    with pytest.warns(UserWarning, match="vacuum of the frames lies at -327.. .*: this offset was subtracted"):
        volume = method(noisy(offset=-32768), n_iterations=5)
    assert correlation(volume, expected) > 0.999


def test_offsets_that_differ_from_frame_to_frame_are_subtracted_each():
    each = -200 * np.linspace(1, 2, len(TILT_deg))[:, None, None]
    with pytest.warns(UserWarning, match="from -40.* to -20.* over the frames"):
        volume = sirt(noisy(offset=each), n_iterations=5)
    assert correlation(volume, sirt(noisy(), n_iterations=5)) > 0.999


def test_negative_frames_can_be_allowed():
    assert np.isfinite(sirt(dark_object(), n_iterations=2, allow_negative=True)).all()


def test_engine_that_is_not_installed_names_the_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tomopy", None)
    with pytest.raises(TsgError, match="conda install -c conda-forge tomopy"):
        sirt(series_of(spots()), engine="tomopy")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_subsets": 32}, "n_subsets=32 .* 31"),
        ({"n_subsets": 0}, "n_subsets=0"),
        ({"engine": "astra"}, "sparse, torch"),
        ({"relaxation": 0.0}, "relaxation=0"),
    ],
)
def test_bad_input_of_os_sart(options, words):
    with pytest.raises(TsgError, match=words):
        os_sart(series_of(spots()), **options)
