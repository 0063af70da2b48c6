"""MRC files of many origins: angles, pixel size, byte order, and what is no tilt series."""

import mrcfile
import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.formats import read_series, write_volume
from tsg_core.tilt_series import TiltSeries

FRAMES = np.arange(60, dtype=np.float32).reshape(3, 4, 5)

SERIALEM_FLAGS = np.array([14, 1 | 4 | 8 | 16 | 32], np.int16).tobytes()  # as in files of SerialEM 4


@pytest.fixture
def series():
    frames = np.random.default_rng(3).random((5, 7, 11), dtype=np.float32)
    return TiltSeries(frames, [-71.25, -30.1, 0, 1 / 3, 70], 0.35, [True, False, True, True, False])


def refused(words, path, **options):
    with pytest.raises(TsgError, match=words) as error:
        read_series(path, **options)
    assert "\n" not in str(error.value)


def write_mrc(path, frames, *, extended=b"", kind=b"", flags=SERIALEM_FLAGS, stamp=bytes(8), pixel_size_A=2.0):
    """A file with the bytes of an extended header, its kind, SerialEM's flags and IMOD's stamp."""
    with mrcfile.new(path) as file:
        file.set_data(frames)
        file.set_image_stack()
        file.set_extended_header(np.frombuffer(extended, "V1"))
        file.voxel_size = pixel_size_A
        file.header.exttyp = kind
        extra = bytearray(file.header.extra2.tobytes())
        extra[16:20], extra[40:48] = flags, stamp
        file.header.extra2 = np.void(bytes(extra))


def serialem_header(tilt_deg) -> bytes:
    """Seven short integers a frame: the angle in hundredths of a degree first."""
    values = np.zeros((len(tilt_deg), 7), np.int16)
    values[:, 0] = np.multiply(tilt_deg, 100)
    return values.tobytes()


def test_serialem_extended_header_gives_angles(tmp_path):
    write_mrc(tmp_path / "a.st", FRAMES.astype(np.int16), extended=serialem_header([20, -20.5, 0]), kind=b"SERI")
    series = read_series(tmp_path / "a.st")
    assert series.tilt_deg.tolist() == [-20.5, 0, 20]
    np.testing.assert_array_equal(series.frames, FRAMES[[1, 2, 0]])
    assert series.history == (
        "Read 3 frames of int16 from the MRC file a.st; tilt angles from the extended header of a.st.",
        "The frames were sorted by angle.",
    )


def test_other_angles_beside_the_stack_are_mentioned(tmp_path):
    write_mrc(tmp_path / "a.st", FRAMES, extended=serialem_header([-20, 0, 20]), kind=b"SERI")
    (tmp_path / "a.rawtlt").write_text("20\n0\n-20\n")
    refused(r"extended header of a.st and a.rawtlt disagree, of frame 0 they say -20 and 20 deg", tmp_path / "a.st")
    assert read_series(tmp_path / "a.st", tilts=tmp_path / "a.st").frames[0, 0, 0] == 0  # its own
    assert read_series(tmp_path / "a.st", tilts=tmp_path / "a.rawtlt").frames[0, 0, 0] == 40
    (tmp_path / "a.rawtlt").write_text("-17\n3\n23\n")  # refined: another origin, the same frames
    assert (
        "a.rawtlt gives angles that differ by up to 3 deg and was not used" in read_series(tmp_path / "a.st").history[1]
    )
    (tmp_path / "a.rawtlt").write_text("-20.1\n0\n20.1\n")
    assert len(read_series(tmp_path / "a.st").history) == 1


def test_old_fei_header_of_1024_records(tmp_path):
    extended = np.zeros((1024, 32), np.float32)
    extended[:3, 0], extended[:3, 11] = [-10, 0, 10], 3.36e-9
    header = np.array([0, 32], np.int16).tobytes()
    write_mrc(tmp_path / "a.mrc", FRAMES, extended=extended.tobytes(), kind=b"", flags=header, pixel_size_A=1)
    series = read_series(tmp_path / "a.mrc")
    assert series.tilt_deg.tolist() == [-10, 0, 10] and series.pixel_size_A == pytest.approx(33.6)


def test_bytes_of_imod_are_unsigned_unless_flagged(tmp_path):
    frames = np.full((3, 4, 5), 200, np.uint8).view(np.int8)
    for flags, value in ((0, 200), (1, -56)):
        path = tmp_path / f"{flags}.mrc"
        write_mrc(path, frames, stamp=np.array([1146047817, flags], np.int32).tobytes())
        assert (read_series(path, tilts=[-1, 0, 3]).frames == value).all()


def test_big_endian_mrc(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(FRAMES.astype(">i2"))
        file.voxel_size = 2
    assert (tmp_path / "a.mrc").read_bytes()[212:214] == b"\x11\x11"
    np.testing.assert_array_equal(read_series(tmp_path / "a.mrc", tilts=[-1, 0, 3]).frames, FRAMES)


def test_mdoc_states_what_the_header_does_not(tmp_path):
    write_mrc(tmp_path / "a.mrc", FRAMES, pixel_size_A=0)
    sections = "".join(f"[ZValue = {i}]\nTiltAngle = {angle}\n\n" for i, angle in ((1, 5), (2, 10), (0, 0)))
    (tmp_path / "a.mrc.mdoc").write_text("PixelSpacing = 7.88\n[T = SerialEM: x]\n\n" + sections)
    series = read_series(tmp_path / "a.mrc")
    assert series.pixel_size_A == 7.88 and series.tilt_deg.tolist() == [0, 5, 10] and series.measured.all()
    np.testing.assert_array_equal(series.frames, FRAMES)
    np.testing.assert_array_equal(read_series(tmp_path / "a.mrc.mdoc").frames, FRAMES)
    (tmp_path / "a.mrc.mdoc").write_text("[ZValue = 0]\n[ZValue = 1]\nTiltAngle = 1\n")
    refused("section 0 of .*a.mrc.mdoc has no TiltAngle", tmp_path / "a.mrc", pixel_size_A=1)


def test_flags_of_another_count_of_frames(series, tmp_path):
    path = series.write(tmp_path / "a.mrc")
    lines = (tmp_path / "a.mrc.mdoc").read_text().split("[ZValue = 4]")[0]
    (tmp_path / "a.mrc.mdoc").write_text(lines)
    refused("a.mrc.mdoc lists 4 frames, .*a.mrc has 5", path)


def test_the_end_of_the_history_stands_in_the_labels(series, tmp_path):
    for i in range(20):
        series = series.noted(f"Step {i} \u00e5")
    with mrcfile.open(series.write(tmp_path / "a.mrc")) as file:
        assert list(file.get_labels())[-1] == "Step 19 ?" and file.header.nlabl == 10
        assert file.is_image_stack()
    assert mrcfile.validate(tmp_path / "a.mrc")


def test_a_volume_is_no_series(tmp_path):
    volume = write_volume(np.random.default_rng(0).random((6, 5, 7)), tmp_path / "tomo.mrc", voxel_size_A=1)
    refused("looks like a volume, not a tilt series: its header names the space group 1; .* give --tilts", volume)
    assert len(read_series(volume, tilts=np.arange(5.0))) == 5  # careless software marks series as volumes, too
    volume = volume.rename(tmp_path / "tomo.rec")
    (tmp_path / "tomo.rawtlt").write_text("0\n1\n2\n3\n4\n")  # lies beside every volume of IMOD
    refused("looks like a volume, not a tilt series: the suffix .rec", volume)
    refused("3 tilt angles for 5 frames .*looks like a volume", volume, tilts=[0, 1, 2])


def test_wrong_extended_header_is_passed_over(tmp_path):
    write_mrc(tmp_path / "a.st", FRAMES, extended=serialem_header([1, 2]), kind=b"SERI")
    refused("comes without tilt angles", tmp_path / "a.st")


def test_the_axis_that_serialem_states_in_the_mdoc_is_told(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(FRAMES)
        file.voxel_size = 2
    sections = "".join(f"[ZValue = {i}]\nTiltAngle = {3 * i}\n\n" for i in range(len(FRAMES)))
    titles = "[T = SerialEM: a microscope]\n\n[T =     Tilt axis angle = -90.0, binning = 2  spot = 7]\n\n"
    (tmp_path / "a.mrc.mdoc").write_text(f"PixelSpacing = 2\n\n{titles}{sections}")
    assert "states a tilt axis at -90 deg from the vertical" in " ".join(read_series(tmp_path / "a.mrc").history)


def test_what_a_header_leaves_doubtful_is_told(tmp_path):
    with mrcfile.new(tmp_path / "a.st") as file:
        file.set_data(FRAMES)
        file.voxel_size = 1
        file.add_label("    Tilt axis angle = 85.9, binning = 2  spot = 7  camera = 0")
    history = read_series(tmp_path / "a.st", tilts=[0, 1, 2]).history
    assert "The header states pixels of exactly 1 A" in history[1]
    assert "a tilt axis at 85.9 deg from the vertical; the frames were not turned" in history[2]
    (tmp_path / "a.st").rename(tmp_path / "a.ali")  # alignment turns the frames and keeps the label
    assert len(read_series(tmp_path / "a.ali", tilts=[0, 1, 2], pixel_size_A=2).history) == 3
