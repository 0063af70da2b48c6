"""What is recorded returns from every format: angles, order, signs, pixel size, orientation and numbers, exactly."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from microscope_files import write_dm, write_velox

from tsg_core.formats import read_series
from tsg_core.tilt_series import TiltSeries

SETTINGS = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
DTYPES = {
    "tif": ["u1", "i2", "u2", "f4"],
    "imagej": ["u1", "u2", "f4"],
    "dm3": ["i2", "u2", "f4"],
    "dm4": ["i2", "u2", "f4"],
    "velox": ["i2", "u2", "f4"],
    "berkeley": ["u1", "i2", "u2", "f4"],
    "npy": ["u1", "i2", "u2", "f4", ">u2", ">i2"],
}


@st.composite
def recordings(draw, dtypes):
    """Frames (n, n_y, n_x) of one of the types, in the order of recording, their angles, and the pixel size in A."""
    n = draw(st.integers(3, 8))
    first, step = draw(st.integers(-75, 0)), draw(st.integers(1, 9))
    angles = (first + step * np.arange(n)).astype(float)
    assume(np.ptp(angles) > 3.2)  # a shorter range would look like radians
    order = draw(st.permutations(range(n)))
    numbers = np.random.default_rng(draw(st.integers(0, 999))).integers(0, 120, (n, 8, 6))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    numbers -= draw(st.sampled_from([0, 100])) if dtype.kind in "if" else 0
    return numbers.astype(dtype), angles[list(order)], draw(st.integers(1, 400)) / 8


def check(path: Path, frames: np.ndarray, tilt_deg: np.ndarray, size_A: float, **options) -> None:
    series = read_series(path, **options)
    np.testing.assert_allclose(series.tilt_deg, np.sort(tilt_deg), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(series.frames, frames[np.argsort(tilt_deg)].astype(np.float32))
    assert series.pixel_size_A == pytest.approx(size_A, rel=1e-5)


def new(folder: Path, suffix: str) -> Path:
    """A name that no file has had: HDF5 keeps files open while their frames may be asked for."""
    return folder / f"{len(list(folder.iterdir()))}{suffix}"


def beside(path: Path, tilt_deg: np.ndarray) -> None:
    path.with_suffix(".rawtlt").write_text("".join(f"{angle}\n" for angle in tilt_deg.tolist()))


@SETTINGS
@given(
    recording=recordings(DTYPES["tif"]), byteorder=st.sampled_from("<>"), compression=st.sampled_from([None, "zlib"])
)
def test_tiff(tmp_path, recording, byteorder, compression):
    frames, tilt_deg, size_A = recording
    path = tmp_path / "a.tif"
    resolution = (1e8 / size_A, 1e8 / size_A)
    tifffile.imwrite(
        path, frames, byteorder=byteorder, compression=compression, photometric="minisblack", resolution=resolution,
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    beside(path, tilt_deg)
    check(path, frames, tilt_deg, size_A)


@SETTINGS
@given(recording=recordings(DTYPES["imagej"]), unit=st.sampled_from(["nm", "A", "um", "\\u00B5m"]))
def test_imagej(tmp_path, recording, unit):
    frames, tilt_deg, size_A = recording
    length = {"nm": 10, "A": 1}.get(unit, 1e4)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, imagej=True, resolution=(length / size_A,) * 2, metadata={"unit": unit})
    beside(path, tilt_deg)
    check(path, frames, tilt_deg, size_A)


@SETTINGS
@given(
    recording=recordings(DTYPES["dm3"]), suffix=st.sampled_from([".dm3", ".dm4"]), unit=st.sampled_from(["nm", "µm"])
)
def test_digital_micrograph(tmp_path, recording, suffix, unit):
    frames, tilt_deg, size_A = recording
    frames, tilt_deg = frames[np.argsort(tilt_deg)], np.sort(tilt_deg)  # an axis is even
    step_deg = tilt_deg[1] - tilt_deg[0]
    scale = size_A / {"nm": 10, "µm": 1e4}[unit]
    axes = [(0.0, scale, unit), (0.0, scale, unit), (-tilt_deg[0] / step_deg, step_deg, "deg")]
    check(write_dm(tmp_path / f"a{suffix}", frames, axes=axes), frames, tilt_deg, size_A)
    for number in (0, 1):
        path = write_dm(tmp_path / f"b{suffix}", frames, frames[:, ::-1], axes=axes)
        check(path, frames[:, :: 1 - 2 * number], tilt_deg, size_A, image=number)


@SETTINGS
@given(recording=recordings(DTYPES["velox"]))
def test_velox(tmp_path, recording):
    frames, tilt_deg, size_A = recording
    path = write_velox(new(tmp_path, ".emd"), {"HAADF": frames}, tilt_deg=tilt_deg, pixel_size_m=size_A * 1e-10)
    check(path, frames, tilt_deg, size_A)


@SETTINGS
@given(recording=recordings(DTYPES["berkeley"]), is_tilt_last=st.booleans(), unit=st.sampled_from(["[deg]", "[rad]"]))
def test_berkeley(tmp_path, recording, is_tilt_last, unit):
    frames, tilt_deg, size_A = recording
    angles = np.radians(tilt_deg) if unit == "[rad]" else tilt_deg
    path = new(tmp_path, ".emd")
    with h5py.File(path, "w") as file:
        group = file.create_group("data/stack")
        group.attrs["emd_group_type"] = 1
        dims = [(angles, unit), *((np.arange(n) * size_A / 10, "[n_m]") for n in frames.shape[1:])]
        group["data"] = frames.transpose() if is_tilt_last else frames
        for i, (values, of) in enumerate(dims[::-1] if is_tilt_last else dims, start=1):
            group[f"dim{i}"] = values
            group[f"dim{i}"].attrs.update(name="angles" if of == unit else "xy"[i % 2], units=of)
        file.attrs.update(version_major=0, version_minor=2)
    check(path, frames, tilt_deg, size_A)


@SETTINGS
@given(recording=recordings(DTYPES["npy"]))
def test_numpy(tmp_path, recording):
    frames, tilt_deg, size_A = recording
    np.save(tmp_path / "a.npy", frames)
    beside(tmp_path / "a.npy", tilt_deg)
    check(tmp_path / "a.npy", frames, tilt_deg, size_A, pixel_size_A=size_A)


@SETTINGS
@given(
    recording=recordings(["f4", "i2", "u2"]),
    suffix=st.sampled_from([".mrc", ".st", ".tif", ".npz", ".zarr", ".hspy", ".zspy", ".emd"]),
)
def test_written_series(tmp_path_factory, recording, suffix):
    frames, tilt_deg, size_A = recording
    series = TiltSeries(frames[np.argsort(tilt_deg)], np.sort(tilt_deg) * 1.001, size_A)
    check(series.write(tmp_path_factory.mktemp("own") / f"a{suffix}"), frames, tilt_deg * 1.001, size_A)
