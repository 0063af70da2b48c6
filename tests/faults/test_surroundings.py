"""The commands where the system is unusual: names, locale, no home, no network, a wrong clock, disks that refuse."""

# ruff: noqa: F811  (a fixture that is imported)

import locale
import os
import shutil
import socket
import subprocess
import sys
import time

import fake_book
import numpy as np
import pytest
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.formats import read_volume
from tsg_core.tilt_series import TiltSeries

CALLS = {
    "show": ("-o", "sheet.png"),
    "densify": ("--method", "linear", "--step", 5, "--background", "none", "-o", "dense.npz"),
    "reconstruct": ("--iterations", 2, "-o", "volume.mrc"),
}
YEAR_s = 365 * 86400


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with spaces and umlauts in its name and in that of a series."""
    folder = tmp_path / "Größe & Maß, 2 nm"
    folder.mkdir()
    monkeypatch.chdir(folder)
    frames = np.random.default_rng(0).random((7, 12, 16), dtype=np.float32)
    TiltSeries(frames, np.arange(-30.0, 31.0, 10.0), 0.5).write(folder / "Reihe für π.npz")
    return folder


def check_all(tsg) -> None:
    """Each command works on the series, says nothing on stderr, and writes what its own result is."""
    for command, options in CALLS.items():
        status, _, error = tsg(command, "Reihe für π.npz", *options)
        assert (status, error) == (0, ""), error
    series = TiltSeries.read("Reihe für π.npz")
    dense = TiltSeries.read("dense.npz")
    assert len(dense) == 13
    np.testing.assert_allclose(dense.frames[1], series.frames[:2].mean(axis=0), rtol=1e-6)
    assert read_volume("volume.mrc")[0].shape[::2] == (12, 16)


def test_without_a_network_and_with_a_clock_that_was_set_back(tsg, place, tmp_path, monkeypatch):
    """Files from the future, in folders from the future; nothing is asked of other machines."""

    def refuse(self, address):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    future = time.time() + YEAR_s
    for path in (*tmp_path.rglob("*"), tmp_path):
        os.utime(path, (future, future))
    check_all(tsg)


@pytest.fixture
def decimal_comma(tmp_path, monkeypatch):
    """A locale that writes numbers with one, made for the test."""
    making = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")]
    if shutil.which("localedef") and subprocess.run(making, capture_output=True).returncode == 0:
        monkeypatch.setenv("LOCPATH", str(tmp_path))
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
    except locale.Error:
        pytest.skip("a locale with a decimal comma can neither be found nor made")
    yield
    locale.setlocale(locale.LC_ALL, before)


def test_a_decimal_comma(tsg, place, decimal_comma):
    """Numbers in files keep their point."""
    assert locale.localeconv()["decimal_point"] == ","
    check_all(tsg)


def test_a_plain_locale_and_no_home(place):
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    command = [sys.executable, "-m", "tsgbook.cli", "show", "Reihe für π.npz", "-o", "sheet ä.png"]
    found = subprocess.run(command, env=environment | {"LC_ALL": "C"}, capture_output=True, cwd=place)
    assert (found.returncode, found.stderr) == (0, b"")
    assert "sheet ä.png".encode() in found.stdout and (place / "sheet ä.png").stat().st_size > 1000


def test_a_book_in_such_a_place_with_files_from_the_future(place, monkeypatch):
    """It runs, and what is dated to the future is current: contents count, not times."""
    monkeypatch.delenv("HOME", raising=False)
    fake_book.create(place / "Buch")
    (place / "Buch" / "go").touch()
    said = fake_book.run(place / "Buch", only="01")
    assert "01_numbers  done" in said
    future = time.time() + YEAR_s
    for path in (place / "Buch").rglob("*"):
        os.utime(path, (future, future))
    plan = fake_book.book(place / "Buch").plan()
    assert plan["01_numbers"] == "" and plan["02_sums"] == "not run yet"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB, which only the superuser can make."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".npz", ".mrc", ".tif", ".hspy", ".zspy", ".zarr"])
@pytest.mark.parametrize("is_foreseen", [True, False])
def test_a_disk_that_is_full(tsg, small_disk, tmp_path, monkeypatch, suffix, is_foreseen):
    """The result is larger than the disk, which shows before the work or in writing: one line, nothing of it there."""
    if not is_foreseen:
        if suffix == ".hspy":
            pytest.skip("HDF5 has no clean way to end on a full disk, so that room is asked for right before it writes")
        monkeypatch.setattr("tsg_core.commands.densify.check_space", lambda *_, **__: None)
    frames = np.random.default_rng(0).random((7, 160, 160), dtype=np.float32)
    source = TiltSeries(frames, np.arange(-30.0, 31.0, 10.0), 0.5).write(tmp_path / "in.npz")
    options = ("--method", "linear", "--step", 5, "--background", "none", "-o", small_disk / f"out{suffix}")
    status, _, error = tsg("densify", source, *options)
    assert status == 2 and one_line(error) and "free some space" in error, error
    assert not [path for path in small_disk.iterdir() if path.name[0] != "."]


@pytest.mark.long
@pytest.mark.parametrize("command", CALLS)
def test_a_disk_that_refuses_to_be_written(tsg, small_disk, place, command):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    options = [small_disk / value if "." in str(value) else value for value in CALLS[command]]
    status, _, error = tsg(command, "Reihe für π.npz", *options)
    assert status == 2 and one_line(error) and "cannot be written" in error, error
    assert list(small_disk.iterdir()) == []
