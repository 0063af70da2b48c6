"""EMD files as tomviz writes and reads them: the Berkeley layout with one group, /data/tomography.

Three vectors beside the array state its axes (https://emdatasets.com/format, EmdFormat.cxx of tomviz): angles in
[deg], then y and x in [n_m] for a series; x, y, z for a volume. tomviz takes dim3, x, for the direction of the tilt
axis, which is y here; its operator Swap Axes exchanges the two. An attribute of the group keeps what the layout has no
place for.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from .claims import check_volume
from .hdf5 import written_to_hdf5
from .lengths import in_angstrom
from .own import from_json, to_json
from .stack import Stack

_GROUP = "data/tomography"
_KEPT = "tsg"  # attribute with the own metadata, as JSON


def write_series_emd(series: TiltSeries, path: Path) -> None:
    """Write a series with the axes angles, y, x."""
    kept = {"measured": series.measured, "pixel_size_A": series.pixel_size_A, "metadata": to_json(series.metadata)}
    axes = [("angles", "[deg]", series.tilt_deg), *_in_space("yx", series.frames.shape[1:], series.pixel_size_A)]
    _write(path, series.frames, axes, attributes={_KEPT: to_json(kept)})


def write_volume_emd(volume: np.ndarray, path: Path, voxel_size_A: float) -> None:
    """Write a volume (n_y, n_z, n_x) with the axes x, y, z."""
    data = volume.transpose(2, 0, 1)
    _write(path, data, _in_space("xyz", data.shape, voxel_size_A))


def _in_space(names: str, shape: Sequence[int], step_A: float) -> list[tuple[str, str, np.ndarray]]:
    """Axes with their unit and places; tomviz counts from zero."""
    return [(name, "[n_m]", np.arange(n) * (step_A / 10)) for name, n in zip(names, shape, strict=True)]


def _write(path: Path, data: np.ndarray, axes: Sequence[tuple[str, str, np.ndarray]], *, attributes=None) -> None:
    with written_to_hdf5(path, n_bytes=data.nbytes), h5py.File(path, "w") as file:
        file.attrs.update(version_major=np.uint32(0), version_minor=np.uint32(2))
        group = file.create_group(_GROUP)
        group.attrs.update({"emd_group_type": np.uint32(1), **(attributes or {})})
        group.create_dataset("data", data=data).attrs["name"] = "intensity"
        for i, (name, unit, values) in enumerate(axes, start=1):
            group.create_dataset(f"dim{i}", data=values).attrs.update(name=name, units=unit)


def read_kept(stack: Stack, path: Path) -> None:
    """Take what the attribute of a series that was written here keeps."""
    with h5py.File(path, "r") as file:
        text = file[_GROUP].attrs.get(_KEPT) if _GROUP in file else None
    if text is not None:
        kept = json.loads(text)
        stack.measured, stack.metadata = np.array(kept["measured"], bool), from_json(kept["metadata"])
        stack.pixel_size_A = kept["pixel_size_A"]


def read_volume_emd(path: Path) -> tuple[np.ndarray, float]:
    """A volume (n_y, n_z, n_x) float32 and the edge of its voxels in angstrom, from the axes x, y, z."""
    with h5py.File(path, "r") as file:
        if f"{_GROUP}/data" not in file or file[_GROUP]["data"].ndim != 3:
            raise TsgError(f"{path} has no array of three axes in /{_GROUP}, where tomviz keeps a volume")
        check_volume(file[_GROUP]["data"].shape, file[_GROUP]["data"].dtype.itemsize, path)
        dims = [file[_GROUP][f"dim{i}"] for i in (1, 2, 3)]
        names, units = ([str(dim.attrs.get(key, "?")) for dim in dims] for key in ("name", "units"))
        if names != ["x", "y", "z"]:
            raise TsgError(f"{path} has the axes {', '.join(names)}; a volume of tomviz has x, y, z")
        steps = [float(dim[1] - dim[0]) for dim in dims if len(dim) > 1]
        edges_A = [in_angstrom(step, unit) for step, unit in zip(steps, units, strict=False)]
        if not edges_A or None in edges_A:
            raise TsgError(f"{path} states its voxel size in no known unit of length, but in {', '.join(units)}")
        if not np.allclose(edges_A, edges_A[0], rtol=1e-3):
            edges = " x ".join(f"{edge:g}" for edge in edges_A)
            raise TsgError(f"{path} has voxels of {edges} A (x, y, z); only cubic ones can be used")
        volume = np.asarray(file[_GROUP]["data"][...], np.float32).transpose(1, 2, 0)
    return np.ascontiguousarray(volume), edges_A[0]
