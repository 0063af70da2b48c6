"""Whatever options a command is given together: a result, or one line and status 2; never a traceback."""

# ruff: noqa: F811  (a fixture that is imported)

import os
import shutil
import tempfile
from pathlib import Path

import click
import numpy as np
import pytest
from ase.cluster import Octahedron
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.formats import write_volume
from tsg_core.tilt_series import TiltSeries
from tsgbook import cli

SOURCES = {
    "show": ("series.npz",),
    "prepare": ("series.npz",),
    "densify": ("series.npz",),
    "reconstruct": ("series.npz",),
    "evaluate": ("series.npz", "series.npz"),
    "simulate": ("particle.xyz",),
}
FILES = ("series.npz", "volume.mrc", "angles.txt", "particle.xyz", "empty.txt", "missing.npz", ".", "", "ä b.npz")
OUTPUTS = ("out.npz", "out.mrc", "out.tif", "out.png", "out.xf", "out", "", ".", "none/out.npz", "series.npz")
TEXTS = ("", "x", "0", "-1", "3,1", "0,1,2,3,4,5,6", "99", "nan", "Au", "auto", "none", "aberrated", "angles.txt", "ü")
NUMBERS = ("0", "-1", "1", "2", "10", "1e-9", "-1e30", "1e30", "nan", "inf", "-inf", "x", "")
QUICK = {  # values that other ones would only make slow
    "iterations": ("-1", "0", "1", "2", "x"),
    "shape": ("-4", "0", "1", "8", "16", "x"),
    "method": ("linear", "cubic", "sirt", "fbp", "none", ""),
    "engine": ("sparse", "incoherent", "none"),
    "align": ("none", "correlation", "x"),
    "phonon_configurations": ("0", "-1", "x"),
    "fit_pose": (),
}
DEFAULTS = {
    "densify": ("--method", "linear", "--background", "none"),
    "prepare": ("--align", "none"),
    "reconstruct": ("--iterations", "1"),
    "simulate": ("--shape", "8", "--step", "40"),
}


def values(option: click.Option) -> st.SearchStrategy[tuple[str, ...]]:
    """An option as one may type it: its name with as many values as it takes."""
    name = st.sampled_from([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return st.tuples(name)
    if option.name in QUICK:
        some = QUICK[option.name]
    elif isinstance(option.type, click.Choice):
        some = (*option.type.choices, "x")
    elif isinstance(option.type, click.Path):
        some = OUTPUTS if option.name in ("output", "report", "write_alignment") else FILES
    else:
        some = NUMBERS if option.type.name in ("integer", "float", "integer range") else TEXTS
    return st.tuples(name, *[st.sampled_from(some)] * option.nargs)


def called(command: str) -> st.SearchStrategy[list[str]]:
    """Arguments of a command: mostly its input and an output, and up to four options in any order."""
    options = [p for p in cli.tsg.commands[command].params if isinstance(p, click.Option) and QUICK.get(p.name) != ()]
    chosen = st.lists(st.one_of([values(option) for option in options]), max_size=4, unique_by=lambda o: o[0])
    source = st.just(SOURCES[command]) | st.tuples(*[st.sampled_from(FILES)] * len(SOURCES[command]))
    outputs = st.sampled_from(OUTPUTS[:2]) | st.sampled_from(OUTPUTS)
    output = outputs.map(lambda name: () if command == "evaluate" else ("-o", name))
    return st.builds(
        lambda source, output, chosen: [*source, *output, *DEFAULTS.get(command, ()), *sum(chosen, ())],
        source, output, chosen,
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    TiltSeries(rng.random((7, 12, 12), np.float32), np.arange(-30.0, 31.0, 10.0), 0.5).write(folder / "series.npz")
    write_volume(rng.random((12, 12, 12)), folder / "volume.mrc", voxel_size_A=0.5)
    (folder / "angles.txt").write_text("-25\n0\n2.5\n")
    (folder / "empty.txt").touch()
    Octahedron("Au", 2).write(folder / "particle.xyz")
    return folder


def check(tsg, files: Path, command: str, arguments: list[str]) -> None:
    """Call the command in a folder of its own with the files in it."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for path in files.iterdir():
            shutil.copy(path, folder)
        os.chdir(folder)
        try:
            status, _, error = tsg(command, *arguments)
        finally:
            os.chdir(before)
    assert status in (0, 2), error
    usage = error.startswith("Usage: ") and "\nError: " in error
    assert status == 0 or one_line(error) or usage, error


OPTIONS = {
    "deadline": None,
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],  # what fails is short as it is
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@pytest.mark.parametrize("command", SOURCES)
def test_a_few_calls(tsg, files, command):
    @settings(max_examples=8, derandomize=True, database=None, **OPTIONS)
    @given(called(command))
    def try_it(arguments):
        check(tsg, files, command, arguments)

    try_it()


@pytest.mark.long
@pytest.mark.parametrize("command", SOURCES)
def test_many_calls(tsg, files, command):
    @settings(max_examples=300, **OPTIONS)
    @given(called(command))
    def try_it(arguments):
        check(tsg, files, command, arguments)

    try_it()
