"""Integers with or without a sign, and numbers that stand for others: what is read is what was recorded."""

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from microscope_files import write_dm, write_mrc

from tsg_core.formats import read_series, read_volume, write_series
from tsg_core.tilt_series import TiltSeries

ANGLES = [-20.0, -10, 0, 10, 20]
DISK = [(0.0, 0.5, "nm"), (0.0, 0.5, "nm"), (2.0, 10.0, "deg")]  # x, y and tilt of Digital Micrograph, -20 to 20 deg


def recorded(vacuum: float, peak: float, noise: float, *, seed: int = 0, radius: int = 15) -> np.ndarray:
    """Whole numbers (5, 48, 48): a ball that moves over a vacuum, with noise."""
    y, x = np.mgrid[:48, :48] - 24.0
    balls = [np.sqrt(np.clip(1 - ((x - shift) ** 2 + y**2) / radius**2, 0, None)) for shift in (-4, -2, 0, 2, 4)]
    counts = vacuum + (peak - vacuum) * np.array(balls)
    return (counts + np.random.default_rng(seed).normal(0, noise, counts.shape)).round()


def read(path, truth, **options):
    """The series, whose numbers are exactly those recorded."""
    series = read_series(path, tilts=ANGLES, pixel_size_A=2, **options)
    np.testing.assert_array_equal(series.frames, truth.astype(np.float32))
    return series


UNSIGNED = recorded(600, 59000, 150).clip(0, 65535)
SIGNED = recorded(0, 9000, 60)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("stated", ["right", "absent", "of the wrong reading", "stale"])
@pytest.mark.parametrize("truth, true_kind", [(UNSIGNED, "u"), (SIGNED, "i")])
@pytest.mark.parametrize("stored_kind", "iu")
def test_sixteen_bits_in_either_type(tmp_path, order, stated, truth, true_kind, stored_kind):
    numbers = truth.astype(f"{true_kind}2")
    stored = numbers.view(f"{stored_kind}2")
    limits = {
        "right": (truth.min(), truth.max()),
        "absent": (0, -1),
        "of the wrong reading": (stored.min(), stored.max()),
        "stale": (17, 4711),
    }[stated]
    series = read(write_mrc(tmp_path / "a.mrc", stored, order=order, stated=limits), truth)
    told = [sentence for sentence in series.history if sentence.startswith(f"Integers of {stored.dtype} were read")]
    assert len(told) == (true_kind != stored_kind)
    how = "as they are stored" if true_kind == stored_kind else f"read as {numbers.dtype}"
    assert series.metadata["sources"]["intensity"].startswith(f"integers of {stored.dtype}, {how}: ")


def test_the_remark_says_what_decided(tmp_path):
    stored = UNSIGNED.astype(np.uint16).view(np.int16)
    history = read(write_mrc(tmp_path / "a.mrc", stored, stated=(0, 60000)), UNSIGNED).history
    assert (
        "Integers of int16 were read as uint16: " in history[1] and "go on smoothly from 32767 to 32768" in history[1]
    )
    history = read(write_mrc(tmp_path / "a.mrc", stored, stated=(stored.min(), stored.max())), UNSIGNED).history
    assert ", although the header states numbers from -" in history[1]
    flat = np.where(UNSIGNED > 30000, 60000, 0)  # two numbers alone, of which the pixels cannot tell
    history = read(
        write_mrc(tmp_path / "b.mrc", flat.astype(np.uint16).view(np.int16), stated=(0, 60000)), flat
    ).history
    assert history[1] == "Integers of int16 were read as uint16: the header states numbers from 0 to 60000."


def test_pixels_go_before_a_header_that_contradicts_them(tmp_path):
    history = read(write_mrc(tmp_path / "a.mrc", SIGNED.astype(np.int16), stated=(0, 65535)), SIGNED).history
    assert history[1].startswith("Integers were read as int16: ") and history[1].endswith(
        ", although the header states numbers from 0 to 65535."
    )


def test_a_large_negative_offset_keeps_its_sign(tmp_path):
    for peak in (400, 61000):  # as FEI's software stores counts, less 32768
        truth = recorded(60, peak, 7).clip(0, 65535) - 32768
        read(write_mrc(tmp_path / f"{peak}.mrc", truth.astype(np.int16), stated=(truth.min(), truth.max())), truth)
        read(write_mrc(tmp_path / f"{peak}.mrc", truth.astype(np.int16)), truth)


def test_saturated_pixels_beside_the_vacuum_are_no_negative_numbers(tmp_path):
    truth = recorded(5, 900, 3).clip(0, 65535)
    truth[:, ::7, ::5] = 65535
    read(write_mrc(tmp_path / "a.mrc", truth.astype(np.uint16)), truth)


@pytest.mark.parametrize("flag", [None, 0, 1])
@pytest.mark.parametrize("truth, kind", [(recorded(12, 240, 3).clip(0, 255), "u"), (recorded(0, 110, 4), "i")])
def test_bytes_whatever_the_flag_says(tmp_path, flag, truth, kind):
    stored = truth.astype(f"{kind}1").view(np.int8)
    history = read(write_mrc(tmp_path / "a.mrc", stored, imod_flags=flag), truth).history
    assert any("although IMOD's flag" in told for told in history) == (
        flag is not None and (flag == 1) != (kind == "i")
    )


@pytest.mark.parametrize("flag, value", [(0, 200), (1, -56)])
def test_bytes_of_which_only_the_flag_tells(tmp_path, flag, value):
    stored = np.full((5, 8, 8), 200, np.uint8).view(np.int8)
    series = read(write_mrc(tmp_path / "a.mrc", stored, imod_flags=flag), np.full((5, 8, 8), value))
    assert "IMOD's flag says that bytes are" in series.metadata["sources"]["intensity"]


def test_the_flag_goes_before_the_limits_of_the_header(tmp_path):
    stored = np.where(np.arange(320).reshape(5, 8, 8) % 2, 200, 3).astype(np.uint8).view(np.int8)
    history = read(write_mrc(tmp_path / "a.mrc", stored, imod_flags=0, stated=(-56, 3)), stored.view(np.uint8)).history
    assert "IMOD's flag says that bytes are unsigned, although the header states numbers from -56 to 3" in history[1]


def test_bytes_of_which_only_the_header_tells(tmp_path):
    stored = np.where(np.arange(320).reshape(5, 8, 8) % 2, 200, 3).astype(np.uint8)
    read(write_mrc(tmp_path / "a.mrc", stored.view(np.int8), stated=(3, 200)), stored)
    read(write_mrc(tmp_path / "b.mrc", stored.view(np.int8), stated=(-56, 3)), stored.view(np.int8))


@pytest.mark.parametrize("version, dtype", [(0, np.uint8), (20140, np.int8), (20141, np.int8)])
def test_bytes_of_which_nothing_tells_are_those_of_the_version(tmp_path, version, dtype):
    stored = np.where(np.arange(320).reshape(5, 8, 8) % 2, 200, 3).astype(np.uint8).view(np.int8)
    read(write_mrc(tmp_path / "a.mrc", stored, version=version), stored.view(dtype))


def test_other_formats_and_volumes_are_read_alike(tmp_path):
    stored = UNSIGNED.astype(np.uint16).view(np.int16)
    np.save(tmp_path / "a.npy", stored)
    read(tmp_path / "a.npy", UNSIGNED)
    tifffile.imwrite(tmp_path / "a.tif", SIGNED.astype(np.int16).view(np.uint16), photometric="minisblack")
    read(tmp_path / "a.tif", SIGNED)
    for i, frame in enumerate(stored):
        write_mrc(tmp_path / f"f_{ANGLES[i]:+.1f}deg.mrc", frame[None])
    series = read_series(tmp_path / "f_*.mrc")
    np.testing.assert_array_equal(series.frames, UNSIGNED)
    volume, _ = read_volume(write_mrc(tmp_path / "v.mrc", stored))
    np.testing.assert_array_equal(volume, UNSIGNED.transpose(1, 0, 2))


def test_own_files_are_never_reinterpreted(tmp_path):
    series = TiltSeries(UNSIGNED.astype(np.uint16).view(np.int16), ANGLES, 2)
    for suffix in (".npz", ".mrc", ".tif", ".hspy"):
        path = write_series(series, tmp_path / f"own{suffix[1:]}{suffix}")
        np.testing.assert_array_equal(read_series(path).frames, series.frames)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    vacuum=st.integers(0, 3000),
    peak=st.integers(4000, 65000),
    noise=st.integers(1, 200),
    offset=st.sampled_from(["none", "of the vacuum", "of FEI"]),
    as_unsigned=st.booleans(),
    seed=st.integers(0, 99),
)
def test_whatever_is_recorded_returns(tmp_path, vacuum, peak, noise, offset, as_unsigned, seed):
    """With the limits in the header; without them but for 65536, where numbers lie in one half and nothing tells."""
    limits = (0, 65535) if offset == "none" else (-32768, 32767)
    offset = {"none": 0, "of the vacuum": vacuum, "of FEI": 32768}[offset]
    truth = (recorded(vacuum, peak, noise, seed=seed) - offset).clip(*limits)
    stored = truth.astype(np.int64).astype(np.uint16).view(np.uint16 if as_unsigned else np.int16)
    series = read_series(
        write_mrc(tmp_path / "a.mrc", stored, stated=(truth.min(), truth.max())), tilts=ANGLES, pixel_size_A=2
    )
    np.testing.assert_array_equal(series.frames, truth)
    bare = read_series(write_mrc(tmp_path / "b.mrc", stored), tilts=ANGLES, pixel_size_A=2)
    apart = np.unique(bare.frames - truth.astype(np.float32))
    assert len(apart) == 1 and apart[0] in (0, -65536, 65536)


def test_calibrations_of_imagej(tmp_path):
    raw = (SIGNED + 32768).astype(np.uint16)  # ImageJ keeps numbers with a sign so
    tifffile.imwrite(tmp_path / "a.tif", raw, imagej=True, metadata={"cf": 0, "c0": -32768.0, "c1": 1.0})
    history = read(tmp_path / "a.tif", SIGNED).history
    assert "Numbers n of uint16 were read as n - 32768, as the calibration of ImageJ says." in history
    tifffile.imwrite(tmp_path / "b.tif", raw, imagej=True, metadata={"cf": 0, "c0": -100.0, "c1": 0.5})
    read(tmp_path / "b.tif", raw * 0.5 - 100)
    tifffile.imwrite(tmp_path / "c.tif", raw, imagej=True, metadata={"cf": 3, "c0": -100.0, "c1": 0.5})
    assert "no straight line; it was passed over" in " ".join(read(tmp_path / "c.tif", raw).history)


@pytest.mark.parametrize("dtype, brightest", [(np.uint8, 255), (np.uint16, 65535)])
def test_limits_in_tags_of_tiff(tmp_path, dtype, brightest):
    flat = np.where(UNSIGNED > 30000, brightest - 9, 0).astype(dtype)  # of which the pixels do not tell
    tags = [(280, 4, 1, 0, True), (281, 4, 1, brightest, True)]
    stored = flat.view(flat.dtype.str.replace("u", "i"))
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", extratags=tags)
    assert f"the header states numbers from 0 to {brightest}" in read(tmp_path / "a.tif", flat).history[1]


@pytest.mark.parametrize("dtype, brightest", [(np.uint8, 255), (np.uint16, 65535)])
def test_zero_that_is_white(tmp_path, dtype, brightest):
    truth = recorded(10, 200, 2).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", brightest - truth, photometric="miniswhite")
    history = read(tmp_path / "a.tif", truth).history
    assert f"were read as -n + {brightest}, as the tag that zero is white says." in " ".join(history)


@pytest.mark.parametrize("suffix", [".dm3", ".dm4"])
def test_calibrations_of_digital_micrograph(tmp_path, suffix):
    raw = recorded(700, 9000, 20).astype(np.uint16)
    path = write_dm(tmp_path / f"a{suffix}", raw, axes=DISK, brightness=(500.0, 1.0))
    assert "n - 500, as the calibration of Digital Micrograph says." in read(path, raw - 500.0).history[1]
    read(write_dm(tmp_path / f"b{suffix}", raw, axes=DISK, brightness=(-500.0, 0.5)), raw * 0.5 + 250)
    path = write_dm(tmp_path / f"c{suffix}", raw, axes=DISK, brightness=(0.0, 256.0))
    assert "as they are stored; Digital Micrograph shows them times 256" in read(path, raw).history[1]
    assert read_series(path).tilt_deg.tolist() == ANGLES
