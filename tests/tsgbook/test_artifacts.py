"""Artifacts: whole or not there, with what made them, from one folder wherever the notebook runs."""

import errno
import os
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED
from tsg_core.tools import provenance
from tsg_core.tools.digests import disk_errors, plain, remove, write_json
from tsgbook.artifacts import Artifacts


@pytest.fixture
def store(tmp_path):
    return Artifacts(tmp_path / "artifacts" / "smoke")


def write(path, *, content="1", **_):
    path.write_text(str(content))


def write_folder(path, **files):
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        (path / name).write_text(content)


def made(store, name, function=write, **options):
    """Whether `make` called the function, and what it wrote."""
    sidecar = store.folder / f"{name}.json"
    before = sidecar.stat().st_mtime_ns if sidecar.exists() else None
    path = store.make(name, function, **options)
    return sidecar.stat().st_mtime_ns != before, path.read_text() if path.is_file() else None


def leftovers(store):
    return sorted(path.name for path in store.folder.iterdir() if "partial" in path.name)


def test_made_once_while_nothing_changes(store):
    path = store.make("test_particles.extxyz", write, parameters={"content": "a"})
    assert path.read_text() == "a"
    assert made(store, "test_particles.extxyz", parameters={"content": "a"}) == (False, "a")
    assert store.path("test_particles.extxyz") == path
    assert leftovers(store) == []
    assert store.names() == ["test_particles.extxyz"]


def test_the_function_is_called_with_the_parameters(store):
    assert made(store, "frame_metrics", parameters={"content": "a"}) == (True, "a")
    assert made(store, "frame_metrics", parameters={"content": "b"}) == (True, "b")
    with pytest.raises(TypeError, match="contents"):
        store.make("frame_metrics", os.mkdir, parameters={"contents": "a"})


def test_made_anew_when_the_content_of_an_artifact_changes(store):
    for content in "ab":
        store.make("test_a.zarr", write_folder, parameters={"chunk": content})
        assert made(store, "frame_metrics", inputs=("test_a.zarr",))[0]

    def another_way(path):
        write_folder(path, chunk="b")

    store.make("test_a.zarr", another_way)
    assert not made(store, "frame_metrics", inputs=("test_a.zarr",))[0]


@pytest.mark.parametrize("as_text", [True, False])
def test_a_file_outside_the_store_counts_by_its_content(store, tmp_path, as_text):
    """The same name and size, other content, as when a recording is replaced."""
    recording = tmp_path / "rec.mrc"
    given = str(recording) if as_text else recording
    recording.write_bytes(b"one")
    assert made(store, "own_sample", inputs=[given, ""])[0]
    before = recording.stat()
    recording.write_bytes(b"two")
    os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert made(store, "own_sample", inputs=[given, ""])[0]
    assert not made(store, "own_sample", inputs=[given, ""])[0]
    assert str(tmp_path) not in (store.folder / "own_sample.json").read_text()
    recording.unlink()
    with pytest.raises(TsgError, match=r"rec.mrc does not exist"):
        store.make("own_sample", write, inputs=[given])


def test_folders_outside_count_by_content_and_files_of_one_name_are_told_apart(store, tmp_path):
    for folder in ("a", "b"):
        write_folder(tmp_path / folder, **{"rec.mrc": folder})
    assert made(store, "own_sample", inputs=[tmp_path / "a"])[0]
    write_folder(tmp_path / "a", **{"rec.mrc": "c"})
    assert made(store, "own_sample", inputs=[tmp_path / "a"])[0]
    both = [tmp_path / "a" / "rec.mrc", tmp_path / "b" / "rec.mrc"]
    assert made(store, "own_sample", inputs=both)[0]
    write_folder(tmp_path / "a", **{"rec.mrc": "d"})
    assert made(store, "own_sample", inputs=both)[0]
    assert not made(store, "own_sample", inputs=both)[0]


def test_a_path_among_the_parameters_counts_by_content(store, tmp_path):
    def copy(path, *, source):
        path.write_text(source.read_text())

    for content in "ab":
        (tmp_path / "table.csv").write_text(content)
        assert made(store, "frame_metrics", copy, parameters={"source": tmp_path / "table.csv"}) == (True, content)


def test_provenance_says_what_made_it(store):
    parameters = {"microscope": ABERRATED, "rates": (1, 2), "n": np.int64(3)}
    store.make("tsgnet", write, parameters=parameters)
    sidecar = store.provenance("tsgnet")
    assert sidecar["parameters"]["microscope"]["Cs_um"] == 100
    assert sidecar["parameters"]["rates"] == [1, 2] and sidecar["parameters"]["n"] == 3
    assert {"python", "numpy", "torch", "tsg"} <= set(sidecar["versions"])
    assert sidecar["duration_s"] >= 0 and sidecar["made"]
    assert sidecar["function"]["name"].endswith("test_artifacts.write")
    assert not made(store, "tsgnet", parameters={"microscope": ABERRATED, "rates": [1, 2], "n": 3})[0]
    store.make("test_a.zarr", write_folder, parameters={"history": "1"})
    assert store.provenance("test_a.zarr")["files"] == {"history": 1}


def test_code_counts_as_it_was_when_the_store_was_opened(tmp_path, monkeypatch):
    """What a process has loaded does not change when its file does."""
    module = tmp_path / "tsg_core" / "edited_later.py"
    module.parent.mkdir()
    module.write_text("x = 1")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    Artifacts(tmp_path / "store")
    module.write_text("x = (")
    assert provenance.code_version(["tsg_core.edited_later"])


def test_missing_artifact_names_chapter_and_command(store):
    with pytest.raises(TsgError, match=r"smoke/tsgnet is missing; chapter 05_training makes it: "
                                       r"tsg run --profile smoke --only 05_training --force"):  # fmt: skip
        store.path("tsgnet")
    with pytest.raises(TsgError, match="missing; chapter 02_simulation"):
        store.make("tsgnet", write, inputs=("test_aberrated.zarr",))


def test_truncated_file_is_named(store):
    path = store.make("frame_metrics", write, parameters={"content": "1,2,3"})
    path.write_text("1,2")
    with pytest.raises(TsgError, match=r"frame_metrics is 3 bytes long instead of 5 bytes; chapter 06_prediction"):
        store.path("frame_metrics")
    path.write_text("1,2,4")
    with pytest.raises(TsgError, match="checksum"):
        store.path("frame_metrics")
    assert made(store, "frame_metrics", parameters={"content": "1,2,3"}) == (True, "1,2,3")


def test_truncated_file_in_a_folder_is_named(store):
    path = store.make("test_a.zarr", write_folder, parameters={"c0": "123", "c1": "456"})
    (path / "c1").write_text("4")
    with pytest.raises(TsgError, match=r"test_a.zarr/c1 is 1 bytes long instead of 3"):
        store.path("test_a.zarr")
    (path / "c1").unlink()
    with pytest.raises(TsgError, match=r"test_a.zarr/c1 is missing"):
        store.path("test_a.zarr")


def test_unfinished_artifact_does_not_count(store):
    path = store.make("frame_metrics", write)
    path.with_name("frame_metrics.json").unlink()
    with pytest.raises(TsgError, match="was not finished"):
        store.path("frame_metrics")


def test_interrupted_folder_goes_on_and_interrupted_file_starts_anew(store, tmp_path):
    def in_steps(path, *, n_steps):
        if not path.exists():
            write_folder(path, first=str(n_steps))
            raise KeyboardInterrupt
        assert (path / "first").read_text() == str(n_steps)
        write_folder(path, second="2")

    with pytest.raises(KeyboardInterrupt):
        store.make("tsgnet", in_steps, parameters={"n_steps": 2})
    assert not (store.folder / "tsgnet").exists()
    assert len(leftovers(store)) == 2  # the folder, and how long it took so far
    with pytest.raises(KeyboardInterrupt):
        store.make("tsgnet", in_steps, parameters={"n_steps": 3})
    path = store.make("tsgnet", in_steps, parameters={"n_steps": 2})
    assert sorted(file.name for file in path.iterdir()) == ["first", "second"]
    assert leftovers(store) == []  # those of the other parameters neither

    def half(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make("frame_metrics", half)
    assert leftovers(store) == []


def test_the_time_before_an_interruption_counts_as_long_as_its_work_is_there(store, monkeypatch):
    """By a clock that goes on by a second each time that it is looked at."""
    clock = SimpleNamespace(perf_counter=count(100.0).__next__)
    monkeypatch.setattr("tsgbook.artifacts.time", clock)

    def in_two(path):
        write_folder(path, first="1")
        if not os.environ.get("GOES_ON"):
            raise KeyboardInterrupt

    def duration_s(name, *, lose_work):
        with pytest.raises(KeyboardInterrupt):
            store.make(name, in_two)
        (before,) = store.folder.glob("*.seconds")
        assert float(before.read_text()) == 1
        before.write_text("50.0004")
        if lose_work:
            remove(before.with_suffix(""))
        with monkeypatch.context() as patch:
            patch.setenv("GOES_ON", "1")
            store.make(name, in_two)
        return store.provenance(name)["duration_s"]

    assert duration_s("tsgnet", lose_work=False) == 51  # a recipe tells milliseconds
    assert duration_s("object_dose", lose_work=True) == 1


def test_what_a_killed_process_left_of_a_file_is_not_gone_on_with(store):
    parent = os.getpid()

    def once(path):
        assert not path.exists()
        path.write_text("half")
        if os.getpid() != parent:
            os._exit(0)
        path.write_text("whole")

    if (child := os.fork()) == 0:
        try:
            store.make("frame_metrics", once)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    assert len(leftovers(store)) == 1
    assert made(store, "frame_metrics", once) == (True, "whole") and leftovers(store) == []


def test_what_is_forgotten_is_made_from_scratch(store):
    def resumes(path):
        assert not path.exists()
        write_folder(path, first="1")
        raise KeyboardInterrupt

    store.make("tsgnet", write)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            store.make("tsgnet", resumes)
        store.forget("tsgnet")
    assert leftovers(store) == [] and made(store, "tsgnet") == (True, "1")


def test_a_result_without_its_own_sidecar_is_unfinished(store, monkeypatch):
    """The power fails after the result has taken its place, before its sidecar has."""
    store.make("frame_metrics", write, parameters={"content": "old"})
    with monkeypatch.context() as patch:
        patch.setattr("tsgbook.artifacts.write_json", lambda path, content: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.make("frame_metrics", write, parameters={"content": "new"})
    with pytest.raises(TsgError, match="was not finished"):
        store.path("frame_metrics")


def test_a_sidecar_needs_no_more_than_says_whether_the_artifact_is_whole(store):
    store.make("table.csv", write)
    sidecar = store.provenance("table.csv")
    needed = {key: sidecar[key] for key in ("bytes", "sha256", "duration_s", "made")}
    write_json(store.folder / "table.csv.json", needed)
    assert store.path("table.csv").read_text() == "1"
    write_json(store.folder / "table.csv.json", {key: needed[key] for key in ("bytes", "duration_s", "made")})
    with pytest.raises(TsgError, match="table.csv was not finished; no chapter makes it"):
        store.path("table.csv")


def fail(path):
    raise ZeroDivisionError


def test_a_function_that_writes_nothing_is_named(store):
    def forgets(path):
        pass

    with pytest.raises(TsgError, match="forgets wrote nothing at the path that it was given"):
        store.make("frame_metrics", forgets)


def test_the_old_artifact_stays_until_the_new_one_is_whole(store):
    path = store.make("frame_metrics", write, parameters={"content": "old"})
    with pytest.raises(ZeroDivisionError):
        store.make("frame_metrics", fail)
    assert path.read_text() == "old"
    assert store.path("frame_metrics") == path


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "no permission to write")]
)
def test_full_disk_and_closed_folder_are_one_line(store, number, message):
    def full(path, *, number):
        path.write_text("half")
        try:
            raise OSError(number, "from deep inside")
        except OSError as error:
            raise RuntimeError("wrapped by a library") from error

    with pytest.raises(TsgError, match=message) as caught:
        store.make("frame_metrics", full, parameters={"number": number})
    assert "frame_metrics" in str(caught.value) and "\n" not in str(caught.value)
    assert list(store.folder.iterdir()) == []


def test_other_errors_pass():
    with pytest.raises(FileNotFoundError), disk_errors("writing"):
        Path("/nowhere/at/all").read_text()
    with pytest.raises(TsgError, match="own words"), disk_errors("writing"):
        raise TsgError("own words")


def test_parameters_that_cannot_be_recorded_are_refused():
    with pytest.raises(TypeError, match="object"):
        plain({"x": object()})


def draw(path):
    import random

    import torch

    path.write_text(f"{random.random()} {np.random.normal()} {torch.rand(1).item()}")


def test_a_result_does_not_depend_on_what_was_drawn_before(store):
    """Global generators are in no recipe: seeding them, or drawing from them, must not change what is made."""
    import random

    import torch

    def seed_all(seed):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)

    def drawn():
        return random.random(), np.random.normal(), torch.rand(1).item()

    found = []
    for seed in (3, 4):
        seed_all(seed)
        expected = drawn()
        seed_all(seed)
        found.append(made(store, "frame_metrics", draw)[1])
        assert drawn() == expected  # the notebook goes on with its own
        store.forget("frame_metrics")
    assert found[0] == found[1]


@pytest.mark.parametrize("where", [ROOT, ROOT / "notebooks", ROOT.parent, "/"])
def test_a_relative_folder_lies_in_the_repository_from_wherever(where, monkeypatch):
    monkeypatch.chdir(where)
    assert Artifacts("artifacts/smoke").folder == ROOT / "artifacts" / "smoke"
    assert Artifacts("/elsewhere/smoke").folder.as_posix() == "/elsewhere/smoke"
    with pytest.raises(TsgError, match=r"artifacts='../artifacts/smoke' leads out of the repository"):
        Artifacts("../artifacts/smoke")
