import hashlib
import subprocess
import sys

import numpy as np
import pytest

from tsg_core import cli
from tsg_core.formats import read_volume
from tsg_core.tilt_series import TiltSeries


@pytest.fixture
def tsg(monkeypatch, capsys):
    """Run the command in this process: (status, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tsg", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return caught.value.code or 0, said.out, said.err

    return call


@pytest.fixture
def series(tmp_path):
    """A series file of seven frames every 10 degrees, and the series."""
    rng = np.random.default_rng(1)
    series = TiltSeries(rng.random((7, 4, 12), dtype=np.float32), np.arange(-30, 31, 10.0), 0.5)
    return series.write(tmp_path / "series.npz"), series


def one_line(error):
    return error.startswith("tsg: ") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--profile", "smok"), "no profile is called 'smok'"),
        (("run", "--set", "n_training"), "must have the form key=value"),
        (("run", "--set", "rates=[13]"), "13; each must be a whole number from 1 to 12"),
        (("run", "--only", "9"), "no chapter is called '9'"),
        (("train", "--recipe", "smal"), "no recipe is called 'smal'; there is "),
        (("train", "--recipe", "missing.yaml"), "missing.yaml does not exist"),
        (("densify", "missing.npz", "-o", "out.npz"), "missing.npz does not exist"),
        (("reconstruct", "missing.mrc", "-o", "out.mrc"), "missing.mrc does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tsg, arguments, message):
    status, _, error = tsg(*arguments)
    assert status == 2 and message in error and one_line(error)


def test_an_unknown_option_is_status_2(tsg):
    status, _, error = tsg("run", "--nothing")
    assert status == 2 and "--nothing" in error


def test_ctrl_c_is_status_130(tsg, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tsg_core.pipeline.Run.run", interrupted)
    status, _, error = tsg("run")
    assert status == 130 and "interrupted" in error and "Traceback" not in error


def test_a_bug_keeps_its_traceback():
    script = "import sys, tsg_core.pipeline as p; p.Run.run = lambda *a, **k: 1 / 0; sys.argv = ['tsg', 'run']; "
    done = subprocess.run([sys.executable, "-c", f"{script}from tsg_core.cli import main; main()"], capture_output=True)
    assert done.returncode == 1 and b"ZeroDivisionError" in done.stderr


def test_densify_writes_measured_and_predicted_frames(tsg, series, tmp_path):
    path, measured = series
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    status, said, error = tsg("densify", path, "-o", tmp_path / "dense.npz", "--step", 4)
    assert (status, error) == (0, "") and "7 measured and 12 predicted frames" in said
    assert "left-out frames" in said and "reprojection" in said
    dense = TiltSeries.read(tmp_path / "dense.npz")
    assert set(np.arange(-28, 29, 4.0)) <= set(dense.tilt_deg) and set(measured.tilt_deg) <= set(dense.tilt_deg)
    assert np.array_equal(dense.frames[dense.measured], measured.frames)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_densify_of_two_frames_says_that_nothing_could_be_tried(tsg, series, tmp_path):
    series[1].subset([2, 4]).write(tmp_path / "two.npz")
    status, said, error = tsg("densify", tmp_path / "two.npz", "-o", tmp_path / "dense.npz", "--step", 2)
    assert (status, error) == (0, "") and "untested" in said


def test_densify_at_the_angles_of_a_file(tsg, series, tmp_path):
    (tmp_path / "at.txt").write_text("-25\n5.5\n10\n")
    tsg("densify", series[0], "-o", tmp_path / "dense.npz", "--at", tmp_path / "at.txt", "--method", "cubic")
    dense = TiltSeries.read(tmp_path / "dense.npz")
    assert list(dense.tilt_deg[~dense.measured]) == [-25, 5.5]
    assert dense.metadata["method"] == "cubic"


def test_reconstruct_writes_a_volume(tsg, series, tmp_path):
    from tsg_core.reconstruction import sirt

    status, said, _ = tsg("reconstruct", series[0], "-o", tmp_path / "volume.mrc", "--iterations", 5)
    assert status == 0 and "12 x 4 x 12 voxels" in said
    volume, voxel_size_A = read_volume(tmp_path / "volume.mrc")
    assert voxel_size_A == pytest.approx(0.5)
    assert np.allclose(volume, sirt(series[1], n_iterations=5))


@pytest.mark.parametrize("command", ["densify", "reconstruct"])
def test_outputs_are_not_replaced_unasked(tsg, series, tmp_path, command):
    out = tmp_path / "out.npz"
    out.write_text("mine")
    status, _, error = tsg(command, series[0], "-o", out)
    assert status == 2 and "exists; choose another name or give --overwrite" in error and out.read_text() == "mine"
    assert tsg(command, series[0], "-o", out, "--overwrite")[0] == 0
    status, _, error = tsg(command, series[0], "-o", series[0], "--overwrite")
    assert status == 2 and "never touched" in error
    status, _, error = tsg(command, series[0], "-o", tmp_path / "no" / "out.npz")
    assert status == 2 and "does not exist" in error and one_line(error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--step", 0), "must lie between"),
        (("--step", 1, "--at", "a.txt"), "exclude each other"),
        (("--method", "magic"), "magic"),
        (("--method", "tsgnet", "--checkpoint", "huge"), "neither a file nor a shipped network"),
        (("--tilts", "missing.txt"), "missing.txt does not exist"),
    ],
)
def test_wrong_options_of_densify(tsg, series, tmp_path, options, message):
    status, _, error = tsg("densify", series[0], "-o", tmp_path / "out.npz", *options)
    assert status == 2 and message in error and one_line(error)
    assert not (tmp_path / "out.npz").exists()


def test_help_is_quick_and_heavy_modules_stay_away():
    modules = "tsg_core.cli, tsg_core.pipeline, tsg_core.results"
    script = f"import sys, {modules}; print({{'torch', 'abtem', 'zarr'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
