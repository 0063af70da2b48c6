"""Frames that lie in a file and are read one at a time, in the file's own numbers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

ALL_ROWS = slice(None)


class Frames(Protocol):
    """A stack (n_tilt, n_y, n_x) that has not been read yet."""

    shape: tuple[int, int, int]
    dtype: np.dtype

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        """Frame i, or some of its rows, as an array (rows, n_x) of the file's own dtype."""


@dataclass(frozen=True)
class RawFrames:
    """Frames that lie one after the other, uncompressed, from a byte of a file on.

    They are read, not mapped: a file that is replaced meanwhile cannot end the process, and memory holds them once.
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
    """Frames of a NumPy, dask, HDF5 or Zarr array (n_tilt, n_y, n_x), or (n_y, n_x): one frame.

    `step` frames are decoded at once and kept until others are asked for: the chunk of a compressed array.
    """

    array: Any
    step: int = 1
    _decoded: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

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
        if self.step == 1:
            return np.asarray(self.array[i, rows])
        chunk, within = divmod(i, self.step)
        if chunk not in self._decoded:
            self._decoded.clear()
            self._decoded[chunk] = np.asarray(self.array[chunk * self.step : (chunk + 1) * self.step])
        return self._decoded[chunk][within, rows]
