"""Files of tilt series and volumes: what comes back is what went in, and every bad file gives one clear line."""

import hashlib

import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from tsg_core.errors import TsgError
from tsg_core.formats import read_angles, read_series, read_volume, write_series, write_volume
from tsg_core.microscope import ABERRATED
from tsg_core.tilt_series import TiltSeries

SUFFIXES = [".npz", ".zarr", ".mrc", ".st", ".ali", ".rec", ".tif", ".tiff", ".hspy", ".zspy", ".emd"]
MRC_SUFFIXES = (".mrc", ".st", ".ali", ".rec")


@pytest.fixture
def series():
    rng = np.random.default_rng(3)
    return TiltSeries(
        rng.random((5, 7, 11), dtype=np.float32),
        [-71.25, -30.1, 0, 1 / 3, 70],
        0.35,
        [True, False, True, True, False],
        {"dose_per_A2": 1e4, "microscope": {"Cs_um": 100.0}},
    ).noted("Made [here] of random numbers, which is said at such length that no label of 80 characters holds it.")


def refused(words, path, **options):
    with pytest.raises(TsgError, match=words) as error:
        read_series(path, **options)
    assert ("\n" not in str(error.value) and str(path.name) in str(error.value)) or options


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_angles_and_pixel_size_return_bit_for_bit(series, tmp_path, suffix):
    path = series.write(tmp_path / f"series{suffix}")
    again = TiltSeries.read(path)
    assert again.frames.dtype == np.float32
    np.testing.assert_array_equal(again.frames, series.frames)
    np.testing.assert_array_equal(again.tilt_deg, series.tilt_deg)
    assert again.pixel_size_A == series.pixel_size_A
    np.testing.assert_array_equal(again.measured, series.measured)
    assert again.history == series.history
    if suffix not in MRC_SUFFIXES:
        assert again.metadata == series.metadata


def test_a_second_round_changes_nothing(series, tmp_path):
    path = tmp_path / "a.npz"
    series.write(path)
    for number, suffix in enumerate(SUFFIXES):
        path = TiltSeries.read(path).write(tmp_path / f"{number}{suffix}")
    again = TiltSeries.read(path)
    np.testing.assert_array_equal(again.frames, series.frames)
    np.testing.assert_array_equal(again.measured, series.measured)
    assert again.history == series.history and again.pixel_size_A == series.pixel_size_A


def test_files_of_an_earlier_version_are_read(series, tmp_path):
    arrays = {"frames": series.frames, "tilt_deg": series.tilt_deg, "measured": series.measured}
    np.savez(tmp_path / "a.npz", **arrays, pixel_size_A=0.35, metadata='{"engine": "prism"}')
    assert read_series(tmp_path / "a.npz").metadata == {"engine": "prism"}
    own = {name: arrays[name].tolist() for name in ("tilt_deg", "measured")} | {"pixel_size_A": 0.35}
    tifffile.imwrite(tmp_path / "a.tif", series.frames, photometric="minisblack", metadata=own)
    np.testing.assert_array_equal(read_series(tmp_path / "a.tif").measured, series.measured)


@settings(max_examples=20, deadline=None)
@given(
    frames=st_numpy.arrays(np.float32, st.tuples(*[st.integers(1, 4)] * 3), elements=st.floats(0, 2.0**100, width=32)),
    pixel_size_A=st.floats(1e-3, 1e4),
    suffix=st.sampled_from([".npz", ".zarr", ".tif", ".hspy", ".zspy"]),
)
def test_own_formats_lose_nothing(tmp_path_factory, frames, pixel_size_A, suffix):
    series = TiltSeries(frames, np.linspace(-60, 60, len(frames)), pixel_size_A)
    again = read_series(write_series(series, tmp_path_factory.mktemp("own") / f"series{suffix}"))
    np.testing.assert_array_equal(again.frames, series.frames)
    np.testing.assert_array_equal(again.tilt_deg, series.tilt_deg)
    assert again.pixel_size_A == series.pixel_size_A


def test_zarr_of_many_frames_is_chunked_by_frames(tmp_path):
    frames = np.random.default_rng(0).random((9, 600, 600), dtype=np.float32)
    path = TiltSeries(frames, np.arange(9), 1.0).write(tmp_path / "large.zarr")
    assert len(list((path / "frames" / "c").iterdir())) == 5
    np.testing.assert_array_equal(TiltSeries.read(path).frames, frames)


def test_settings_and_numpy_values_are_kept_as_metadata(series, tmp_path):
    metadata = {"microscope": ABERRATED, "dose": np.float64(2.0), "shift_A": np.zeros(2), "file": tmp_path}
    path = write_series(TiltSeries(series.frames, series.tilt_deg, 1, None, metadata), tmp_path / "series.npz")
    again = read_series(path).metadata
    assert again["microscope"]["Cs_um"] == 100 and again["dose"] == 2 and again["shift_A"] == [0, 0]
    with pytest.raises(TsgError, match="metadata holds a object"):
        write_series(TiltSeries(series.frames, series.tilt_deg, 1, None, {"x": object()}), tmp_path / "bad.npz")
    assert not (tmp_path / "bad.npz").exists()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.float16])
def test_integer_mrc_frames_keep_their_values(tmp_path, dtype):
    frames = (np.arange(24).reshape(2, 3, 4) * 5).astype(dtype)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(frames)
        file.voxel_size = 2.5
    (tmp_path / "a.rawtlt").write_text("-10\n 20 # degrees\n\n")
    series = read_series(tmp_path / "a.mrc")
    np.testing.assert_array_equal(series.frames, frames.astype(np.float32))
    assert series.pixel_size_A == 2.5 and series.tilt_deg.tolist() == [-10, 20]


def test_fei_extended_header_gives_angles_and_pixel_size(tmp_path):
    extended = np.zeros(3, mrcfile.dtypes.get_ext_header_dtype(b"FEI1"))
    extended["Metadata size"] = extended.dtype.itemsize
    extended["Alpha tilt"] = [20, -20, 0]
    extended["Pixel size X"] = extended["Pixel size Y"] = 1.5e-10
    with mrcfile.new(tmp_path / "fei.mrc") as file:
        file.set_data(np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 4, 4), np.float32))
        file.set_extended_header(extended)
        file.header.exttyp = b"FEI1"
        file.voxel_size = 0
    series = read_series(tmp_path / "fei.mrc")
    assert series.tilt_deg.tolist() == [-20, 0, 20]
    assert series.frames[:, 0, 0].tolist() == [1, 2, 0]
    assert series.pixel_size_A == pytest.approx(1.5)


def test_mrc_of_before_2000_without_the_map_word(series, tmp_path):
    path = series.write(tmp_path / "old.mrc")
    content = bytearray(path.read_bytes())
    content[208:216] = bytes(8)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_series(path).frames, series.frames)


def test_angles_beside_the_stack(series, tmp_path):
    path = series.write(tmp_path / "tomo.ali")
    (tmp_path / "tomo.tlt").write_text("".join(f"{angle + 1}\n" for angle in series.tilt_deg))
    assert read_series(path).tilt_deg[0] == -70.25  # an aligned stack goes with the refined angles
    assert read_series(path, tilts=tmp_path / "tomo.rawtlt").tilt_deg[0] == -71.25
    (tmp_path / "tomo.rawtlt").unlink(), (tmp_path / "tomo.tlt").unlink()
    mdoc = "PixelSpacing = 3.5\n\n" + "".join(f"[ZValue = {i}]\nTiltAngle = {-40 + 20 * i}\n" for i in range(5))
    (tmp_path / "tomo.ali.mdoc").write_text(mdoc)
    assert read_series(path).tilt_deg.tolist() == [-40, -20, 0, 20, 40]


def test_imagej_tiff_states_its_pixel_size(tmp_path):
    frames = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    tifffile.imwrite(tmp_path / "a.tif", frames, imagej=True, resolution=(20, 20), metadata={"unit": "nm"})
    (tmp_path / "angles.txt").write_text("0\n3\n6\n")
    series = read_series(tmp_path / "a.tif", tilts=tmp_path / "angles.txt")
    assert series.pixel_size_A == pytest.approx(0.5)
    np.testing.assert_array_equal(series.frames, frames)


def test_plain_tiff_needs_a_pixel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((2, 4, 5), np.uint8))
    (tmp_path / "a.tlt").write_text("0\n3\n")
    refused("does not state its pixel size; give it by --pixel-size", tmp_path / "a.tif")
    assert read_series(tmp_path / "a.tif", pixel_size_A=2).pixel_size_A == 2


@pytest.mark.parametrize("axis", [1, 2])
def test_an_array_with_the_angles_along_another_axis(tmp_path, axis):
    np.save(tmp_path / "a.npy", np.moveaxis(np.ones((3, 4, 5), np.float32), 0, axis))
    refused(
        r"3 tilt angles for \d frames; the array is .* along the axis of 3, move it to the front",
        tmp_path / "a.npy",
        tilts=[0, 5, 10],
        pixel_size_A=2,
    )
    np.save(tmp_path / "a.npy", np.ones((4, 3, 5), np.float32))
    with pytest.raises(TsgError) as error:
        read_series(tmp_path / "a.npy", tilts=[0, 5], pixel_size_A=2)
    assert str(error.value).endswith("2 tilt angles for 4 frames")


@pytest.mark.parametrize(
    "text, words",
    [
        ("0\n1\n2\n3\n", "4 tilt angles for 5 frames"),
        ("-1.2\n-0.6\n0\n0.6\n1.2\n", None),
        ("-1.2\n-0.8\n-0.4\n0\n0.4\n", "look like radians"),
        ("0\n10\n20\n10\n40\n", "the tilt angle 10 deg more than once"),
        ("0\n10\nnan\n30\n40\n", "the tilt angle nan"),
        ("0\n10\n20\n30\n400\n", "the tilt angle 400"),
        ("0\n10\nforty\n", "line 3: 'forty'"),
    ],
)
def test_angles_that_cannot_be_right(series, tmp_path, text, words):
    path = series.write(tmp_path / "a.mrc")
    (tmp_path / "a.rawtlt").write_text(text)
    if words:
        refused(words, path, tilts=tmp_path / "a.rawtlt")
    else:
        (tmp_path / "a.mrc.mdoc").unlink()
        read_series(path)


def test_missing_angles_say_where_they_were_looked_for(series, tmp_path):
    path = series.write(tmp_path / "a.mrc")
    (tmp_path / "a.rawtlt").unlink()
    (tmp_path / "a.mrc.mdoc").unlink()
    refused(r"a\.rawtlt, a\.tlt, a\.mrc\.mdoc, a\.mdoc; name a file by --tilts", path)
    refused("nothing.txt does not exist", path, tilts=tmp_path / "nothing.txt")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files(series, tmp_path, suffix):
    path = series.write(tmp_path / f"a{suffix}")
    if suffix == ".zspy":
        (path / "Experiments" / "tilt series" / "data" / ".zarray").unlink()
    elif path.is_dir():
        (path / "frames" / "c" / "0" / "0" / "0").unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    refused("is truncated or not a", path)


@pytest.mark.parametrize("suffix", [*(s for s in SUFFIXES if s != ".zarr"), ".npy", ".dm3", ".dm4"])
def test_foreign_and_empty_files(tmp_path, suffix):
    for content in (b"", b"not microscopy at all " * 200):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        (tmp_path / "a.rawtlt").write_text("0\n1\n")
        refused("is truncated or not a", path)


def test_unknown_suffix_lists_those_known(series, tmp_path):
    (tmp_path / "a.xyz").touch()
    refused(r"'\.xyz'; those known are \.npz, \.zarr, \.npy, \.mrc", tmp_path / "a.xyz")
    with pytest.raises(TsgError, match="those known are"):
        series.write(tmp_path / "b.png")
    refused("does not exist", tmp_path / "absent.mrc")


def test_frames_that_are_not_finite_name_the_file(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        with pytest.warns(RuntimeWarning, match="NaN"):
            file.set_data(np.full((2, 3, 3), np.nan, np.float32))
        file.voxel_size = 1
    (tmp_path / "a.tlt").write_text("0\n1\n")
    refused("a.mrc: frame 0 .* not finite", tmp_path / "a.mrc")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_overwritten_unless_allowed(series, tmp_path, suffix):
    path = series.write(tmp_path / f"a{suffix}")
    with pytest.raises(TsgError, match="exists"):
        series.write(path)
    brighter = TiltSeries(series.frames + 1, series.tilt_deg, series.pixel_size_A)
    brighter.write(path, overwrite=True)
    np.testing.assert_array_equal(read_series(path).frames, brighter.frames)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_write_that_fails_leaves_nothing_and_keeps_the_old(series, tmp_path, suffix, monkeypatch):
    path = series.write(tmp_path / f"a{suffix}")
    before = sorted(tmp_path.rglob("*"))
    old = {p: hashlib.sha256(p.read_bytes()).digest() for p in before if p.is_file()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for name in (
        "numpy.savez",
        "zarr.create_group",
        "mrcfile.mrcfile.MrcFile.set_data",
        "tifffile.imwrite",
        "rsciio.hspy.file_writer",
        "h5py.File.create_group",
    ):
        monkeypatch.setattr(name, full)
    with pytest.raises(TsgError, match="No space left on device; free some space"):
        series.write(path, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before
    assert {p: hashlib.sha256(p.read_bytes()).digest() for p in before if p.is_file()} == old


def test_angles_of_another_stack_are_never_overwritten(series, tmp_path):
    path = series.write(tmp_path / "tomo.st")
    for suffix in (".mrc", ".tif"):
        with pytest.raises(
            TsgError, match="tomo.rawtlt holds the angles of tomo.st, too; choose another name than tomo"
        ):
            series.subset([0, 1]).write(tmp_path / f"tomo{suffix}", overwrite=True)
    series.write(tmp_path / "tomo.hspy")
    assert len(series.write(path, overwrite=True).read_bytes()) and len(read_series(path)) == 5


def test_missing_folder(series, tmp_path):
    with pytest.raises(TsgError, match="the folder .*nowhere does not exist"):
        series.write(tmp_path / "nowhere" / "a.npz")


@pytest.mark.parametrize("suffix", [".mrc", ".rec", ".npz", ".zarr", ".emd"])
def test_volumes_return_with_their_axes(tmp_path, suffix):
    volume = np.random.default_rng(1).random((3, 4, 5), dtype=np.float32)
    path = write_volume(volume, tmp_path / f"v{suffix}", voxel_size_A=0.7)
    again, voxel_size_A = read_volume(path)
    np.testing.assert_array_equal(again, volume)
    assert voxel_size_A == pytest.approx(0.7, rel=1e-6)
    if suffix in (".mrc", ".rec"):
        with mrcfile.open(path) as file:
            assert file.is_volume() and file.data[3, 2, 4] == volume[2, 3, 4]  # (z, y, x) in the file


def test_volume_of_another_axis_order_is_turned(tmp_path):
    volume = np.random.default_rng(1).random((3, 4, 5), dtype=np.float32)
    with mrcfile.new(tmp_path / "v.mrc") as file:
        file.set_data(volume)
        file.header.mapc, file.header.mapr, file.header.maps = 1, 3, 2  # sections along y, rows along z
        file.voxel_size = 1
    np.testing.assert_array_equal(read_volume(tmp_path / "v.mrc")[0], volume)


def test_volumes_that_cannot_be(tmp_path):
    with pytest.raises(TsgError, match="must have the axes"):
        write_volume(np.ones((3, 3)), tmp_path / "v.mrc", voxel_size_A=1)
    with pytest.raises(TsgError, match="those known are .npz, .zarr, .emd, .mrc"):
        write_volume(np.ones((3, 3, 3)), tmp_path / "v.tif", voxel_size_A=1)
    (tmp_path / "v.npz").write_bytes(b"no")
    with pytest.raises(TsgError, match="truncated or not a .npz file"):
        read_volume(tmp_path / "v.npz")


def test_the_input_is_never_touched(series, tmp_path):
    path = series.write(tmp_path / "a.mrc")
    before = path.read_bytes(), path.stat().st_mtime_ns
    read_series(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_read_angles_refuses_a_binary_file(tmp_path):
    (tmp_path / "a.tlt").write_bytes(bytes(range(256)))
    with pytest.raises(TsgError, match="not a text file"):
        read_angles(tmp_path / "a.tlt")
