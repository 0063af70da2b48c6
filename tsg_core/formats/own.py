"""The formats that store everything about a series, .npz and .zarr; and plain NumPy files."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.files import readable
from .claims import array_header, check_archive, check_zarr
from .frames import ArrayFrames, RawFrames
from .ome_zarr import SERIES_AXES, read_foreign_series, series_attributes
from .stack import Stack

_ZARR_CHUNK_BYTES = 4 * 2**20


def read_npy(path: Path) -> Stack:
    """Frames only: the angles come from a text file, the pixel size from the caller."""
    with readable(path), path.open("rb") as file:
        frames = _raw_frames(path, file, start=0, size=path.stat().st_size)
        if frames is None:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            frames = ArrayFrames(array)
        return Stack(frames=frames, kind="NumPy file")


def read_npz(path: Path) -> Stack:
    with readable(path), np.load(path, allow_pickle=False) as arrays:
        check_archive(path)
        if "frames" not in arrays:
            held = ", ".join(f"{name} {arrays[name].shape}" for name in arrays.files) or "nothing"
            raise TsgError(f"{path} has no array named frames; it holds {held}")
        frames = _member_frames(path, "frames.npy") or ArrayFrames(arrays["frames"])
        return _own_stack(frames, {name: arrays[name] for name in arrays.files if name != "frames"}, "NumPy archive")


def _member_frames(path: Path, name: str) -> RawFrames | None:
    """The frames of an archive if they are stored in it uncompressed."""
    with zipfile.ZipFile(path) as archive, archive.open(name) as member, path.open("rb") as file:
        info = archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        # the local header, of 30 bytes, ends with the lengths of the name and of an extra field, which come next
        file.seek(info.header_offset + 26)
        lengths = np.frombuffer(file.read(4), "<u2")
        start = info.header_offset + 30 + int(lengths.sum())
        del member
        return _raw_frames(path, file, start=start, size=info.file_size)


def _raw_frames(path: Path, file, *, start: int, size: int) -> RawFrames | None:
    """Where the array of a .npy file, which starts at a byte of `file`, lies; None for a Fortran-ordered one."""
    file.seek(start)
    shape, is_fortran, dtype = array_header(file, size)
    shape = (1, *shape) if len(shape) == 2 else shape
    return None if is_fortran or dtype.hasobject else RawFrames(path, file.tell(), shape, dtype)


def write_npz(series: TiltSeries, path: Path) -> None:
    np.savez(path, **_own_arrays(series), metadata=to_json(series.metadata))


def read_zarr(path: Path) -> Stack:
    with readable(path):
        check_zarr(path)
        group = zarr.open_group(path, mode="r")
        if "frames" not in group:
            return read_foreign_series(path, group)
        incomplete = [name for name, array in group.arrays() if array.nchunks_initialized < array.nchunks]
        if incomplete:  # zarr itself would read zeros in their place
            raise ValueError(f"chunks of {', '.join(sorted(incomplete))} are missing")
        small = {name: array[...] for name, array in group.arrays() if name != "frames"}
        frames = ArrayFrames(group["frames"], step=group["frames"].chunks[0])
        return _own_stack(frames, small | dict(group.attrs), "Zarr group")


def write_zarr(series: TiltSeries, path: Path) -> None:
    """An image of OME-Zarr whose attributes keep the rest; the frames are written a chunk, some of them, at a time."""
    shape = series.frames.shape[1:]
    stated = series_attributes(series.tilt_deg, series.pixel_size_A, shape=shape, path="frames")
    kept = {"tilt_deg": series.tilt_deg.tolist(), "measured": series.measured.tolist()}
    own = kept | {"pixel_size_A": series.pixel_size_A, "metadata": to_json(series.metadata)}
    group = zarr.create_group(path, attributes=stated | own)
    options = {"chunks": chunks_of(series.frames), "dimension_names": SERIES_AXES}
    group.create_array("frames", data=series.frames, config={"write_empty_chunks": True}, **options)


def chunks_of(frames: np.ndarray) -> tuple[int, ...]:
    """Whole frames, a few megabytes of them."""
    return (min(len(frames), max(1, _ZARR_CHUNK_BYTES // frames[0].nbytes)), *frames.shape[1:])


def _own_arrays(series: TiltSeries) -> dict[str, Any]:
    return {name: getattr(series, name) for name in ("frames", "tilt_deg", "measured", "pixel_size_A")}


def _own_stack(frames, arrays: dict, kind: str) -> Stack:
    stack = Stack(frames=frames, kind=kind)
    if "tilt_deg" in arrays:
        stack.tilt_deg, stack.angles_from = np.asarray(arrays["tilt_deg"], float), "tilt_deg"
    if "measured" in arrays:
        stack.measured = np.asarray(arrays["measured"], bool)
    if "pixel_size_A" in arrays:
        stack.pixel_size_A, stack.pixel_size_from = float(arrays["pixel_size_A"]), "pixel_size_A"
    if "metadata" in arrays:
        stack.metadata = from_json(str(arrays["metadata"]))
    return stack


def to_json(metadata) -> str:
    """JSON of nested mappings, settings (dataclasses), NumPy values and paths."""

    def plain(value):
        if dataclasses.is_dataclass(value):
            return dataclasses.asdict(value)
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        if isinstance(value, Path):
            return str(value)
        raise TsgError(f"metadata holds a {type(value).__name__}, which a file cannot keep: {value!r:.60}")

    return json.dumps(dict(metadata), default=plain)


def from_json(text: str | bytes) -> dict[str, Any]:
    """Metadata as they were, except that tuples return as lists; the history is a tuple again."""
    metadata = json.loads(text)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("sources", {}), dict):
        raise ValueError("its metadata are no names with values")
    return metadata | {"history": tuple(metadata["history"])} if "history" in metadata else metadata
