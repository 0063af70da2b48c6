"""HDF5 files of no particular layout, such as those of TomoPy's data exchange: one stack of several, and its angles."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import TsgError
from ..tools.files import largest_file, readable
from .choice import Picture, chosen_number
from .claims import check_hdf5
from .frames import ALL_ROWS
from .lengths import in_degrees
from .stack import Stack

SUFFIXES = (".h5", ".hdf5")
_OVERHEAD = 2**17  # bytes of metadata and of the tree that holds them
_NAMES_OF_ANGLES = ("theta", "angle", "angles", "tilt", "tilts", "tilt_angles", "tilt_deg")


@dataclass(frozen=True)
class Hdf5Frames:
    """A dataset (n_tilt, n_y, n_x) of a file that is opened for each frame, so that it is never locked for others."""

    path: Path
    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        with h5py.File(self.path, "r") as file:
            return file[self.name][i, rows]


def read_hdf5(path: Path, *, image: str | None = None) -> Stack:
    """The stack of a file; `image` chooses if it holds several datasets of three dimensions.

    Angles are a vector with a number for each frame and a unit of angle, or a name that says so.
    """
    with readable(path), h5py.File(path, "r") as file:
        check_hdf5(path)
        datasets: dict[str, h5py.Dataset] = {}
        file.visititems(lambda name, item: datasets.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        stacks = {name: item for name, item in datasets.items() if item.ndim == 3 and item.dtype.kind in "iuf"}
        if not stacks:
            held = "; ".join(f"{name} {' x '.join(map(str, item.shape))}" for name, item in datasets.items())
            raise TsgError(f"{path} holds no stack of frames, but: {held or 'nothing'}")
        pictures = [Picture(name, f"{' x '.join(map(str, item.shape))} {item.dtype}") for name, item in stacks.items()]
        name = list(stacks)[chosen_number(path, pictures, image)]
        stack = Stack(frames=Hdf5Frames(path, name, stacks[name].shape, stacks[name].dtype), kind="HDF5 file")
        vectors = {key: item for key, item in datasets.items() if item.shape == stacks[name].shape[:1]}
        _take_angles(
            stack, {key: angles for key, item in vectors.items() if (angles := _angles(key, item)) is not None}
        )
    return stack


@contextmanager
def written_to_hdf5(path: Path, *, n_bytes: int) -> Iterator[None]:
    """Refuse what has no room before it is written: HDF5 has no clean way to end where a disk or a limit ends it."""
    n_bytes += _OVERHEAD
    if shutil.disk_usage(path.parent).free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if largest_file() < n_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or errno.EIO, os.strerror(error.errno or errno.EIO)) from error


def _angles(name: str, vector: h5py.Dataset) -> np.ndarray | None:
    """The numbers of a vector in degrees, if its unit, or else its name, says that it holds angles."""
    if vector.dtype.kind not in "iuf":
        return None
    unit = _text(vector.attrs.get("units", vector.attrs.get("unit", "")))
    is_named = name.rpartition("/")[2].lower() in _NAMES_OF_ANGLES
    if not unit and not is_named:
        return None
    return in_degrees(vector[...].astype(float), unit or "deg")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _take_angles(stack: Stack, found: dict[str, np.ndarray]) -> None:
    if len({angles.tobytes() for angles in found.values()}) > 1:
        stack.no_angles = f"the vectors {' and '.join(found)} state different ones"
    elif found:
        name, stack.tilt_deg = next(iter(found.items()))
        stack.angles_from = f"the vector {name}"
