"""The command as a whole: mistakes, interruptions, bugs, and how quickly it comes up."""

# ruff: noqa: F811  (a fixture that is imported)

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from tsg_command import one_line, series, tsg  # noqa: F401

from tsgbook import cli


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--profile", "smok"), "no profile is called 'smok'"),
        (("run", "--set", "n_training"), "must have the form key=value"),
        (("run", "--set", "rates=[13]"), "13; each must be a whole number from 1 to 12"),
        (("run", "--only", "12"), "no chapter is called '12'"),
        (("train", "--recipe", "smal"), "no recipe is called 'smal'; there is "),
        (("train", "--recipe", "missing.yaml"), "missing.yaml does not exist"),
        (("densify", "missing.npz", "-o", "out.npz"), "missing.npz does not exist"),
        (("show", "missing.mrc"), "missing.mrc does not exist"),
        (("evaluate", "missing.mrc", "other.mrc"), "missing.mrc does not exist"),
        (("simulate", "missing.cif", "-o", "out.mrc"), "missing.cif does not exist"),
        (("reconstruct", "missing.mrc", "-o", "out.mrc"), "missing.mrc does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tsg, arguments, message):
    status, _, error = tsg(*arguments)
    assert status == 2 and message in error and one_line(error)


def test_an_unknown_option_is_status_2(tsg):
    status, _, error = tsg("run", "--nothing")
    assert status == 2 and "--nothing" in error


def raising(error):
    def run(*_, **__):
        raise error

    return run


def test_ctrl_c_is_status_130(tsg, monkeypatch):
    monkeypatch.setattr("tsgbook.pipeline.Run.run", raising(KeyboardInterrupt()))
    status, _, error = tsg("run")
    assert status == 130 and "interrupted" in error and "Traceback" not in error


@pytest.mark.parametrize(
    "work",
    [
        lambda *_, **__: np.empty(2**55),
        lambda *_, **__: torch.empty(2**55),
        raising(MemoryError()),
        raising(RuntimeError("can't start new thread")),
        raising(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))),
        raising(ImportError("_dfitpack.so: failed to map segment from shared object")),
    ],
    ids=["numpy", "torch", "nothing said", "thread", "system", "library"],
)
def test_no_memory_is_one_line_and_status_2_whoever_says_so(work, tsg, monkeypatch):
    monkeypatch.setattr("tsgbook.pipeline.Run.run", work)
    status, _, error = tsg("run")
    assert status == 2 and one_line(error) and "()" not in error
    assert error.startswith("tsg: out of memory") and "close other programs, or bin the frames" in error


def test_what_only_reconstruction_can_do_about_it_is_said_there(tsg, series, monkeypatch):
    monkeypatch.setattr("tsg_core.reconstruction.sirt", raising(MemoryError()))
    status, _, error = tsg("reconstruct", series[0], "-o", "volume.mrc")
    assert status == 2 and one_line(error) and error.rstrip().endswith("--memory, with an output in .zarr")


@pytest.mark.parametrize("error", [RuntimeError("it is broken"), OSError("it is broken"), ImportError("no module")])
def test_other_errors_keep_their_traceback(error, monkeypatch):
    monkeypatch.setattr("tsgbook.pipeline.Run.run", raising(error))
    monkeypatch.setattr(sys, "argv", ["tsg", "run"])
    with pytest.raises(type(error)):
        cli.main()


def test_a_bug_keeps_its_traceback():
    script = "import sys, tsgbook.pipeline as p; p.Run.run = lambda *a, **k: 1 / 0; sys.argv = ['tsg', 'run']; "
    done = subprocess.run([sys.executable, "-c", f"{script}from tsgbook.cli import main; main()"], capture_output=True)
    assert done.returncode == 1 and b"ZeroDivisionError" in done.stderr


def test_help_is_quick_and_heavy_modules_stay_away():
    modules = "tsgbook.cli, tsgbook.pipeline, tsgbook.results"
    script = f"import sys, {modules}; print({{'torch', 'abtem', 'zarr'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_command_alone_imports_nothing_that_computes():
    script = "import sys, tsgbook.cli; print({'numpy', 'scipy', 'matplotlib', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
