import errno

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED
from tsg_core.tools.digests import disk_errors, plain
from tsgbook.artifacts import Artifacts


@pytest.fixture
def store(tmp_path):
    return Artifacts(tmp_path / "smoke")


def text(content):
    return lambda path: path.write_text(content)


def folder(**files):
    def build(path):
        path.mkdir(exist_ok=True)
        for name, content in files.items():
            (path / name).write_text(content)

    return build


def never(path):
    raise AssertionError("built anew")


def leftovers(store):
    return sorted(path.name for path in store.folder.iterdir() if "partial" in path.name)


def test_made_once_while_nothing_changes(store):
    path = store.make("test_particles.extxyz", text("a"), parameters={"n": 3})
    assert path.read_text() == "a"
    assert store.make("test_particles.extxyz", never, parameters={"n": 3}) == path
    assert store.path("test_particles.extxyz") == path
    assert leftovers(store) == []
    assert store.names() == ["test_particles.extxyz"]


@pytest.mark.parametrize("changed", [{"parameters": {"n": 4}}, {"code": ("tsg_core.sparsity",)}])
def test_made_anew_when_what_makes_it_changes(store, changed):
    store.make("frame_metrics", text("old"), parameters={"n": 3})
    path = store.make("frame_metrics", text("new"), **{"parameters": {"n": 3}, **changed})
    assert path.read_text() == "new"


def test_made_anew_when_the_content_of_an_input_changes(store):
    for content, built in (("a", "1"), ("b", "2")):
        store.make("test_a.zarr", folder(chunk=content), parameters={"content": content})
        path = store.make("frame_metrics", text(built), parameters={}, inputs=("test_a.zarr",))
        assert path.read_text() == built
    store.make("test_a.zarr", folder(chunk="b"), parameters={"content": "another way to b"})
    store.make("frame_metrics", never, parameters={}, inputs=("test_a.zarr",))


def test_provenance_says_what_made_it(store):
    store.make("tsgnet", folder(history="1"), parameters={"microscope": ABERRATED, "rates": (1, 2), "n": np.int64(3)})
    sidecar = store.provenance("tsgnet")
    assert sidecar["parameters"]["microscope"]["Cs_um"] == 100
    assert sidecar["parameters"]["rates"] == [1, 2] and sidecar["parameters"]["n"] == 3
    assert {"python", "numpy", "torch", "tsg"} <= set(sidecar["versions"])
    assert sidecar["duration_s"] >= 0 and sidecar["made"] and sidecar["files"] == {"history": 1}
    store.make("tsgnet", never, parameters={"microscope": ABERRATED, "rates": [1, 2], "n": 3})


def test_missing_artifact_names_chapter_and_command(store):
    with pytest.raises(TsgError, match=r"smoke/tsgnet is missing; chapter 05_training makes it: "
                                       r"tsg run --profile smoke --only 05_training --force"):  # fmt: skip
        store.path("tsgnet")
    with pytest.raises(TsgError, match="missing; chapter 02_simulation"):
        store.make("tsgnet", never, parameters={}, inputs=("test_aberrated.zarr",))


def test_truncated_file_is_named(store):
    path = store.make("frame_metrics", text("1,2,3"), parameters={})
    path.write_text("1,2")
    with pytest.raises(TsgError, match=r"frame_metrics is 3 bytes long instead of 5; chapter 06_prediction"):
        store.path("frame_metrics")
    path.write_text("1,2,4")
    with pytest.raises(TsgError, match="checksum"):
        store.path("frame_metrics")
    assert store.make("frame_metrics", text("1,2,3"), parameters={}).read_text() == "1,2,3"


def test_truncated_file_in_a_folder_is_named(store):
    path = store.make("test_a.zarr", folder(c0="123", c1="456"), parameters={})
    (path / "c1").write_text("4")
    with pytest.raises(TsgError, match=r"test_a.zarr/c1 is 1 bytes long instead of 3"):
        store.path("test_a.zarr")
    (path / "c1").unlink()
    with pytest.raises(TsgError, match=r"test_a.zarr/c1 is missing"):
        store.path("test_a.zarr")


def test_unfinished_artifact_does_not_count(store):
    path = store.make("frame_metrics", text("1"), parameters={})
    path.with_name("frame_metrics.json").unlink()
    with pytest.raises(TsgError, match="was not finished"):
        store.path("frame_metrics")


def test_interrupted_folder_goes_on_and_interrupted_file_starts_anew(store):
    def interrupted(path):
        folder(first="1")(path)
        raise KeyboardInterrupt

    def goes_on(path):
        assert (path / "first").read_text() == "1"
        folder(second="2")(path)

    with pytest.raises(KeyboardInterrupt):
        store.make("tsgnet", interrupted, parameters={"steps": 2})
    assert not (store.folder / "tsgnet").exists()
    assert len(leftovers(store)) == 2  # the folder, and how long it took so far
    with pytest.raises(KeyboardInterrupt):
        store.make("tsgnet", interrupted, parameters={"steps": 3})
    path = store.make("tsgnet", goes_on, parameters={"steps": 2})
    assert sorted(file.name for file in path.iterdir()) == ["first", "second"]
    assert leftovers(store) == []  # those of the other parameters neither

    def half(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make("frame_metrics", half, parameters={})
    assert leftovers(store) == []


def test_the_old_artifact_stays_until_the_new_one_is_whole(store):
    path = store.make("frame_metrics", text("old"), parameters={"n": 1})
    with pytest.raises(ZeroDivisionError):
        store.make("frame_metrics", lambda path: 1 / 0, parameters={"n": 2})
    assert path.read_text() == "old"
    assert store.path("frame_metrics") == path


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "no permission to write")]
)
def test_full_disk_and_closed_folder_are_one_line(store, number, message):
    def build(path):
        path.write_text("half")
        try:
            raise OSError(number, "from deep inside")
        except OSError as error:
            raise RuntimeError("wrapped by a library") from error

    with pytest.raises(TsgError, match=message) as caught:
        store.make("frame_metrics", build, parameters={})
    assert "frame_metrics" in str(caught.value) and "\n" not in str(caught.value)
    assert list(store.folder.iterdir()) == []


def test_other_errors_pass():
    with pytest.raises(FileNotFoundError), disk_errors("writing"):
        open("/nowhere/at/all")
    with pytest.raises(TsgError, match="own words"), disk_errors("writing"):
        raise TsgError("own words")


def test_parameters_that_cannot_be_recorded_are_refused():
    with pytest.raises(TypeError, match="object"):
        plain({"x": object()})


def test_code_cells_count_while_the_pipeline_runs_a_chapter(store, monkeypatch):
    def make(content, cells):
        monkeypatch.setattr("tsgbook.artifacts.running_code", lambda: cells)
        return store.make("frame_metrics", text(content), parameters={}).read_text()

    assert make("first", ["a"]) == "first"
    assert make("second", ["a"]) == "first"
    assert make("second", None) == "first"  # by hand, in whatever order
    assert make("second", ["b"]) == "second"
