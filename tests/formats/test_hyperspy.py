"""Series to and from HyperSpy and ETSpy, where these are installed."""

import sys

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.tilt_series import TiltSeries

EVEN, UNEVEN = [-10.0, 0, 10, 20], [-10.0, 0, 15, 20.5]


def series(tilt_deg):
    frames = np.random.default_rng(1).random((4, 6, 7), dtype=np.float32)
    return TiltSeries(frames, tilt_deg, 0.37, [True, True, True, False], {"engine": "prism"}).noted("Made.")


def check(again, first, indices=slice(None)):
    np.testing.assert_array_equal(again.frames, first.frames[indices])
    np.testing.assert_allclose(again.tilt_deg, first.tilt_deg[indices], atol=1e-9)
    np.testing.assert_array_equal(again.measured, first.measured[indices])
    assert again.pixel_size_A == first.pixel_size_A and again.metadata["engine"] == "prism"
    assert again.history[0] == "Made."


@pytest.mark.parametrize("tilt_deg", [EVEN, UNEVEN])
def test_round_trip_through_a_signal(tilt_deg, tmp_path):
    hyperspy = pytest.importorskip("hyperspy.api")
    first = series(tilt_deg)
    signal = first.to_hyperspy()
    assert signal.axes_manager[0].units == "degrees" and signal.axes_manager["x"].units == "nm"
    np.testing.assert_allclose(signal.axes_manager[0].axis, tilt_deg)
    signal.data[:] += 0  # a copy, which may be written to
    check(TiltSeries.from_hyperspy(signal), first)
    check(TiltSeries.from_hyperspy(signal.as_lazy()), first)
    check(TiltSeries.from_hyperspy(signal.inav[1:]), first, slice(1, None))
    signal.save(tmp_path / "a.hspy")
    check(TiltSeries.read(tmp_path / "a.hspy"), first)
    for suffix in (".hspy", ".zspy"):
        loaded = hyperspy.load(first.write(tmp_path / f"b{suffix}"))
        np.testing.assert_array_equal(loaded.data, first.frames)
        check(TiltSeries.from_hyperspy(loaded), first)


@pytest.mark.parametrize("tilt_deg", [EVEN, UNEVEN])
def test_round_trip_through_a_tomo_stack(tilt_deg, tmp_path):
    etspy = pytest.importorskip("etspy.io")
    first = series(tilt_deg)
    stack = first.to_hyperspy(etspy=True)
    assert type(stack).__name__ == "TomoStack" and stack.tilts.data.ravel().tolist() == tilt_deg
    check(TiltSeries.from_hyperspy(stack), first)
    check(TiltSeries.from_hyperspy(stack.inav[1:3]), first, slice(1, 3))
    stack.save(tmp_path / "a.hspy")
    check(TiltSeries.read(tmp_path / "a.hspy"), first)
    assert etspy.load(first.write(tmp_path / "b.hspy")).tilts.data.ravel().tolist() == tilt_deg


def test_signals_that_are_no_series():
    signals = pytest.importorskip("hyperspy.api").signals
    with pytest.raises(
        TsgError, match="is no tilt series: it needs one navigation axis, the tilt, and two signal axes"
    ):
        TiltSeries.from_hyperspy(signals.Signal1D(np.zeros((3, 4))))
    plain = signals.Signal2D(np.random.default_rng(0).random((3, 4, 5)))
    with pytest.raises(TsgError, match="the unit of its navigation axis is not degrees"):
        TiltSeries.from_hyperspy(plain)
    assert len(TiltSeries.from_hyperspy(plain, tilts=[0, 1, 2], pixel_size_A=1)) == 3


@pytest.mark.parametrize(("etspy", "package"), [(False, "hyperspy"), (True, "etspy")])
def test_a_package_that_is_not_installed(monkeypatch, etspy, package):
    monkeypatch.setitem(sys.modules, f"{package}.api", None)
    with pytest.raises(TsgError, match=f"pip install {package}"):
        series(EVEN).to_hyperspy(etspy=etspy)
