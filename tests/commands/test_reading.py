"""What the commands read, and that the remedies they name work where they are named."""

# ruff: noqa: F811  (a fixture that is imported)

import os
import re

import numpy as np
import pytest
import tifffile
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.tilt_series import TiltSeries

TILT_deg = np.arange(-30.0, 31.0, 10.0)
X = np.linspace(-1, 1, 24)
FRAMES = np.stack(  # a rod off the axis, which turns with the angle
    [1000 * np.exp(-(((X[None] - 0.4 * np.sin(np.radians(t))) ** 2 + 0 * X[:, None]) / 0.02)) for t in TILT_deg]
).astype(np.uint16)
COMMANDS = {
    "show": ("-o", "sheet.png"),
    "prepare": ("--align", "none", "--background", "none", "-o", "out.npz"),
    "densify": ("--method", "linear", "--step", "5", "-o", "out.npz"),
    "reconstruct": ("--iterations", "2", "-o", "out.mrc"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder one stands in, of frames that state their angles in their names."""
    (tmp_path / "needle").mkdir()
    monkeypatch.chdir(tmp_path / "needle")
    for angle, frame in zip(TILT_deg, FRAMES, strict=True):
        tifffile.imwrite(f"tilt_{'m' if angle < 0 else 'p'}{abs(angle):04.1f}.tif", frame, photometric="minisblack")
    return tmp_path / "needle"


def check_output(name):
    """Measured frames come back bit for bit, each with its angle."""
    series = TiltSeries.read(name).measured_only()
    np.testing.assert_array_equal(series.frames, FRAMES)
    assert series.tilt_deg.tolist() == TILT_deg.tolist()


def test_show_says_which_part_of_the_names_is_the_angle(tsg, folder):
    status, out, err = tsg("show", ".", "--pixel-size", 2)
    assert status == 0, err
    assert "tilt angles from  the names of the files ('m30.0' in tilt_m30.0.tif is -30 deg) of needle" in out
    assert "tilt angles  -30 to 30 deg, steps of 10 deg" in out and "wrote needle_sheet.png" in out
    assert (folder / "needle_sheet.png").stat().st_size > 1000


@pytest.mark.parametrize("command", ["prepare", "densify"])
def test_the_folder_one_stands_in(tsg, folder, command):
    status, _, err = tsg(command, ".", "--pixel-size", 2, *COMMANDS[command])
    assert status == 0, err
    check_output("out.npz")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_repeated_angle_is_left_out_as_the_message_says(tsg, folder, command):
    tifffile.imwrite("tilt_p00.00.tif", FRAMES[3], photometric="minisblack")
    arguments = (command, ".", "--pixel-size", 2, *COMMANDS[command])
    status, _, err = tsg(*arguments)
    assert status == 2 and one_line(err) and "tilt_p00.0.tif (frame" in err and "tilt_p00.00.tif (frame" in err
    remedy = re.search(r"\((--exclude) (\d+)\)", err).groups()
    status, _, err = tsg(*arguments, *remedy)
    assert status == 0, err
    if "out.npz" in COMMANDS[command]:
        check_output("out.npz")


@pytest.mark.parametrize("command", COMMANDS)
def test_one_of_two_detectors_is_chosen_as_the_message_says(tsg, folder, command):
    os.mkdir("both")
    for angle, frame in zip(TILT_deg, FRAMES, strict=True):
        tifffile.imwrite(f"both/{angle:+.0f}deg.tif", np.stack([frame // 2, frame]), photometric="minisblack")
    arguments = (command, "both", "--pixel-size", 2, *COMMANDS[command])
    status, _, err = tsg(*arguments)
    assert status == 2 and one_line(err) and "choose one picture of each file by --image N" in err
    status, _, err = tsg(*arguments, "--image", 1)
    assert status == 0, err
    if "out.npz" in COMMANDS[command]:
        check_output("out.npz")


@pytest.mark.parametrize("command", ["prepare"])
def test_one_kind_of_names_is_chosen_as_the_message_says(tsg, folder, command):
    for angle in TILT_deg:
        tifffile.imwrite(f"BF_{'m' if angle < 0 else 'p'}{abs(angle):04.1f}.tif", FRAMES[0], photometric="minisblack")
    arguments = ("--pixel-size", 2, *COMMANDS[command])
    status, _, err = tsg(command, ".", *arguments)
    assert status == 2 and one_line(err)
    kinds = re.search(r"named in 2 ways, (\S+) \(7\), (\S+) \(7\): choose one of these", err).groups()
    assert sorted(kinds) == ["BF_*.tif", "tilt_*.tif"]
    status, _, err = tsg(command, "tilt_*.tif", *arguments)
    assert status == 0, err
    if "out.npz" in COMMANDS[command]:
        check_output("out.npz")


def test_compare_takes_the_options_of_reading(tsg, folder):
    TiltSeries(FRAMES, TILT_deg, 2.0).write("a.npz")
    TiltSeries(FRAMES + 1.0, TILT_deg, 2.0).write("b.npz")
    status, out, err = tsg("evaluate", "a.npz", "b.npz", "--exclude", "0")
    assert status == 0 and "-30.00 deg" not in out and "-20.00 deg" in out, err


def test_names_in_the_bytes_of_older_systems(tsg, folder):
    """Latin-1 names are read and printed as they were meant, in remarks and in errors."""
    try:
        os.mkdir(b"n\xfcsse")
        for angle, frame in zip(TILT_deg, FRAMES, strict=True):
            tifffile.imwrite(os.fsdecode(b"n\xfcsse/gr\xf6\xdfe_%+d\xb0.tif" % angle), frame, photometric="minisblack")
    except OSError:
        pytest.skip("this system has no such names")
    source = os.fsdecode(b"n\xfcsse")
    status, out, err = tsg("show", source, "--pixel-size", "2", "-o", "sheet.png")
    assert status == 0, err
    assert "('-30°' in größe_-30°.tif is -30 deg) of nüsse" in out
    status, out, err = tsg("show", source, "-o", "sheet.png", "--overwrite")
    assert status == 2 and one_line(err) and "nüsse" in err
    status, out, err = tsg("densify", source, "--pixel-size", "2", *COMMANDS["densify"])
    assert status == 0, err
    check_output("out.npz")
    assert "nüsse" in (folder / "out_report.html").read_text(encoding="utf-8")
