"""Folders of single frames, .mdoc files that name them, and angles in the names of files."""

import mrcfile
import numpy as np
import pytest
import tifffile
from microscope_files import write_dm, write_velox

from tsg_core.errors import TsgError
from tsg_core.formats import read_series
from tsg_core.formats.names import angles_in_names
from tsg_core.tilt_series import TiltSeries

FRAMES = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
ANGLES = [-12, 0, 12.5]


def refused(words, path, **options):
    with pytest.raises(TsgError, match=words) as error:
        read_series(path, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "names, angles",
    [
        (["a_-12.0_1", "a_0.0_2", "a_+12.5_3"], ANGLES),
        (["tilt_-12", "tilt_0", "tilt_+7"], [-12, 0, 7]),
        (["s1 -12deg 001", "s1 0deg 002", "s1 7 deg 003"], [-12, 0, 7]),
        (["1_a-12°", "2_a0°", "3_a7°"], [-12, 0, 7]),
        (["TS_01_000_12,5_2024", "TS_01_001_0,0_2024"], [12.5, 0]),
        (["x_-20.0", "x_-10.0"], [-20, -10]),
        (["frame-01", "frame-02"], None),  # a hyphen that joins
        (["BF_001", "BF_002"], None),  # a counter
        (["a_-12_b_+3", "a_12_b_+4"], [-12, 12]),  # no series spans a single degree
        (["a_-12_b_+3", "a_12_b_+9"], None),  # two that could be
        (["a_-12", "a_12_1"], None),
        (["a_-95", "a_95"], None),
        (["a_-12.0_1", "a_-12.0_2"], None),  # the same angle twice
        (["2024-01-05_-12", "2024-01-05_3"], [-12, 3]),
    ],
)
def test_angles_in_names(names, angles):
    found = angles_in_names(names)
    assert (found.tilt_deg is None) == (angles is None) == bool(found.reason)
    if angles:
        assert found.tilt_deg.tolist() == angles


def check(path, angles=ANGLES, **options):
    series = read_series(path, **options)
    np.testing.assert_array_equal(series.frames, FRAMES)
    np.testing.assert_allclose(series.tilt_deg, angles, atol=1e-12)
    assert series.pixel_size_A == pytest.approx(2.5)
    return series


@pytest.mark.parametrize("suffix", [".dm3", ".emd"])
def test_each_file_states_the_angle_of_the_stage(tmp_path, suffix):
    for name, i in (("f10", 1), ("f2", 2), ("f1", 0)):
        path = tmp_path / f"{name}{suffix}"
        if suffix == ".emd":
            write_velox(path, {"HAADF": FRAMES[i : i + 1]}, tilt_deg=ANGLES[i], pixel_size_m=2.5e-10)
        else:
            tags = {"Microscope Info": {"Stage Position": {"Stage Alpha": float(ANGLES[i])}}}
            write_dm(path, FRAMES[i], axes=[(0.0, 0.25, "nm")] * 2, tags=tags)
    (tmp_path / "notes.txt").write_text("not a frame")
    series = check(tmp_path)
    assert "3 frames of uint16 from the" in series.history[0] and "metadata of the frames" in series.history[0]


def tiffs(folder, names, frames=FRAMES, **options):
    for name, frame in zip(names, frames, strict=True):
        tifffile.imwrite(folder / name, frame, imagej=True, resolution=(4, 4), metadata={"unit": "nm"})


def test_angles_from_names_or_from_a_list_in_natural_order(tmp_path):
    tiffs(tmp_path, ["a_-12.0.tif", "a_0.0.tif", "a_12.5.tif"])
    assert "tilt angles from the names of the files" in check(tmp_path).history[0]
    for path in tmp_path.iterdir():
        path.unlink()
    tiffs(tmp_path, ["a_9.tif", "a_10.tif", "a_100.tif"])
    refused(
        "comes without certain tilt angles: not every frame states its own, and the names of the files hold no",
        tmp_path,
    )
    check(tmp_path, tilts=ANGLES)
    refused("2 tilt angles for 3 frames", tmp_path, tilts=[1, 2])


def test_a_stage_that_did_not_answer_leaves_the_angle_to_the_names(tmp_path):
    tags = {"Microscope Info": {"Stage Position": {"Stage Alpha": 0.0}}}
    for frame, name in zip(FRAMES, ("_-12.0", "_0.0", "_12.5"), strict=True):
        write_dm(tmp_path / f"{name}.dm4", frame, axes=[(0.0, 0.25, "nm")] * 2, tags=tags)
    check(tmp_path)
    for i, path in enumerate(sorted(tmp_path.iterdir())):
        path.rename(tmp_path / f"{i}.dm4")
    refused("the frames' own metadata all state the same angle", tmp_path)


def test_one_kind_of_file_is_chosen(tmp_path):
    tiffs(tmp_path, ["a_-12.0.tif", "a_0.0.tif", "a_12.5.tif"])
    np.save(tmp_path / "b.npy", FRAMES[0])
    refused(r"files of several kinds \(1 .npy, 3 .tif\); choose one as .*\*\.", tmp_path)
    check(tmp_path / "*.tif")
    refused("holds no frames", tmp_path / "*.dm3")


def test_frames_that_do_not_belong_together(tmp_path):
    tiffs(tmp_path, ["a_1.0.tif", "a_2.0.tif", "a_3.0.tif"])
    tiffs(tmp_path, ["a_4.0.tif"], [FRAMES[0, :2]])
    refused(r"frames of several sizes \(4 x 5, 2 x 5\); a_4.0.tif is one that differs", tmp_path)
    tifffile.imwrite(tmp_path / "a_4.0.tif", FRAMES[0], imagej=True, resolution=(1, 1), metadata={"unit": "nm"})
    refused("frames with pixels of 2.5 to 10 A", tmp_path)
    tifffile.imwrite(tmp_path / "a_4.0.tif", FRAMES, photometric="minisblack")
    refused("a_4.0.tif holds 3 frames: name this file alone if it is a series; align and sum them", tmp_path)
    (tmp_path / "a_4.0.tif").write_bytes(b"II")
    refused("a_4.0.tif is truncated or not a .tif file", tmp_path)


def test_mdoc_that_names_single_frames(tmp_path):
    sections = []
    for i, angle in ((2, 12.5), (0, -12), (1, 0)):
        with mrcfile.new(tmp_path / f"f{i}.mrc") as file:
            file.set_data(FRAMES[i])
        sections.append(
            f"[ZValue = {i}]\nTiltAngle = {angle}\nPixelSpacing = 2.5\nSubFramePath = X:\\day 1\\f{i}.mrc\n"
        )
    (tmp_path / "tomo.mdoc").write_text("Voltage = 300\n\n" + "\n".join(sections))
    assert "tilt angles from the sections of tomo.mdoc" in check(tmp_path / "tomo.mdoc").history[0]
    (tmp_path / "f1.mrc").unlink()
    refused("f1.mrc does not exist", tmp_path / "tomo.mdoc")
    (tmp_path / "tomo.mdoc").write_text("ImageFile = gone.st\n[ZValue = 0]\nTiltAngle = 1\n")
    refused(r"names neither single frames nor a stack that lies beside it \(gone.st\)", tmp_path / "tomo.mdoc")
    (tmp_path / "tomo.mdoc").write_text("nothing\n")
    refused(r"has no section \[ZValue", tmp_path / "tomo.mdoc")


def test_folders_are_only_read(tmp_path):
    with pytest.raises(TsgError, match="the format of folders can only be read; write .mrc or .hspy instead"):
        TiltSeries(FRAMES, ANGLES, 1).write(tmp_path, overwrite=True)
