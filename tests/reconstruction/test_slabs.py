"""Large volumes in slabs of rows, one after another or by dask."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from phantoms import TILT_deg, series_of, spots

from tsg_core.errors import TsgError
from tsg_core.reconstruction import cgls, fbp, in_slabs, lazy_slabs, linear_system, os_em, os_sart, sirt, slabs, tv


def empty(n_y=7):
    return np.empty((n_y, 24, 24), np.float32)


@pytest.mark.parametrize("method", [sirt, os_sart, cgls, fbp, os_em])
def test_slabs_give_the_volume_of_one_go(method, tmp_path):
    series = series_of(spots(n_y=7))
    out = np.lib.format.open_memmap(tmp_path / "volume.npy", "w+", np.float32, (7, 24, 24))
    in_slabs(series, out, n_rows=3, method=method)
    rounding = 1e-3 if method is cgls else 1e-5  # conjugacy amplifies it
    np.testing.assert_allclose(out, method(series), atol=rounding)


@pytest.mark.parametrize(("method", "options"), [(tv, {"weight": 0.1, "n_iterations": 40}), (os_em, {"sigma_A": 0.5})])
def test_overlap_brings_slabs_near_the_whole_where_rows_mix(method, options):
    series = series_of(spots(n_y=12))
    whole = method(series, **options)
    error = {n: np.abs(in_slabs(series, empty(12), n_rows=4, overlap=n, method=method, **options) - whole).max()
             for n in (0, 4)}  # fmt: skip
    assert error[4] < 0.3 * error[0]


def test_a_slab_of_nothing_but_noise_is_judged_by_the_whole_series():
    series = series_of(spots(n_y=6) * np.array([1, 1, 1, 0, 0, 0])[:, None, None])
    series.frames[:, 3:] += np.random.default_rng(0).normal(0, 0.01 * series.frames.max(), series.frames[:, 3:].shape)
    whole = sirt(series, n_iterations=3)
    np.testing.assert_allclose(in_slabs(series, empty(6), n_rows=3, n_iterations=3), whole, atol=1e-6)
    offset = replace(series, frames=series.frames - 5 * series.frames.max())
    with pytest.warns(UserWarning, match="this offset was subtracted"):
        volume = in_slabs(offset, empty(6), n_rows=3, n_iterations=3)
    assert np.corrcoef(volume.ravel(), whole.ravel())[0, 1] > 0.99
    with pytest.warns(UserWarning, match="this offset was subtracted"):
        lazy = lazy_slabs(offset, n_rows=3, n_iterations=3)
    np.testing.assert_allclose(lazy.compute(), volume, atol=1e-6)


def test_memory_sets_the_rows_of_a_slab(monkeypatch):
    series = series_of(spots(n_y=7))
    taken = []

    def method(part, **options):
        taken.append(part.frames.shape[1])
        return sirt(part, n_iterations=3, **options)

    limit_GB = (
        linear_system.needed_bytes(31, 3, 24, **slabs.COPIES[tv]) / 1e9
    )  # an unknown method counts as the largest
    out = in_slabs(series, empty(), memory_GB=limit_GB, method=method)
    assert taken == [3, 3, 1]
    np.testing.assert_allclose(out, sirt(series, n_iterations=3), atol=1e-6)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_dask_makes_the_same_volume_slab_by_slab(scheduler):
    series = series_of(spots(n_y=7))
    lazy = lazy_slabs(series, n_rows=3, overlap=1, n_iterations=5)
    assert lazy.chunks == ((3, 3, 1), (24,), (24,)) and lazy.dtype == np.float32
    np.testing.assert_allclose(lazy.compute(scheduler=scheduler), sirt(series, n_iterations=5), atol=1e-6)


def test_dask_sends_slabs_to_a_cluster():
    distributed = pytest.importorskip("distributed")
    series = series_of(spots(n_y=5))
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None):
        volume = lazy_slabs(series, n_rows=2, n_iterations=3).compute()
    np.testing.assert_allclose(volume, sirt(series, n_iterations=3), atol=1e-6)


def test_dask_computes_only_the_slabs_that_are_asked_for():
    computed = []

    def method(part, **options):
        computed.append(part.frames.shape)
        return np.zeros((3, 24, 24), np.float32)

    lazy_slabs(series_of(spots(n_y=6)), n_rows=3, method=method)[:2].compute(scheduler="synchronous")
    assert computed == [(len(TILT_deg), 3, 24)]


def test_a_volume_too_large_says_how_much_it_needs_and_what_helps(monkeypatch):
    monkeypatch.setattr(linear_system.psutil, "virtual_memory", lambda: SimpleNamespace(available=1e5))
    for method in (sirt, os_sart, cgls, fbp, partial(tv, weight=0.1), os_em):
        with pytest.raises(TsgError, match="4 x 24 x 24 from 31 frames needs .* GB .*in_slabs"):
            method(series_of(spots()))


@pytest.mark.parametrize(
    ("out", "options", "words"),
    [
        (empty(3), {"n_rows": 2}, r"\(3, 24, 24\)"),
        (empty(), {"n_rows": 0}, "n_rows=0"),
        (empty(), {"n_rows": 2, "overlap": -1}, "overlap=-1"),
        (empty(), {}, "n_rows or memory_GB"),
        (empty(), {"n_rows": 2, "memory_GB": 1.0}, "n_rows or memory_GB"),
        (empty(), {"memory_GB": 1e-6}, "memory_GB=1e-06 is too little: a slab of one row takes"),
    ],
)
def test_bad_input(out, options, words):
    with pytest.raises(TsgError, match=words):
        in_slabs(series_of(spots(n_y=7)), out, **options)
