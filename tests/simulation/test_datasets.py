"""Stores that are written in several sittings hold the same frames as those written in one."""

from dataclasses import replace

import distributed
import numpy as np
import pytest
import zarr
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.simulation import datasets, simulate_tilt_series
from tsg_core.simulation.datasets import Dataset, write_dataset

PARTICLES = [
    Atoms("Au3", positions=[[1.0, 2.0, 3.0], [-2.0, 1.0, 0.0], [0.0, -3.0, 1.0]], info={"name": "gold"}),
    Atoms("AlPt", positions=[[1.0, 0.0, 0.0], [-1.0, 0.5, 2.0]], info={"rotation": np.array([0.0, 0.0, 0.0, 1.0])}),
]
SETTINGS = {
    "microscope": NON_ABERRATED,
    "tilt_deg": np.arange(-60.0, 61.0, 20.0),
    "shape": 24,
    "field_of_view_A": 12.0,
    "dose_per_A2": 1e4,
    "seed": 3,
}


def test_frames_atoms_and_manifest_come_back(tmp_path):
    data = Dataset(write_dataset(tmp_path / "a.zarr", PARTICLES, **SETTINGS))
    assert len(data) == 2 and data.names == ["gold", "particle 1"] and data.microscope == NON_ABERRATED
    direct = simulate_tilt_series(PARTICLES[1], **{**SETTINGS, "seed": 4})
    assert np.array_equal(data[1].frames, direct.frames)
    assert data[1].pixel_size_A == direct.pixel_size_A and data[1].metadata["dose_per_A2"] == 1e4
    assert data[-1].metadata["seed"] == 4 and data[0].metadata["versions"]["abtem"]
    for i, atoms in enumerate(PARTICLES):
        assert data.atoms(i).get_chemical_symbols() == atoms.get_chemical_symbols()
        assert np.array_equal(data.atoms(i).positions, atoms.positions)
    assert data.atoms(1).info["rotation"] == [0.0, 0.0, 0.0, 1.0]
    assert [len(series) for series in data] == [7, 7]


@pytest.mark.parametrize("tilt_block", [1, 3, 7, 100])
def test_frames_do_not_depend_on_the_blocks(tmp_path, tilt_block):
    data = Dataset(write_dataset(tmp_path / "a.zarr", PARTICLES, tilt_block=tilt_block, **SETTINGS))
    assert np.array_equal(data[0].frames, simulate_tilt_series(PARTICLES[0], **SETTINGS).frames)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_interrupted_store_goes_on_where_it_was(tmp_path, monkeypatch, after):
    whole = Dataset(write_dataset(tmp_path / "whole.zarr", PARTICLES, tilt_block=3, **SETTINGS))
    path, calls = tmp_path / "parts.zarr", []

    def interrupted(*arguments, **settings):
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(settings["tilt_deg"])
        return simulate_tilt_series(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(datasets, "simulate_tilt_series", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(path, PARTICLES, tilt_block=3, **SETTINGS)
    with pytest.raises(TsgError, match=f"unfinished: {after} of 6 blocks"):
        Dataset(path)
    if after:  # frames that were written without their mark do not count
        zarr.open_group(path, mode="a")["frames"][1, 6:] = 9.0
    write_dataset(path, PARTICLES, tilt_block=3, **SETTINGS)
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(Dataset(path), whole, strict=True))


def test_workers_write_the_same_frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    in_threads = {"threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=2, **in_threads) as workers, distributed.Client(workers):
        spread = Dataset(write_dataset("spread.zarr", PARTICLES, tilt_block=3, **SETTINGS))
    alone = Dataset(write_dataset("alone.zarr", PARTICLES, tilt_block=3, **SETTINGS))
    assert spread.manifest == alone.manifest
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(spread, alone, strict=True))


def test_a_finished_store_is_not_simulated_again(tmp_path, monkeypatch):
    write_dataset(tmp_path / "a.zarr", PARTICLES, **SETTINGS)
    monkeypatch.setattr(datasets, "simulate_tilt_series", None)
    write_dataset(tmp_path / "a.zarr", PARTICLES, **SETTINGS)


def test_a_store_from_before_a_setting_was_added_is_gone_on_with(tmp_path):
    path = write_dataset(tmp_path / "a.zarr", PARTICLES, **SETTINGS)
    group = zarr.open_group(path, mode="a")
    group.attrs["microscope"] = {k: v for k, v in group.attrs["microscope"].items() if k != "source_size_A"}
    write_dataset(path, PARTICLES, **SETTINGS)
    with pytest.raises(TsgError, match="begun with other microscope"):
        write_dataset(path, PARTICLES, **SETTINGS | {"microscope": replace(NON_ABERRATED, source_size_A=0.5)})


@pytest.mark.parametrize(
    ("change", "named"),
    [({"microscope": ABERRATED}, "microscope"), ({"seed": 4}, "seed"), ({"particles": PARTICLES[::-1]}, "particles")],
)
def test_a_store_is_not_continued_with_other_settings(tmp_path, change, named):
    write_dataset(tmp_path / "a.zarr", PARTICLES, **SETTINGS)
    settings = {"particles": PARTICLES, **SETTINGS, **change}
    with pytest.raises(TsgError, match=f"begun with other {named}"):
        write_dataset(tmp_path / "a.zarr", settings.pop("particles"), **settings)


def test_missing_foreign_and_empty_stores(tmp_path):
    with pytest.raises(TsgError, match=r"nowhere\.zarr holds no data set"):
        Dataset(tmp_path / "nowhere.zarr")
    zarr.open_group(tmp_path / "foreign.zarr", mode="w")
    with pytest.raises(TsgError, match=r"foreign\.zarr holds no data set"):
        Dataset(tmp_path / "foreign.zarr")
    with pytest.raises(TsgError, match="no particles"):
        write_dataset(tmp_path / "a.zarr", [], **SETTINGS)
    with pytest.raises(IndexError):
        Dataset(write_dataset(tmp_path / "a.zarr", PARTICLES, **SETTINGS))[2]
