"""`tsg reconstruct --memory` into OME-Zarr: from the disk, the same volume, with the memory of a slab."""

# ruff: noqa: F811  (a fixture that is imported)

import tracemalloc

import distributed
import numpy as np
import pytest
from phantoms import film, series_of, spots
from tsg_command import tsg  # noqa: F401

from tsg_core.formats import open_series, own, read_volume
from tsg_core.formats.ome_zarr import VolumeFile
from tsg_core.reconstruction import in_slabs, sirt
from tsg_core.reconstruction.linear_system import needed_bytes
from tsg_core.reconstruction.projection import Box
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.cluster import VARIABLE

rng = np.random.default_rng(0)
SPOTS = series_of(spots(n_y=12, n=24))
COUNTS = (2000 * SPOTS.frames / SPOTS.frames.max() + 300 + rng.normal(0, 5, SPOTS.frames.shape)).astype(np.uint16)
FOR_FIVE_ROWS_GB = needed_bytes(len(SPOTS), 5, 24, n_frames=2) / 1e9


def counted(folder):
    """A recording as a detector writes it, in counts above an offset."""
    np.save(folder / "counts.npy", COUNTS)
    angles = folder / "angles.txt"
    angles.write_text("\n".join(map(str, SPOTS.tilt_deg)))
    return folder / "counts.npy", "--tilts", angles, "--pixel-size", 0.5


@pytest.mark.parametrize(
    "options",
    [
        ("--iterations", 4, "--centre", "auto"),
        ("--method", "fbp", "--background", 290),
        ("--iterations", 4, "--voxel-size", 1, "--png"),
    ],
)
def test_a_recording_on_disk_gives_the_volume_of_one_in_memory(tsg, tmp_path, options):
    said = {}
    for name, memory in (("whole", ()), ("slabs", ("--memory", FOR_FIVE_ROWS_GB))):
        status, told, error = tsg("reconstruct", *counted(tmp_path), "-o", tmp_path / f"{name}.zarr", *options, *memory)
        assert (status, error) == (0, "")
        said[name] = told.replace(name, "NAME")
    assert said["whole"] == said["slabs"]
    assert "background" in said["whole"] or "offset was subtracted" in said["whole"]
    (whole, edge_A), (slabs, also_A) = (read_volume(tmp_path / f"{name}.zarr") for name in ("whole", "slabs"))
    assert edge_A == also_A and whole.any()
    np.testing.assert_allclose(slabs, whole, atol=1e-5 * whole.max())


def test_slabs_go_to_workers_and_chunks_are_whole_slabs(tsg, tmp_path):
    path = film(np.arange(-66.0, 67.0, 6.0), n_y=7).write(tmp_path / "film.zarr")
    options = ("--iterations", 5, "--thickness", 13, "--object-width", 60)
    memory_GB = needed_bytes(23, 3, 40, n_frames=2, box=Box(26, 120)) / 1e9
    in_threads = {"threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=2, **in_threads) as workers, distributed.Client(workers):
        status, _, error = tsg("reconstruct", path, "-o", tmp_path / "slabs.zarr", *options, "--memory", memory_GB)
        assert (status, error) == (0, "")
    assert tsg("reconstruct", path, "-o", tmp_path / "whole.npz", *options)[0] == 0
    (whole, _), (slabs, _) = (read_volume(tmp_path / name) for name in ("whole.npz", "slabs.zarr"))
    assert whole.shape == (7, 26, 40)
    np.testing.assert_allclose(slabs, whole, atol=1e-5 * whole.max())
    assert 1 <= VolumeFile.of(tmp_path / "slabs.zarr").array.chunks[1] < 7


def test_memory_holds_a_slab_and_neither_series_nor_volume(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "_ZARR_CHUNK_BYTES", 2**18)
    volume = np.tile(spots(n_y=16, n=32), (256, 1, 1))
    series = series_of(volume, tilt_deg=np.arange(-70.0, 71.0, 20.0))
    path, both = series.write(tmp_path / "a.zarr"), series.frames.nbytes + volume.nbytes
    expected = sirt(series, n_iterations=2)
    del volume, series
    file = VolumeFile.create(tmp_path / "v.zarr", expected.shape, voxel_size_A=1, chunk_rows=128)
    tracemalloc.start()
    try:
        in_slabs(open_series(path).looked_through(), file, n_rows=256, n_iterations=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(read_volume(tmp_path / "v.zarr")[0], expected, atol=1e-6)
    assert peak < both / 4


def test_what_cannot_be_spread_or_is_too_large_is_said(tsg, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "local:2")
    path = SPOTS.write(tmp_path / "spots.npz")
    options = ("-o", tmp_path / "v.npz", "--iterations", 1, "--memory", 1)
    assert "note: the scheduler is not used: it needs --memory and -o OUT.zarr" in tsg("reconstruct", path, *options)[2]
    status, _, error = tsg("reconstruct", path, "-o", tmp_path / "v.zarr", "--memory", 1e-6)
    assert status == 2 and "a slab of one row takes" in error and not (tmp_path / "v.zarr").exists()
    constant = TiltSeries(np.ones((7, 12, 16)), np.arange(7.0), 0.5).write(tmp_path / "c.zarr")
    assert "has no contrast" in tsg("reconstruct", constant, "-o", tmp_path / "v.zarr", "--memory", 1)[2]
    assert "is not known" in tsg("reconstruct", path, "-o", tmp_path / "v.zarr", "--scheduler", "here")[2]
