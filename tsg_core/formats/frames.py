"""Frames in a file, read one at a time, in the file's own numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..geometry import binned_frames

ALL_ROWS = slice(None)
DECODED_BYTES = 256e6  # at most, of frames that a file stores together


class Frames(Protocol):
    """A stack (n_tilt, n_y, n_x) that has not been read yet."""

    shape: tuple[int, int, int]
    dtype: np.dtype

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        """Frame i, or some of its rows, as an array (rows, n_x) of the file's own dtype."""


@dataclass(frozen=True)
class RawFrames:
    """Uncompressed frames, one after the other, from a given byte of a file on.

    They are read, not mapped: replacing the file meanwhile cannot crash the process, and memory holds them once.
    """

    path: Path
    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        _, n_y, n_x = self.shape
        start, stop, _ = rows.indices(n_y)
        first = self.offset + (i * n_y + start) * n_x * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, (stop - start) * n_x, offset=first).reshape(stop - start, n_x)


@dataclass(frozen=True)
class ArrayFrames:
    """Frames of a NumPy, dask, HDF5 or Zarr array (n_tilt, n_y, n_x), or (n_y, n_x) for one frame.

    `step` frames, the chunk of a compressed array, are decoded at once and kept until others are needed, or fewer of
    them if they are large.
    """

    array: Any
    step: int = 1
    _decoded: dict[tuple, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        shape = tuple(map(int, self.array.shape))
        return (1, *shape) if len(shape) == 2 else shape

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.array.dtype)

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        if len(self.array.shape) == 2:
            return np.asarray(self.array[rows])
        first, last, _ = rows.indices(self.shape[1])
        row_bytes = self.shape[2] * self.dtype.itemsize
        step = max(1, min(self.step, int(DECODED_BYTES // max(row_bytes * (last - first), 1))))
        if step == 1:
            return np.asarray(self.array[i, rows])
        chunk, within = divmod(i, step)
        key = chunk, step, first, last
        if key not in self._decoded:
            self._decoded.clear()
            self._decoded[key] = np.asarray(self.array[chunk * step : (chunk + 1) * step, rows])
        return self._decoded[key][within]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is kept of it, for another process."""
        return {**self.__dict__, "_decoded": {}}


@dataclass(frozen=True)
class TurnedFrames:
    """Frames whose axes have another order in the file: `axes` are those of the file, in the order (tilt, y, x).

    If a section of the file is not a frame, the whole file is read at once and kept.
    """

    stored: RawFrames
    axes: tuple[int, int, int]
    _turned: list[np.ndarray] = field(default_factory=list, init=False, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        return tuple(self.stored.shape[axis] for axis in self.axes)

    @property
    def dtype(self) -> np.dtype:
        return self.stored.dtype

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        if self.axes[0] == 0:
            return self.stored.read(i).T[rows]
        if not self._turned:
            sections = [self.stored.read(k) for k in range(self.stored.shape[0])]
            self._turned.append(np.stack(sections).transpose(self.axes))
        return self._turned[0][i, rows]


@dataclass(frozen=True)
class RecastFrames:
    """Frames whose bits are numbers of another type than the file says."""

    stored: Frames
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.stored.shape

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        frame = np.ascontiguousarray(self.stored.read(i, rows), self.stored.dtype)
        return frame.view(self.dtype)


@dataclass(frozen=True)
class CalibratedFrames:
    """Frames in which each number n means scale * n + offset; integers stay integers if possible."""

    stored: Frames
    scale: float
    offset: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype:
        is_small = self.stored.dtype.kind in "iu" and self.stored.dtype.itemsize <= 2
        is_whole = is_small and abs(self.scale) == 1 and float(self.offset).is_integer()
        return np.dtype(np.int32 if is_whole else np.float32)

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        return (self.scale * self.stored.read(i, rows).astype(float) + self.offset).astype(self.dtype)


@dataclass(frozen=True)
class ChangedFrames:
    """Frames that a function changes one by one when they are read: `each(frame, number)` of a whole frame."""

    stored: Frames
    each: Callable[[np.ndarray, int], np.ndarray]
    numbers: dict[int, int]  # in the series, by the place in the file

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        return self.each(self.stored.read(i).astype(np.float32, copy=False), self.numbers[i])[rows]


@dataclass(frozen=True)
class BinnedFrames:
    """Means over squares of `factor` pixels, in float32."""

    stored: Frames
    factor: int

    @property
    def shape(self) -> tuple[int, int, int]:
        n, n_y, n_x = self.stored.shape
        return n, n_y // self.factor, n_x // self.factor

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[1])
        first = self.stored.shape[1] % self.factor // 2
        whole = slice(first + start * self.factor, first + stop * self.factor)
        return binned_frames(self.stored.read(i, whole).astype(np.float32, copy=False), self.factor)


def recast(frames: Frames, dtype: np.dtype) -> Frames:
    """The frames with their bits read as numbers of another type."""
    return replace(frames, dtype=dtype) if isinstance(frames, RawFrames) else RecastFrames(frames, dtype)
