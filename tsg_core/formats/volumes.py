"""Volumes as files: .mrc or .rec, .zarr (OME-Zarr), .emd (tomviz), and .npz."""

from pathlib import Path

import numpy as np

from ..errors import TsgError
from ..tools.files import existing, readable, replaced_when_whole
from .claims import check_archive
from .mrc import SUFFIXES as MRC_SUFFIXES
from .mrc import edge_A, read_header, read_mrc, write_data
from .ome_zarr import read_volume_zarr, write_volume_zarr
from .signs import settle_signs
from .tomviz import read_volume_emd, write_volume_emd

_SUFFIXES = (".npz", ".zarr", ".emd", *MRC_SUFFIXES)
_READERS = {".zarr": read_volume_zarr, ".emd": read_volume_emd}
_WRITERS = {".zarr": write_volume_zarr, ".emd": write_volume_emd}


def read_volume(path: str | Path) -> tuple[np.ndarray, float]:
    """A volume (n_y, n_z, n_x) float32 and the edge of its cubic voxels in angstrom.

    MRC and OME-Zarr files store (z, y, x), tomviz (x, y, z); the axes are reordered here, of MRC by its axis map.
    """
    path = existing(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with readable(path), np.load(path, allow_pickle=False) as arrays:
            check_archive(path)
            return np.asarray(arrays["volume"], np.float32), float(arrays["voxel_size_A"])
    if suffix in _READERS:
        with readable(path):
            return _READERS[suffix](path)
    if suffix not in MRC_SUFFIXES:
        raise _unknown_suffix(path)
    header, _, _ = read_header(path)
    edge = edge_A(path, header)
    if edge is None:
        raise TsgError(f"{path} does not state its voxel size")
    stack = read_mrc(path)
    settle_signs(stack)
    with readable(path):
        data = np.stack([stack.frames.read(i) for i in range(stack.frames.shape[0])])
    volume = data.transpose(1, 0, 2)
    return np.ascontiguousarray(volume, np.float32), edge


def write_volume(volume: np.ndarray, path: str | Path, *, voxel_size_A: float, overwrite: bool = False) -> Path:
    """Write a volume (n_y, n_z, n_x) by suffix as .mrc or .rec, .zarr, .emd or .npz, with the voxel size."""
    path, volume = Path(path), np.asarray(volume, np.float32)
    if volume.ndim != 3:
        raise TsgError(f"a volume of shape {volume.shape} must have the axes (n_y, n_z, n_x)")
    check_volume_writable(path)
    with replaced_when_whole(path, overwrite=overwrite) as (partial,):
        if path.suffix.lower() == ".npz":
            np.savez(partial, volume=volume, voxel_size_A=voxel_size_A)
        elif path.suffix.lower() in _WRITERS:
            _WRITERS[path.suffix.lower()](volume, partial, voxel_size_A)
        else:
            write_data(np.ascontiguousarray(volume.transpose(1, 0, 2)), partial, voxel_size_A, is_volume=True)
    return path


def check_volume_writable(path: Path) -> None:
    """Raise TsgError if `write_volume` cannot write the format that the suffix names."""
    if path.suffix.lower() not in _SUFFIXES:
        raise _unknown_suffix(path)


def _unknown_suffix(path: Path) -> TsgError:
    return TsgError(f"{path} has the suffix {path.suffix!r}; those known are {', '.join(_SUFFIXES)}")
