"""Real recordings, which the package etspy brings along: read alike in every format, and written so that it reads them.

They are a needle (MRC of FEI, the same as .ali, aligned as .hspy), another series in .dm3, a series of single .dm3
files, and stacks of SerialEM. `pip install etspy==1.3.0` makes these tests run.
"""

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.formats import read_series
from tsg_core.tilt_series import TiltSeries

FOUND = find_spec("etspy")
pytestmark = pytest.mark.skipif(FOUND is None, reason="etspy is not installed")
RECORDED = Path(FOUND.submodule_search_locations[0]) / "tests" / "test_data" if FOUND else Path()
SERIES = {"HAADF.mrc": 33.6, "HAADF.ali": 33.6, "HAADF.dm3": None, "HAADF_Aligned.hspy": 33.6}


def loaded(path):
    """As etspy reads it: frames, angles, pixel size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import etspy.api as etspy

        stack = etspy.load(path)
    scale = stack.axes_manager.signal_axes[0]
    return stack.data, np.ravel(stack.tilts.data), scale.scale * {"nm": 10, "A": 1, "Å": 1, "µm": 1e4}[scale.units]


@pytest.mark.parametrize("name, pixel_size_A", SERIES.items())
def test_read_as_etspy_reads_them(name, pixel_size_A):
    series = read_series(RECORDED / name)
    frames, tilt_deg, scale_A = loaded(RECORDED / name)
    offset = min(series.frames.min(), 0)  # which etspy takes off
    np.testing.assert_array_equal(series.frames - offset, frames.astype(np.float32))
    np.testing.assert_allclose(series.tilt_deg, tilt_deg, atol=1e-4)
    assert series.pixel_size_A == pytest.approx(pixel_size_A or scale_A, rel=1e-6)
    assert set(series.metadata["sources"]) == {"angles", "pixel_size", "intensity", "axis"}


def test_the_needle_is_the_same_in_three_formats():
    first, again, aligned = (read_series(RECORDED / name) for name in ("HAADF.mrc", "HAADF.ali", "HAADF_Aligned.hspy"))
    np.testing.assert_array_equal(first.frames, again.frames)
    for other in (again, aligned):
        np.testing.assert_array_equal(other.tilt_deg, first.tilt_deg)
        assert other.pixel_size_A == pytest.approx(first.pixel_size_A, rel=1e-6)
    raw, moved = (frames - frames.min() for frames in (first.frames[38], aligned.frames[38]))
    spectra = np.fft.rfft2(raw - raw.mean()), np.fft.rfft2(moved - moved.mean())
    peak = np.fft.irfft2(spectra[0].conj() * spectra[1]).max() / (raw.std() * moved.std() * raw.size)
    assert peak > 0.9  # alike but for a shift: neither mirrored nor turned


def test_the_needle_says_where_everything_stands():
    series = read_series(RECORDED / "HAADF.mrc")
    assert series.metadata["sources"]["angles"] == "the extended header of HAADF.mrc"
    assert series.metadata["sources"]["pixel_size"] == "the extended header"
    assert "read as" not in " ".join(series.history) and series.frames.min() == -31908


def test_a_file_of_angles_for_another_stack_is_told():
    history = " ".join(read_series(RECORDED / "HAADF.dm3").history)
    assert "HAADF.rawtlt was not used: 77 tilt angles for 91 frames." in history


def test_single_frames_of_digital_micrograph():
    series = read_series(RECORDED / "DM_Series_Test")
    np.testing.assert_allclose(series.tilt_deg, [-72, -69, -66], atol=0.01)
    assert series.pixel_size_A == pytest.approx(191.087, rel=1e-5)


def test_exposures_of_serialem_at_one_angle_are_no_tilt_series():
    path = RECORDED / "SerialEM_MultiTilt_Test" / "test_000.mrc"
    with pytest.raises(TsgError, match="0 deg for every frame and .*-0.000488 deg for every frame; name a file"):
        read_series(path)
    series = read_series(path, tilts=[0, 3])
    assert series.pixel_size_A == 7.88 and series.frames.min() == 2310 and series.frames.max() == 10435
    assert "states a tilt axis at -90 deg from the vertical" in " ".join(series.history)


@pytest.mark.parametrize("suffix", [".mrc", ".ali", ".hspy"])
def test_etspy_reads_what_is_written(tmp_path, suffix):
    needle = read_series(RECORDED / "HAADF.mrc").subset(slice(10, 60, 3))
    series = TiltSeries(needle.frames[:, ::2, ::4] + 40000, needle.tilt_deg, 67.2)
    frames, tilt_deg, scale_A = loaded(series.write(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(frames, series.frames)
    np.testing.assert_allclose(tilt_deg, series.tilt_deg, atol=0.005)
    assert scale_A == pytest.approx(67.2, rel=1e-6)
