"""A limit on the size of files (EFBIG) ends a command in one line, with nothing half written."""

# ruff: noqa: F811  (a fixture that is imported)

import errno

import numpy as np
import pytest
from ase.cluster import Octahedron
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.tilt_series import TiltSeries

resource = pytest.importorskip("resource")
TILT_deg = np.arange(-30.0, 31.0, 10.0)
QUICK = ("--align", "none", "--background", "none")
LINEAR = ("--method", "linear", "--step", 5, "--background", "none")
SUFFIXES = ("npz", "mrc", "tif", "hspy", "zspy", "zarr", "emd")
CALLS = {
    **{f"prepare {s}": ("prepare", "in.npz", "-o", f"out.{s}", *QUICK) for s in SUFFIXES},
    **{f"densify {s}": ("densify", "in.npz", "-o", f"out.{s}", *LINEAR) for s in ("npz", "hspy", "tif")},
    **{f"reconstruct {s}": ("reconstruct", "in.npz", "-o", f"out.{s}", "--iterations", 1) for s in ("npz", "mrc")},
    "the picture of slices": ("reconstruct", "in.npz", "-o", "out.npz", "--iterations", 1, "--png"),
    "show": ("show", "in.npz", "-o", "out.png"),
    "simulate": ("simulate", "particle.xyz", "-o", "out.mrc", "--shape", 40, "--step", 20),
}


@pytest.fixture
def limited(tmp_path, monkeypatch):
    """A folder with a series and a structure, in which no file may grow beyond 20 kB; Python ignores the signal."""
    monkeypatch.chdir(tmp_path)
    TiltSeries(np.random.default_rng(0).random((7, 40, 40)), TILT_deg, 0.5).write("in.npz")
    Octahedron("Au", 3).write("particle.xyz")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", CALLS)
def test_a_file_that_may_not_be_so_large(tsg, limited, name):
    status, _, error = tsg(*CALLS[name])
    assert status == 2 and one_line(error) and "ulimit -f" in error, error
    assert {p.name for p in limited.iterdir() if p.name[0] != "."} == {"in.npz", "particle.xyz"}


def test_an_output_that_was_there_stays(tsg, limited):
    (limited / "out.mrc").write_text("mine")
    status, _, error = tsg("prepare", "in.npz", "-o", "out.mrc", *QUICK, "--overwrite")
    assert status == 2 and one_line(error) and (limited / "out.mrc").read_text() == "mine"


def test_the_report_of_densify_is_written_whole_or_not_at_all(tsg, limited):
    """The frames fit within the limit, the page with its figures does not."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    status, _, error = tsg("densify", "in.npz", "-o", "out.npz", *LINEAR)
    assert status == 2 and one_line(error) and "no file so large" in error
    assert not list(limited.glob("out*"))


def test_the_number_that_the_system_gives():
    from tsg_core.tools.files import why_not_written

    assert "ulimit -f" in why_not_written(OSError(errno.EFBIG, "File too large"))
    assert "free some space" in why_not_written(OSError(errno.ENOSPC, "No space left on device"))
    assert "free some space" in why_not_written(OSError("11200 requested and 4896 written"))
    assert why_not_written(OSError(errno.EACCES, "Permission denied")) == "Permission denied"
