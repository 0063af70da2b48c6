"""SIRT: its engines beside one another, its options, and what it refuses."""

import importlib.util

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tsg_core import reconstruction
from tsg_core.errors import TsgError
from tsg_core.reconstruction import cgls, fbp, in_slabs, project, sirt
from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-90.0, 91.0, 6.0)


def spots(n_y=4, n=24, seed=0):
    """A volume of a few smooth spots, away from the edges."""
    volume = np.zeros((n_y, n, n), np.float32)
    rng = np.random.default_rng(seed)
    volume[rng.integers(n_y, size=12), *rng.integers(7, n - 7, (2, 12))] = 1
    return gaussian_filter(volume, (0, 1.5, 1.5))


def series_of(volume, tilt_deg=TILT_deg, **geometry):
    return TiltSeries(project(volume, tilt_deg=tilt_deg, **geometry), tilt_deg, 0.5)


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("engine", ["sparse", "astra", "tomopy"])
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
    matrix = reconstruction.system_matrix(tilt_deg=TILT_deg, n_x=16).toarray().astype(float)
    solution = np.linalg.lstsq(matrix, series.frames[:, 0].ravel(), rcond=None)[0]
    np.testing.assert_allclose(cgls(series, n_iterations=150).ravel(), solution, atol=2e-3 * solution.max())


@pytest.mark.parametrize("tilt_deg", [np.arange(-90.0, 91.0, 3), np.arange(-90.0, 90.0, 3), np.arange(0.0, 180.0, 3)])
def test_fbp_gives_densities_in_the_right_place(tilt_deg):
    truth = spots()
    volume = fbp(series_of(truth, tilt_deg, axis_shift_px=1.5), axis_shift_px=1.5)
    assert correlation(volume, truth) > 0.98
    assert volume.sum() == pytest.approx(truth.sum(), rel=0.1)
    assert np.polyfit(truth.ravel(), volume.ravel(), 1)[0] == pytest.approx(1, abs=0.1)


def test_angles_around_frames_sum_to_half_a_turn_but_fill_no_wedge():
    around = reconstruction._angles_around_deg
    assert around(np.arange(-90.0, 91.0)).sum() == pytest.approx(180)
    assert around(np.array([-80.0, -20.0, 15.0, 60.0])).sum() == pytest.approx(180)
    np.testing.assert_allclose(around(np.arange(-60.0, 61.0, 2))[1:-1], 2)
    assert around(np.arange(-60.0, 61.0, 2)).sum() < 125


@pytest.mark.parametrize("method", [sirt, cgls, fbp])
def test_slabs_give_the_volume_of_one_go(method, tmp_path):
    series = series_of(spots(n_y=7))
    out = np.lib.format.open_memmap(tmp_path / "volume.npy", "w+", np.float32, (7, 24, 24))
    in_slabs(series, out, n_rows=3, method=method)
    rounding = 1e-3 if method is cgls else 1e-5  # conjugacy amplifies it
    np.testing.assert_allclose(out, method(series), atol=rounding)


def test_a_volume_too_large_says_how_much_it_needs_and_what_helps(monkeypatch):
    monkeypatch.setattr(reconstruction, "_available_bytes", lambda: 1e5)
    with pytest.raises(TsgError, match="4 x 24 x 24 from 31 frames needs .* GB .*in_slabs"):
        sirt(series_of(spots()))


def bad_frames():
    frames = project(spots(), tilt_deg=TILT_deg)
    frames[3, 1, 5] = -frames.max()
    return TiltSeries(frames, TILT_deg, 0.5)


@pytest.mark.parametrize(
    ("series", "options", "words"),
    [
        (series_of(spots(), TILT_deg[:1]), {}, "two angles"),
        (bad_frames(), {}, "frame 3 .* negative"),
        (series_of(spots()), {"engine": "magic"}, "sparse, astra, tomopy"),
        (series_of(spots()), {"engine": "astra", "tolerance": 0.1}, "tolerance"),
        (series_of(spots()), {"engine": "tomopy", "non_negative": True}, "non_negative"),
        (series_of(spots()), {"n_iterations": 0}, "n_iterations=0"),
        (series_of(spots()), {"relaxation": 2.0}, "relaxation=2"),
        (series_of(spots()), {"start": np.zeros((4, 24, 23))}, r"\(4, 24, 23\)"),
    ],
)
def test_bad_input(series, options, words):
    with pytest.raises(TsgError, match=words) as raised:
        sirt(series, **options)
    assert "\n" not in str(raised.value)


def test_negative_frames_can_be_allowed():
    assert np.isfinite(sirt(bad_frames(), n_iterations=2, allow_negative=True)).all()


def test_engine_that_is_not_installed_names_the_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tomopy", None)
    with pytest.raises(TsgError, match="conda install -c conda-forge tomopy"):
        sirt(series_of(spots()), engine="tomopy")
