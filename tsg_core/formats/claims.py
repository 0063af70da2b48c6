"""What a file says of its size, compared with its size, before a decoder believes it.

Decoders allocate or list what a header states. A damaged or hostile header states terabytes, and a compressed archive
of a few megabytes can expand to them.
"""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import h5py
import numpy as np
import zarr

from ..tools.memory import check_memory

EXPANSION = 100  # recorded frames, with their noise, are compressed by a factor of 10 at most
_SMALL_BYTES = 100 * 2**20


def check_volume(shape: tuple[int, ...], itemsize: int, path: Path) -> None:
    """Raise TsgError if a volume of this shape in a file does not fit into memory beside its float32 copy."""
    what = f"{path}: a volume of {' x '.join(map(str, shape))} voxels"
    check_memory(
        (itemsize + 4) * math.prod(shape),
        what,
        remedy="close other programs, or make it of fewer voxels (tsg reconstruct IN --voxel-size)",
    )


def check_archive(path: Path) -> None:
    """Raise ValueError if a member of a ZIP archive expands more than 100-fold, to more than 100 MiB."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.file_size > max(_SMALL_BYTES, EXPANSION * member.compress_size):
                raise ValueError(
                    f"{member.filename} expands from {member.compress_size / 1e6:.3g} MB to "
                    f"{member.file_size / 1e6:.3g} MB, which no frames do; if it is sound, store it uncompressed"
                )
            if member.filename.endswith(".npy"):
                with archive.open(member) as file:
                    array_header(file, member.file_size)


def array_header(file: IO[bytes], n_bytes: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and type of an array in NumPy's format; ValueError if it has fewer bytes than it states."""
    start = file.tell()
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    wanted = file.tell() - start + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or (wanted > n_bytes and not dtype.hasobject):
        raise ValueError(f"its header states the shape {shape}, of {wanted} bytes, and there are {n_bytes}")
    return shape, is_fortran, dtype


def check_hdf5(path: Path) -> None:
    """Raise ValueError if a dataset of an HDF5 file states more chunks than the file has bytes."""
    stated: dict[str, int] = {}
    with h5py.File(path, "r") as file:

        def look(name: str, item) -> None:
            if isinstance(item, h5py.Dataset) and item.chunks:
                stated[name] = _n_chunks(item.shape, item.chunks)

        file.visititems(look)
    _check_chunks(stated, path.stat().st_size)


def check_zarr(path: Path) -> None:
    """Raise ValueError if an array of a Zarr store, a folder or a ZIP archive, states more chunks than it has bytes."""
    if path.is_dir():
        n_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        store = zarr.storage.LocalStore(path, read_only=True)
    else:
        check_archive(path)
        n_bytes = path.stat().st_size
        store = zarr.storage.ZipStore(path, mode="r")
    try:
        members = zarr.open_group(store, mode="r").members(max_depth=None)
        stated = {name: _n_chunks(item.shape, item.chunks) for name, item in members if isinstance(item, zarr.Array)}
    finally:
        store.close()
    _check_chunks(stated, n_bytes)


def _n_chunks(shape: Iterable[int], chunks: Iterable[int]) -> int:
    return math.prod(-(-n // max(1, step)) for n, step in zip(shape, chunks, strict=True))


def _check_chunks(stated: dict[str, int], n_bytes: int) -> None:
    for name, n_chunks in stated.items():
        if n_chunks > n_bytes:
            raise ValueError(f"{name} states {n_chunks} chunks, and all of it has {n_bytes} bytes")
