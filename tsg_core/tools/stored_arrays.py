"""Arrays of one shape in a temporary file, for what is needed again but would take too much memory."""

import shutil
import tempfile
from collections.abc import Iterable
from threading import Lock
from weakref import finalize

import numpy as np

from ..errors import TsgError


class StoredArrays:
    """`n` float32 arrays of one shape, in a file that lies where `tempfile` puts it.

    It has no name, and vanishes with this object, or with the process if that is killed. Threads may share it. Raises
    TsgError if there is no room for it; `what` begins the line that says so.
    """

    def __init__(self, n: int, shape: tuple[int, ...], *, what: str):
        self._shape, self._n_bytes = shape, 4 * int(np.prod(shape))
        folder = tempfile.gettempdir()
        needed, free = n * self._n_bytes, shutil.disk_usage(folder).free
        if needed > free:
            raise TsgError(
                f"{what} takes {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free; "
                "set TMPDIR to one with room"
            )
        self.file, self._one_at_a_time = tempfile.TemporaryFile(), Lock()  # noqa: SIM115  (closed by `finalize`)
        finalize(self, self.file.close)

    def __getitem__(self, k: int) -> np.ndarray:
        array = np.empty(self._shape, np.float32)
        with self._one_at_a_time:
            self.file.seek(k * self._n_bytes)
            self.file.readinto(array.data)
        return array

    def stack(self, indices: Iterable[int]) -> np.ndarray:
        """The arrays with these indices, one above the other (len(indices), *shape)."""
        stacked = np.empty((len(indices := list(indices)), *self._shape), np.float32)
        for place, k in zip(stacked, indices, strict=True):
            place[...] = self[k]
        return stacked

    def __setitem__(self, k: int, array: np.ndarray) -> None:
        with self._one_at_a_time:
            self.file.seek(k * self._n_bytes)
            self.file.write(np.ascontiguousarray(array, np.float32).data)
            self.file.flush()
