"""Work that is killed and resumed ends with the same results, bit for bit, and leaves nothing half written."""

import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import fake_book
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from killing import after, killed
from small_work import TILT_deg, data, training

from tsg_core.errors import TsgError
from tsg_core.simulation.datasets import Dataset
from tsg_core.tilt_series import TiltSeries
from tsg_core.training import HISTORY_FILE, MODEL_FILE, STATE_FILE
from tsgbook.chapters import CHAPTERS

SEED = 20_250
SHORT, LONG = 1, 5


def randomly(n_kills: int, work, *, seconds: float) -> int:
    """Kill the work at so many moments, each within the time that it takes undisturbed; the number that met it."""
    rng = random.Random(SEED)
    return sum(killed(work, when=after(rng.uniform(0, seconds))) for _ in range(n_kills))


def duration_s(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def check_training(tmp_path, *, n_steps: int, n_random: int) -> None:
    seconds = duration_s(lambda: training(tmp_path / "whole", n_steps=n_steps))
    folder = tmp_path / "killed"

    def work():
        training(folder, n_steps=n_steps)

    assert killed(work, when=(folder / STATE_FILE).exists)
    randomly(n_random, work, seconds=seconds)
    work()
    assert (folder / MODEL_FILE).read_bytes() == (tmp_path / "whole" / MODEL_FILE).read_bytes()
    tables = [pd.read_csv(tmp_path / n / HISTORY_FILE).drop(columns="samples_per_s") for n in ("whole", "killed")]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_a_killed_training_ends_with_the_same_weights(tmp_path):
    check_training(tmp_path, n_steps=10, n_random=0)


@pytest.mark.long
def test_a_training_killed_again_and_again(tmp_path):
    check_training(tmp_path, n_steps=200, n_random=LONG)


def check_data(tmp_path, *, n_particles: int, n_random: int) -> None:
    seconds = duration_s(lambda: data(tmp_path / "whole.zarr", n_particles=n_particles))
    path = tmp_path / "killed.zarr"

    def work():
        data(path, n_particles=n_particles)

    assert killed(work, when=lambda: len(list(path.glob("done/c/*/*"))) > 2)
    with pytest.raises(TsgError, match="is unfinished"):
        Dataset(path)
    randomly(n_random, work, seconds=seconds)
    work()
    for found, expected in zip(Dataset(path), Dataset(tmp_path / "whole.zarr"), strict=True):
        np.testing.assert_array_equal(found.frames, expected.frames)


def test_killed_data_end_with_the_same_frames(tmp_path):
    check_data(tmp_path, n_particles=8, n_random=0)


@pytest.mark.long
def test_data_killed_again_and_again(tmp_path):
    check_data(tmp_path, n_particles=200, n_random=LONG)


def densified(source: Path, output: Path, *, method: str) -> None:
    from tsgbook import cli

    sys.argv = ["tsg", "densify", str(source), "-o", str(output), "--method", method, "--step", "2.5"]
    sys.stdout = io.TextIOWrapper(io.BytesIO())
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.stdout = sys.__stdout__


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def check_densify(tmp_path, monkeypatch, *, n_px: int, method: str, n_random: int) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    rng = np.random.default_rng(2)
    source = TiltSeries(rng.random((13, n_px, n_px), np.float32), TILT_deg, 0.5).write(tmp_path / "in.npz")
    (tmp_path / "whole").mkdir()
    seconds = duration_s(lambda: densified(source, tmp_path / "whole" / "out.npz", method=method))
    output = tmp_path / "out.npz"
    before = visible(tmp_path)

    def work():
        densified(source, output, method=method)

    kept = tmp_path / ".out.npz.unfinished"
    assert killed(work, when=lambda: len(list(kept.glob("*.npy"))) > 1) and visible(tmp_path) == before
    for _ in range(n_random):
        randomly(1, work, seconds=seconds)
        there = visible(tmp_path) - before
        if there:  # whole, or on the way from the hidden folder to their places
            assert all((tmp_path / name).stat().st_size for name in there)
            break
    if not output.exists():
        work()
    assert {path.name for path in (tmp_path / "whole").iterdir()} <= visible(tmp_path)
    for name in ("out.npz", "out_sigma.npz"):
        found, expected = (TiltSeries.read(folder / name) for folder in (tmp_path, tmp_path / "whole"))
        np.testing.assert_array_equal(found.frames, expected.frames)


def test_a_killed_densify_leaves_nothing_half_written_and_goes_on(tmp_path, monkeypatch):
    check_densify(tmp_path, monkeypatch, n_px=16, method="cubic", n_random=0)


@pytest.mark.long
def test_densify_of_a_large_series_killed_again_and_again(tmp_path, monkeypatch):
    check_densify(tmp_path, monkeypatch, n_px=256, method="reprojection", n_random=LONG)


def test_a_killed_run_lets_the_next_one_in_and_ends_with_the_same_results(tmp_path):
    """While it runs, another one is refused; the lock that it leaves is that of a dead process, and does not count."""
    root = tmp_path / "book"
    fake_book.create(root)
    folder = root / "artifacts" / "tiny"
    seen = []

    def in_the_last_chapter() -> bool:
        if not (folder / "executed" / "02_sums.json").exists():
            return False
        with pytest.raises(TsgError, match=r"another run, process \d+ on .*, is at work in .*tiny; wait") as caught:
            fake_book.run(root)
        seen.append(str(caught.value))
        return True

    assert killed(lambda: fake_book.run(root), when=in_the_last_chapter)
    holder = json.loads((folder / ".running").read_text())["process"]
    assert f"process {holder} on" in seen[0] and holder != os.getpid()
    (root / "go").touch()
    said = fake_book.run(root)
    assert said.count("current") == 2 and "03_wait  done" in said and not (folder / ".running").exists()
    found = tables(folder)
    assert found.keys() == {"numbers.csv", "sums.json"} and found["sums.json"] == {
        "sum": sum(i * i for i in range(100))
    }


def table(path: Path) -> object:
    """The content of a table of results, without the times that it took."""
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    read = pd.read_csv(path)
    return read[[name for name in read if not name.endswith("_s")]].to_csv()


def _timeless(content):
    if isinstance(content, dict):
        return {key: _timeless(value) for key, value in content.items() if not key.endswith("_s")}
    return [_timeless(value) for value in content] if isinstance(content, list) else content


def tables(folder: Path) -> dict[str, object]:
    """Tables of results by their path: the artifacts that are .csv or .json, or hold such."""
    names = [path for path in folder.rglob("*") if path.suffix in (".csv", ".json")]
    sidecars = {path for path in folder.glob("*.json") if path.with_suffix("").exists()}
    zarr = {path for path in names if any(parent.suffix == ".zarr" for parent in path.parents)}
    chosen = [p for p in names if p not in sidecars | zarr and "executed" not in p.parts]
    return {path.relative_to(folder).as_posix(): table(path) for path in sorted(chosen)}


class InChapter:
    """True so many seconds after the chapter began to be executed by the run that starts now."""

    def __init__(self, so_far: Path, *, seconds: float):
        self.so_far, self.seconds, self.started, self.began = so_far, seconds, time.time(), None

    def __call__(self) -> bool:
        if self.began is None and self.so_far.exists() and self.so_far.stat().st_mtime > self.started:
            self.began = time.monotonic()
        return self.began is not None and time.monotonic() > self.began + self.seconds


@pytest.mark.long
def test_the_book_killed_twenty_times_has_the_same_tables(tmp_path):
    """`tsg run --profile smoke`, with one thread, undisturbed and killed twice in each of its ten chapters.

    Each time comes within half of what the chapter takes, so that what the first kill left lasts to the second.
    """
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    command = [sys.executable, "-m", "tsgbook.cli", "run", "--profile", "smoke"]
    folders = {}
    for name in ("whole", "killed"):
        for file in tracked:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, tmp_path / name / file)
        folders[name] = tmp_path / name / "artifacts" / "smoke"

    def work(name):
        one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        its_own_code = {"PYTHONPATH": str(tmp_path / name)}  # for the kernels, too
        environment = os.environ | one_thread | its_own_code
        subprocess.run(command, cwd=tmp_path / name, env=environment, check=True, stdout=subprocess.DEVNULL)

    seconds = duration_s(lambda: work("whole"))
    rng = random.Random(SEED)
    n_killed = 0
    for chapter in [chapter.name for chapter in CHAPTERS for _ in range(2)]:
        took_s = json.loads((folders["whole"] / "executed" / f"{chapter}.json").read_text())["duration_s"]
        so_far = folders["killed"] / "executed" / f"{chapter}.failed.ipynb"
        moment = InChapter(so_far, seconds=rng.uniform(0, took_s / 2))
        n_killed += killed(lambda: work("killed"), when=moment, patience_s=2 * seconds)
    work("killed")
    assert n_killed == 2 * len(CHAPTERS) == 20
    found, expected = (tables(folders[name]) for name in ("killed", "whole"))
    assert len(expected) > 3 and found == expected
