"""Artifacts of every kind that are changed or cut on the disk: noticed, named, and made anew as they were."""

import json
from pathlib import Path

import fake_book
import matplotlib.image
import numpy as np
import pytest
import torch
from ase.cluster import Octahedron
from safetensors.torch import save_file

from tsg_core.errors import TsgError
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.digests import checksum, read_json
from tsgbook.artifacts import Artifacts

VALUES = np.random.default_rng(0).random((4, 8, 8), dtype=np.float32)


def series(path):
    TiltSeries(VALUES, np.arange(4.0), 1.0).write(path, overwrite=True)


def arrays(path):
    np.savez(path, volume=VALUES)


def table(path):
    path.write_text("gap,psnr_dB\n2,30.5\n4,28.25\n")


def numbers(path):
    path.write_text(json.dumps({"psnr_dB": 30.5}))


def weights(path):
    save_file({"weight": torch.arange(6.0)}, path)


def picture(path):
    matplotlib.image.imsave(path, VALUES[0])


def atoms(path):
    Octahedron("Au", 2).write(path)


def training(path):
    path.mkdir(exist_ok=True)
    weights(path / "model.safetensors")
    table(path / "history.csv")


KINDS = {
    "test_a.zarr": series,
    "example.npz": arrays,
    "table.csv": table,
    "numbers.json": numbers,
    "model.safetensors": weights,
    "picture.png": picture,
    "atoms.extxyz": atoms,
    "tsgnet": training,
}


def largest_file(path: Path) -> Path:
    return max((p for p in (path, *path.rglob("*")) if p.is_file()), key=lambda p: p.stat().st_size)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def swap(path: Path) -> None:
    """Other contents of the same length."""
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [flip, cut, swap])
@pytest.mark.parametrize("name", KINDS)
def test_damage_is_noticed_and_made_good(tmp_path, name, damage):
    path = Artifacts(tmp_path).make(name, KINDS[name])
    whole = checksum(path)
    damage(largest_file(path))
    with pytest.raises(TsgError, match=rf"{name}.* (is not what was written|bytes long instead of)") as caught:
        Artifacts(tmp_path).path(name)
    assert "\n" not in str(caught.value)
    assert Artifacts(tmp_path).make(name, KINDS[name]) == path and checksum(path) == whole
    assert Artifacts(tmp_path).path(name) == path


def test_a_folder_is_read_through_once_by_a_process_and_its_sizes_are_always_compared(tmp_path, monkeypatch):
    store = Artifacts(tmp_path)
    path = store.make("tsgnet", training)
    later = Artifacts(tmp_path)
    read = []
    monkeypatch.setattr("tsgbook.artifacts.checksum", lambda p: read.append(p) or checksum(p))
    store.path("tsgnet")
    assert read == []  # its own work
    for _ in range(3):
        later.path("tsgnet")
    assert read == [path]
    cut(path / "history.csv")
    with pytest.raises(TsgError, match="history.csv is .* bytes long instead of"):
        later.path("tsgnet")


def test_whatever_byte_of_the_sidecar_changes_the_artifact_is_there_or_is_named(tmp_path):
    path = Artifacts(tmp_path).make("table.csv", table)
    sidecar = tmp_path / "table.csv.json"
    content = sidecar.read_bytes()
    for position in range(0, len(content), 5):
        changed = bytearray(content)
        changed[position] ^= 1
        sidecar.write_bytes(changed)
        try:
            assert Artifacts(tmp_path).path("table.csv") == path
        except TsgError as error:
            assert "table.csv" in str(error) and "\n" not in str(error)
    for end in range(0, len(content) - 2, 7):
        sidecar.write_bytes(content[:end])
        with pytest.raises(TsgError, match="was not finished"):
            Artifacts(tmp_path).path("table.csv")


@pytest.fixture(scope="module")
def first_chapter(tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    fake_book.create(root)
    fake_book.run(root, only="01")
    return root


def test_a_run_says_what_was_damaged_and_makes_it_anew(first_chapter):
    path = first_chapter / "artifacts" / "tiny" / "numbers.csv"
    whole = path.read_bytes()
    flip(path)
    said = fake_book.run(first_chapter, only="01")
    assert "01_numbers runs: " in said and "numbers.csv is not what was written (its checksum differs)" in said
    assert path.read_bytes() == whole and fake_book.book(first_chapter).plan()["01_numbers"] == ""


@pytest.mark.parametrize("damage", [flip, cut, swap])
@pytest.mark.parametrize("suffix", ["ipynb", "json"])
def test_a_damaged_executed_notebook_is_run_again(first_chapter, suffix, damage):
    path = first_chapter / "artifacts" / "tiny" / "executed" / f"01_numbers.{suffix}"
    whole = path.read_bytes()
    damage(path)
    why = fake_book.book(first_chapter).plan()["01_numbers"]
    path.write_bytes(whole)
    if suffix == "ipynb":
        assert why.endswith("01_numbers.ipynb is not what was written (its checksum differs)")
    else:
        assert why or read_json(path)  # what a byte of a date says makes nothing wrong
    assert fake_book.book(first_chapter).plan()["01_numbers"] == ""
