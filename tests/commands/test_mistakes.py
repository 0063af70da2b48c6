"""Bad inputs and outputs of the commands for one's own sample: one line, status 2, nothing changed on the disk."""

# ruff: noqa: F811  (a fixture that is imported)

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
import tifffile
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.formats import write_volume
from tsg_core.tilt_series import TiltSeries

FRAMES = np.random.default_rng(0).random((7, 12, 16), dtype=np.float32)
TILT_deg = np.arange(-30.0, 31.0, 10.0)
COMMANDS = ("densify", "reconstruct", "show")


def mrc(folder, angles=None, frames=FRAMES):
    """A stack whose angles are the given text, or those of the frames, or nowhere where it is empty."""
    path = TiltSeries(frames, TILT_deg[: len(frames)], 0.5).write(folder / "in.mrc")
    path.with_name("in.mrc.mdoc").unlink(missing_ok=True)
    if angles is not None:
        path.with_suffix(".rawtlt").write_text(angles)
    if angles == "":
        path.with_suffix(".rawtlt").unlink()
    return path


def lines(values):
    return "".join(f"{value}\n" for value in values)


def npz_with(folder, **changed):
    path = TiltSeries(FRAMES, TILT_deg, 0.5).write(folder / "in.npz")
    with np.load(path) as arrays:
        content = dict(arrays) | changed
    np.savez(path, **content)
    return path


def truncated(folder):
    path = mrc(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def foreign(folder):
    path = folder / "in.mrc"
    path.write_text("not a stack of frames " * 100)
    path.with_suffix(".rawtlt").write_text(lines(TILT_deg))
    return path


def volume(folder):
    return write_volume(np.random.default_rng(0).random((8, 8, 8)), folder / "in.mrc", voxel_size_A=0.5)


def unknown_unit(folder):
    path = folder / "in.tif"
    tifffile.imwrite(path, FRAMES, imagej=True, resolution=(2, 2), metadata={"unit": "furlong"})
    path.with_suffix(".rawtlt").write_text(lines(TILT_deg))
    return path


INPUTS = {
    "too few angles": (lambda f: mrc(f, lines(TILT_deg[:4])), "4 tilt angles for 7 frames"),
    "radians": (lambda f: mrc(f, lines(np.deg2rad(TILT_deg))), "look like radians"),
    "an angle twice": (lambda f: mrc(f, lines([*TILT_deg[:-1], 10.0])), "more than once"),
    "no angles": (lambda f: mrc(f, ""), "tilt angles"),
    "words for angles": (lambda f: mrc(f, lines("abcdefg")), "is not a tilt angle"),
    "a volume": (volume, "looks like a volume"),
    "a volume of our own": (
        lambda f: write_volume(np.ones((8, 8, 8)), f / "in.npz", voxel_size_A=1.0),
        "in.npz",
    ),
    "NaN": (lambda f: npz_with(f, frames=np.where(FRAMES > 0.5, np.nan, FRAMES)), "not finite"),
    "constant frames": (lambda f: npz_with(f, frames=np.ones_like(FRAMES)), "no contrast"),
    "an unknown unit": (unknown_unit, "furlong"),
    "a truncated file": (truncated, "in.mrc"),
    "a foreign file": (foreign, "in.mrc"),
    "an unknown suffix": (lambda f: shutil.copy(mrc(f), f / "in.xyz"), "'.xyz'"),
}


def contents(folder):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", INPUTS)
def test_bad_inputs(tsg, tmp_path, name, command):
    make, message = INPUTS[name]
    source = make(tmp_path)
    before = contents(tmp_path)
    status, _, error = tsg(command, source, "-o", tmp_path / ("out.png" if command == "show" else "out.mrc"))
    assert status == 2 and message in error and one_line(error), error
    assert contents(tmp_path) == before and {p.name for p in tmp_path.iterdir()} == {p.name for p in before}


def test_unsorted_angles_are_sorted_and_named(tsg, tmp_path):
    order = np.array([3, 0, 5, 1, 6, 2, 4])
    source = mrc(tmp_path, lines(TILT_deg[order]), FRAMES[order])
    status, said, error = tsg("densify", source, "-o", tmp_path / "out.npz", "--method", "linear", "--step", 5)
    assert (status, error) == (0, "") and "sorted by angle" in said
    dense = TiltSeries.read(tmp_path / "out.npz")
    np.testing.assert_array_equal(dense.frames[dense.measured], FRAMES)


def test_a_saturated_and_a_constant_frame_are_named(tsg, tmp_path):
    frames = (FRAMES * 200).astype(np.uint8)
    frames[2] = 7
    frames[4, :6] = 255
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, frames, imagej=True, resolution=(2, 2), metadata={"unit": "nm"})
    path.with_suffix(".rawtlt").write_text(lines(TILT_deg))
    status, said, _ = tsg("show", path, "-o", tmp_path / "sheet.png")
    assert status == 0 and "Frame 2 (tilt -10 deg) is constant" in said and "Frame 4 (tilt 10 deg) is saturated" in said


OPTIONS = {"densify": ("--method", "linear", "--step", 5), "reconstruct": ("--iterations", 2), "show": ()}


def output_of(command, folder):
    return folder / ("out.png" if command == "show" else "out.mrc")


@pytest.mark.parametrize("command", COMMANDS)
def test_outputs_are_not_replaced_unasked(tsg, tmp_path, command):
    source, out = mrc(tmp_path), output_of(command, tmp_path)
    out.write_text("mine")
    status, _, error = tsg(command, source, "-o", out, *OPTIONS[command])
    assert status == 2 and "exists; choose another name or give --overwrite" in error and out.read_text() == "mine"
    assert tsg(command, source, "-o", out, "--overwrite", *OPTIONS[command])[0] == 0
    assert out.stat().st_size > 1000
    before = contents(tmp_path)
    status, _, error = tsg(command, source, "-o", source, "--overwrite", *OPTIONS[command])
    assert status == 2 and ("never touched" in error or command == "show") and contents(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_folders_that_cannot_be_written(tsg, tmp_path, monkeypatch, command):
    source = mrc(tmp_path)
    status, _, error = tsg(command, source, "-o", output_of(command, tmp_path / "no"), *OPTIONS[command])
    assert status == 2 and "does not exist" in error and one_line(error)
    before = contents(tmp_path)
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    status, _, error = tsg(command, source, "-o", output_of(command, tmp_path), *OPTIONS[command])
    assert status == 2 and "no permission" in error and one_line(error) and contents(tmp_path) == before


@pytest.mark.parametrize("command", ["densify", "reconstruct"])
def test_a_disk_without_room_is_noticed_before_the_work(tsg, tmp_path, monkeypatch, command):
    source = mrc(tmp_path)
    before = contents(tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    status, _, error = tsg(command, source, "-o", tmp_path / "out.npz", *OPTIONS[command])
    assert status == 2 and "free some space" in error and one_line(error) and contents(tmp_path) == before


@pytest.mark.parametrize("command", ["densify", "reconstruct"])
def test_a_disk_that_fills_up_leaves_nothing_half_written(tsg, tmp_path, monkeypatch, command):
    source = mrc(tmp_path)
    before = contents(tmp_path)

    def full(path, **arrays):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    status, _, error = tsg(command, source, "-o", tmp_path / "out.npz", *OPTIONS[command])
    assert status == 2 and "free some space" in error and one_line(error)
    visible = {p: c for p, c in contents(tmp_path).items() if ".out.npz.unfinished" not in str(p)}
    assert visible == before


@pytest.mark.parametrize(
    ("command", "out"),
    [("densify", "out.dm4"), ("densify", "out.jpg"), ("reconstruct", "out.tif"), ("show", "out.mrc")],
)
def test_formats_that_cannot_be_written_are_refused_before_the_work(tsg, tmp_path, monkeypatch, command, out):
    source = mrc(tmp_path)
    monkeypatch.setattr("tsg_core.formats.read_series", None)
    status, _, error = tsg(command, source, "-o", tmp_path / out)
    assert status == 2 and "out." in error and one_line(error)


def test_an_output_that_would_replace_the_angles_of_the_input_is_refused(tsg, tmp_path):
    source = mrc(tmp_path, lines(TILT_deg + 0.5))
    before = contents(tmp_path)
    status, _, error = tsg("densify", source, "-o", tmp_path / "in.tif", "--method", "linear", "--step", 5)
    assert status == 2 and "holds the angles of in.mrc" in error and one_line(error) and contents(tmp_path) == before


def test_decoders_print_nothing_of_their_own(tmp_path):
    folder = TiltSeries(FRAMES, TILT_deg, 0.5).write(tmp_path / "a.zspy")
    shutil.make_archive(str(tmp_path / "b"), "zip", folder)
    (tmp_path / "b.zip").rename(tmp_path / "b.zspy")
    called = [sys.executable, "-m", "tsgbook.cli", "show", "b.zspy", "-o", "b.png"]
    found = subprocess.run(called, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("frames       7 of 16 x 12 px") and found.stderr == ""
