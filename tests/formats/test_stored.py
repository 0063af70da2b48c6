"""Series that stay in their files: what is read and rounded, and reports on bad frames; inputs stay unchanged."""

import asyncio
import hashlib
import pickle
import time

import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from microscope_files import write_dm, write_velox
from zarr.core import sync as zarr_sync

from tsg_core.errors import TsgError
from tsg_core.formats import frames as frames_module
from tsg_core.formats import open_series, read_series
from tsg_core.formats.frames import ArrayFrames, RawFrames
from tsg_core.geometry import binned_frames
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.files import replaced_when_whole

FRAMES = np.random.default_rng(0).integers(0, 4000, (5, 6, 9)).astype(np.uint16)
ANGLES = np.array([10.0, -20, 0, 30, -5])
SORTED = FRAMES[np.argsort(ANGLES)]


def saved(tmp_path, frames):
    np.save(tmp_path / "a.npy", frames)
    return open_series(tmp_path / "a.npy", tilts=ANGLES[: len(frames)], pixel_size_A=2)


def test_angles_and_size_are_known_before_a_frame_is_read(tmp_path, monkeypatch):
    stored = saved(tmp_path, FRAMES)
    assert stored.tilt_deg.tolist() == sorted(ANGLES) and stored.pixel_size_A == 2 and len(stored) == 5
    assert stored.shape == (5, 6, 9) and stored.dtype == np.uint16 and stored.nbytes == 4 * FRAMES.size
    read, original = [], RawFrames.read
    monkeypatch.setattr(RawFrames, "read", lambda self, i, rows: read.append(i) or original(self, i, rows))
    assert read == []
    np.testing.assert_array_equal(stored.load(indices=[0, 3]).frames, SORTED[[0, 3]])
    assert read == [0, 1]  # those frames alone, in the order in which they lie in the file
    np.testing.assert_array_equal(stored.load().frames, SORTED)


def test_parts_and_bins(tmp_path):
    stored = saved(tmp_path, FRAMES)
    part = stored.load(indices=stored.tilt_deg > -6, rows=slice(1, 5), binning=2)
    expected = SORTED[1:, 1:5, :8].reshape(4, 2, 2, 4, 2).mean((2, 4))
    np.testing.assert_allclose(part.frames, expected)
    assert part.pixel_size_A == 4 and part.tilt_deg.tolist() == [-5, 0, 10, 30]
    assert part.history[-3:] == (
        "4 of 5 frames were read.",
        "Rows 1 to 4 of 6 were read.",
        "Binned by 2 to pixels of 4 A.",
    )
    assert len(stored.load().history) == 3  # what was read, the given pixel size, the order
    for options in ({"binning": 0}, {"binning": 7}, {"rows": slice(3, 3)}, {"indices": []}, {"binning": 1.5}):
        with pytest.raises(TsgError):
            stored.load(**options)


def test_a_series_that_is_looked_through_takes_the_place_of_one_in_memory(tmp_path):
    def less(frame, i):
        return frame - frame.min() - i

    frames = FRAMES.copy()
    frames[1] = 7
    stored = saved(tmp_path, frames).looked_through()
    series = saved(tmp_path, frames).load()
    assert stored.history == series.history and "is constant (7)" in series.history[-1]
    lazy = stored.changed(less, "Less.", since={"intensity": "less"})
    changed = series.changed(less, "Less.", since={"intensity": "less"})
    assert dict(lazy.metadata) == dict(changed.metadata)
    np.testing.assert_array_equal(np.stack(list(lazy.frames)), changed.frames)
    assert lazy.frames.min() == changed.frames.min() and lazy.frames.shape == changed.frames.shape
    binned = lazy.binned(2)
    assert binned.shape == (5, 3, 4) and binned.pixel_size_A == 4
    np.testing.assert_array_equal(binned.only_rows(slice(1, 3)).frames, binned_frames(changed.frames, 2)[:, 1:])
    np.testing.assert_array_equal(lazy.only_rows(slice(1, 3)).frames, changed.only_rows(slice(1, 3)).frames)
    frames = frames.astype(float)
    frames[2, 3, 4] = np.nan
    with pytest.raises(TsgError, match="a.npy: frame 2 .tilt 0 deg. holds values that are not finite"):
        saved(tmp_path, frames).looked_through()


def test_rows_of_a_large_chunk_are_decoded_alone(tmp_path, monkeypatch):
    array = zarr.create_array(tmp_path / "a.zarr", data=FRAMES, chunks=(5, 2, 9))
    frames, decoded = ArrayFrames(array, step=5), []
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda self, key: decoded.append(key) or FRAMES[key])
    for i in range(5):
        np.testing.assert_array_equal(frames.read(i, slice(2, 4)), FRAMES[i, 2:4])
    assert len(decoded) == 1
    monkeypatch.setattr(frames_module, "DECODED_BYTES", 2 * FRAMES[0].nbytes)
    for i in range(5):
        np.testing.assert_array_equal(frames.read(i), FRAMES[i])
    assert [key[0] for key in decoded[1:]] == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert pickle.loads(pickle.dumps(frames))._decoded == {}


@pytest.mark.parametrize("suffix", [".npz", ".zarr", ".mrc", ".tif", ".hspy", ".zspy", ".emd"])
def test_every_format_reads_parts(tmp_path, suffix):
    series = TiltSeries(SORTED, np.sort(ANGLES), 2, [True, False, True, True, True])
    stored = open_series(series.write(tmp_path / f"a{suffix}"))
    part = stored.load(indices=[1, 2], rows=slice(2, 4))
    np.testing.assert_array_equal(part.frames, SORTED[1:3, 2:4])
    assert part.measured.tolist() == [False, True] and stored.measured.tolist() == series.measured.tolist()


def test_integers_beyond_float32_are_rounded_and_that_is_told(tmp_path):
    frames = np.full((2, 3, 3), 2**24 + 1, np.int32)
    frames[:, 0] = 5
    series = saved(tmp_path, frames).load()
    assert series.frames.max() == 2**24 and series.metadata["source_dtype"] == "int32"
    assert "Numbers of int32 were rounded to float32, by one part in 2^24 at most." in series.history
    assert not any("rounded" in sentence for sentence in saved(tmp_path, frames // 2).load().history)
    assert not any("rounded" in sentence for sentence in saved(tmp_path, FRAMES).load().history)
    assert any("Numbers of float64 were" in sentence for sentence in saved(tmp_path, FRAMES / 3).load().history)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.full((2, 3, 3), 1e39), "the frame at 10 deg holds 1e.39, more than float32 can"),
        (np.full((2, 3, 3), np.nan), "frame 0 .tilt -20 deg. holds values that are not finite"),
        (np.full((2, 3, 3), np.inf), "not finite"),
        (np.ones((2, 3, 3), complex), "numbers of the kind complex128"),
        (np.ones((2, 3, 3, 3, 1)), r"an array of shape \(2, 3, 3, 3, 1\)"),
        (np.ones((0, 3, 3)), r"an array of shape \(0, 3, 3\)"),
    ],
)
def test_frames_that_no_series_can_have(tmp_path, frames, words):
    with pytest.raises(TsgError, match=words) as error:
        saved(tmp_path, frames).load()
    assert "a.npy" in str(error.value)


def test_constant_and_saturated_frames_are_told_not_refused(tmp_path):
    frames = FRAMES.copy()
    frames[1] = 7
    frames[0, :, :2] = 4095  # of a camera with 12 bits
    frames[3, 2, 2] = 65535  # one hot pixel
    frames[4, 2:, :] = 65535
    said = [sentence for sentence in saved(tmp_path, frames).load().history if sentence.startswith("Frame")]
    assert said == [
        "Frame 0 (tilt -20 deg) is constant (7); leave it out if it harms.",
        "Frame 1 (tilt -5 deg) is saturated: 66.7 % of its pixels stand at 65535; leave it out if it harms.",
        "Frame 3 (tilt 10 deg) is saturated: 22.2 % of its pixels stand at 4095; leave it out if it harms.",
    ]
    again = read_series(saved(tmp_path, frames).load().write(tmp_path / "b.npz"))
    assert [sentence for sentence in again.history if sentence.startswith("Frame")] == said  # said once


def test_two_exposures_at_one_stand_of_the_stage(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    with pytest.raises(
        TsgError,
        match="the tilt angle 10 deg more than once, at frames 1 and 2 of the file; leave out all but one .--exclude 2",
    ):
        read_series(tmp_path / "a.npy", tilts=[0, 10, 10.0007, 20, 30], pixel_size_A=1)
    series = read_series(tmp_path / "a.npy", tilts=[30, 10, 10.0007, 20, 0], pixel_size_A=1, exclude=[2])
    np.testing.assert_array_equal(series.frames, FRAMES[[4, 1, 3, 0]])
    assert series.history[-2:] == (
        "Frames 2 of the file, at 10.0007 deg, were left out.",
        "The frames were sorted by angle.",
    )
    for exclude, words in (([5], "has the frames 0 to 4; 5 cannot be left out"), (range(5), "0 frames of 6 x 9")):
        with pytest.raises(TsgError, match=words):
            read_series(tmp_path / "a.npy", tilts=[30, 10, 10.0007, 20, 0], pixel_size_A=1, exclude=exclude)
    series = TiltSeries(FRAMES, [0, 10, 10.0007, 20, 30], 1)  # what was written must return
    assert read_series(series.write(tmp_path / "b.npz")).tilt_deg[2] == 10.0007
    assert read_series(tmp_path / "b.npz", exclude=[1]).history == ("Frames 1 of the file, at 10 deg, were left out.",)


def test_a_file_that_shrinks_after_it_was_opened(tmp_path):
    stored = saved(tmp_path, FRAMES)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:300])
    with pytest.raises(TsgError, match="a.npy is truncated"):
        stored.load()


def test_no_input_is_ever_touched(tmp_path):
    series = TiltSeries(SORTED, np.sort(ANGLES), 2)
    paths = [series.write(tmp_path / f"{x}.{x}") for x in ("npz", "zarr", "mrc", "tif", "hspy", "zspy")]
    nm = (0.0, 0.2, "nm")
    paths += [write_dm(tmp_path / f"a.{x}", FRAMES, axes=[nm, nm, (10.0, 2.0, "deg")]) for x in ("dm3", "dm4")]
    paths += [write_velox(tmp_path / "a.emd", {"HAADF": FRAMES}, tilt_deg=ANGLES, pixel_size_m=2e-10)]
    paths += [tmp_path / "frames"]
    paths[-1].mkdir()
    for i, frame in enumerate(FRAMES):
        tifffile.imwrite(paths[-1] / f"_{ANGLES[i]:.1f}.tif", frame, resolution=(5e7, 5e7), resolutionunit=3)

    def state():
        files = sorted(file for file in tmp_path.rglob("*") if file.is_file())
        return [(file, file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).digest()) for file in files]

    before = state()
    for path in paths:
        assert len(read_series(path)) == 5
    assert state() == before


@pytest.mark.parametrize("suffix", [".npz", ".zarr", ".mrc", ".tif", ".hspy", ".zspy", ".emd"])
def test_a_folder_that_refuses_to_be_written(tmp_path, suffix, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(TsgError, match=f"a{suffix} cannot be written: Permission denied"):
        TiltSeries(FRAMES, np.sort(ANGLES), 1).write(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_what_zarr_writes_after_an_error_is_removed_too(tmp_path):
    """Its tasks go on in the background when one of them has failed."""

    async def late():
        await asyncio.to_thread(time.sleep, 0.2)
        partial.mkdir()

    refused = PermissionError(13, "Permission denied")
    with pytest.raises(TsgError, match="Permission denied"), replaced_when_whole(tmp_path / "a.zarr") as (partial,):
        asyncio.run_coroutine_threadsafe(late(), zarr_sync._get_loop())
        raise refused
    time.sleep(0.4)
    assert list(tmp_path.iterdir()) == []


def test_hspy_asks_for_room_before_it_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(TsgError, match="No space left on device; free some space"):
        TiltSeries(FRAMES, np.sort(ANGLES), 1).write(tmp_path / "a.hspy")


def test_memory_is_taken_once(tmp_path):
    """Peak of NumPy's own memory while reading: the series, and little more than a frame."""
    import tracemalloc

    frames = np.ones((40, 128, 128), np.int16) * np.arange(128, dtype=np.int16)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(frames)
        file.set_image_stack()
    stored = open_series(tmp_path / "a.mrc", tilts=np.arange(40.0), pixel_size_A=1)
    tracemalloc.start()
    stored.load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * stored.nbytes
