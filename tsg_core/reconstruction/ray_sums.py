"""Sums along rays and back for slices whose system matrix would not fit into memory: weights are computed on the fly.

The weights are those of `projection`. Seen from the detector, the share of a voxel in a ray falls linearly with their
distance, to zero at max(|cos|, |sin|) of a pixel, in both directions of sampling. The N_ROWS slices of a block are
processed together, with the row as the last axis, so that one weight serves a run of neighbouring numbers.
"""

from functools import cached_property

import numpy as np

from .projection import Box
from .projector import Projector
from .ray_loops import N_ROWS, correct, project, project_back

MAX_TILTS = 12  # at once: few enough for the rays to stay in the cache
CACHE_LINE = 64  # bytes; runs of numbers that do not cross from one line to the next are read faster


class RaySums(Projector):
    """Sums along the rays of frames of `n_pixels` columns at `tilt_deg` through a box, N_ROWS slices at a time."""

    def __init__(self, tilt_deg: np.ndarray, *, n_pixels: int, box: Box):
        tilt = np.deg2rad(np.atleast_1d(np.asarray(tilt_deg, np.float64)))
        cos, sin = np.cos(tilt), np.sin(tilt)
        sharpness = 1 / np.maximum(np.abs(cos), np.abs(sin))
        self.n_pixels, self.box = n_pixels, box
        self._angles = tuple(values.astype(np.float32) for values in (cos, sin, sharpness))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        frames = np.empty((len(self._angles[0]), self.n_pixels, N_ROWS), np.float32)
        for some in self._portions():
            angles = tuple(values[some] for values in self._angles)
            sums = self._padded(len(angles[0]))
            project(x.reshape(-1), *self._shape, *angles, sums.reshape(-1), self.n_pixels)
            frames[some] = sums[:, 1 : self.n_pixels + 1]
        return frames.reshape(-1, N_ROWS)

    def T(self, y: np.ndarray) -> np.ndarray:
        frames = y.reshape(-1, self.n_pixels, N_ROWS)
        block = np.zeros((self.box.n_voxels, N_ROWS), np.float32)
        for some in self._portions():
            angles = tuple(values[some] for values in self._angles)
            padded = self._padded(len(angles[0]), frames[some])
            project_back(block.reshape(-1), *self._shape, padded.reshape(-1), self.n_pixels, *angles)
        return block

    def correct(self, x: np.ndarray, ratio: np.ndarray, *, least_seen: float, least: float) -> None:
        """x <- x A^T ratio / A^T 1, in place, as `expectation_maximisation.em_correction` does, in one pass.

        Voxels that are zero in all slices are passed over; most of the space around an object soon is.
        """
        padded = self._padded(len(self._angles[0]), ratio.reshape(-1, self.n_pixels, N_ROWS)).reshape(-1)
        seen, limits = self.voxel_sums.reshape(self._shape), (np.float32(least_seen), np.float32(least))
        correct(x.reshape(-1), *self._shape, padded, self.n_pixels, *self._angles, seen, *limits)

    @cached_property
    def ray_sums(self) -> np.ndarray:
        return self(np.ones((self.box.n_voxels, N_ROWS), np.float32))[:, :1]

    @cached_property
    def voxel_sums(self) -> np.ndarray:
        return self.T(np.ones((len(self._angles[0]) * self.n_pixels, N_ROWS), np.float32))[:, :1].copy()

    @property
    def _shape(self) -> tuple[int, int]:
        return self.box.n_z, self.box.n_x

    def _padded(self, n_tilt: int, frames: np.ndarray | float = 0.0) -> np.ndarray:
        """Frames (n_tilt, n_pixels, N_ROWS) with the places of what leaves them."""
        padded = _aligned_zeros((n_tilt, self.n_pixels + 3, N_ROWS))
        padded[:, 1 : self.n_pixels + 1] = frames
        return padded

    def _portions(self) -> list[slice]:
        return [slice(first, first + MAX_TILTS) for first in range(0, len(self._angles[0]), MAX_TILTS)]


def _aligned_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros float32 that begin with a cache line."""
    n_bytes = 4 * int(np.prod(shape))
    memory = np.zeros(n_bytes + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + n_bytes].view(np.float32).reshape(shape)
