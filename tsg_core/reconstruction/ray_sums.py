"""Sums along rays and back for slices whose system matrix would not fit into memory: weights are computed on the fly.

The weights are those of `projection`. Seen from the detector, the share of a voxel in a ray falls linearly with their
distance, to zero at max(|cos|, |sin|) of a pixel, in both directions of sampling. The N_ROWS slices of a block are
processed together, with the row as the last axis, so that one weight serves a run of neighbouring numbers. Inside,
frames are (n_tilt, n_pixels + 3, N_ROWS): pixel i is at i + 1, and the others take what leaves the frame.
"""

from functools import cached_property

import numba
import numpy as np

from .projection import Box
from .projector import Projector

N_ROWS = 32  # enough to hide the cost of the weights, few enough for rays to stay in the cache
MAX_TILTS = 12  # at once, for the same reason


def _compiled(function):
    """Machine code of the function, cached for the next start if there is a folder for it."""
    options = {"nogil": True, "fastmath": True}
    try:
        return numba.njit(**options, cache=True)(function)
    except RuntimeError:  # no writable folder
        return numba.njit(**options)(function)


class RaySums(Projector):
    """Sums along the rays of frames of `n_pixels` columns at `tilt_deg` through a box, N_ROWS slices at a time."""

    def __init__(self, tilt_deg: np.ndarray, *, n_pixels: int, box: Box):
        tilt = np.deg2rad(np.atleast_1d(np.asarray(tilt_deg, np.float64)))
        cos, sin = np.cos(tilt), np.sin(tilt)
        sharpness = 1 / np.maximum(np.abs(cos), np.abs(sin))
        self.n_pixels, self.box = n_pixels, box
        self._angles = tuple(values.astype(np.float32) for values in (cos, sin, sharpness))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        block = x.reshape(self.box.n_z, self.box.n_x, N_ROWS)
        frames = np.empty((len(self._angles[0]), self.n_pixels, N_ROWS), np.float32)
        for some in self._portions():
            angles = tuple(values[some] for values in self._angles)
            sums = np.zeros((len(angles[0]), self.n_pixels + 3, N_ROWS), np.float32)
            _project(block, *angles, sums)
            frames[some] = sums[:, 1 : self.n_pixels + 1]
        return frames.reshape(-1, N_ROWS)

    def T(self, y: np.ndarray) -> np.ndarray:
        frames = y.reshape(-1, self.n_pixels, N_ROWS)
        block = np.zeros((self.box.n_z, self.box.n_x, N_ROWS), np.float32)
        for some in self._portions():
            angles = tuple(values[some] for values in self._angles)
            padded = np.zeros((len(angles[0]), self.n_pixels + 3, N_ROWS), np.float32)
            padded[:, 1 : self.n_pixels + 1] = frames[some]
            _project_back(block, padded, *angles)
        return block.reshape(-1, N_ROWS)

    def correct(self, x: np.ndarray, ratio: np.ndarray, *, least_seen: float, least: float) -> None:
        """x <- x A^T ratio / A^T 1, in place, as `expectation_maximisation.em_correction` does, in one pass.

        Voxels that are zero in all slices are passed over; most of the space around an object soon is.
        """
        block = x.reshape(self.box.n_z, self.box.n_x, N_ROWS)
        seen = self.voxel_sums.reshape(self.box.n_z, self.box.n_x)
        padded = np.zeros((len(self._angles[0]), self.n_pixels + 3, N_ROWS), np.float32)
        padded[:, 1 : self.n_pixels + 1] = ratio.reshape(-1, self.n_pixels, N_ROWS)
        _correct(block, padded, *self._angles, seen, np.float32(least_seen), np.float32(least))

    @cached_property
    def ray_sums(self) -> np.ndarray:
        return self(np.ones((self.box.n_voxels, N_ROWS), np.float32))[:, :1]

    @cached_property
    def voxel_sums(self) -> np.ndarray:
        return self.T(np.ones((len(self._angles[0]) * self.n_pixels, N_ROWS), np.float32))[:, :1].copy()

    def _portions(self) -> list[slice]:
        return [slice(first, first + MAX_TILTS) for first in range(0, len(self._angles[0]), MAX_TILTS)]


@_compiled
def _weights_of_line(z, n_z, n_pixels, cos, sin, sharpness, at, lower, upper):
    """For each voxel of a line along x and each tilt: the pixel below its centre, its share, and that of the next."""
    n = at.shape[1]
    middle_x, middle_z = np.float32((n - 1) / 2), np.float32((n_z - 1) / 2)
    first = np.float32((n_pixels - 1) / 2 + 1)
    for t in range(len(cos)):
        start = (np.float32(z) - middle_z) * sin[t] - middle_x * cos[t] + first
        for x in range(n):
            place = min(max(np.float32(x) * cos[t] + start, np.float32(0)), np.float32(n_pixels + 1))
            pixel = int(place)
            beyond = place - np.float32(pixel)
            at[t, x] = pixel
            lower[t, x] = max(np.float32(0), np.float32(1) - beyond * sharpness[t]) * sharpness[t]
            upper[t, x] = max(np.float32(0), np.float32(1) - (np.float32(1) - beyond) * sharpness[t]) * sharpness[t]


@_compiled
def _is_empty(voxels):
    largest = np.float32(0)
    for row in range(N_ROWS):
        largest = max(largest, abs(voxels[row]))
    return largest == 0


@numba.njit(inline="always")  # a call would cost a tenth of the time
def _add_what_rays_hold(rows, frames, at, lower, upper, x):
    """Add to the rows what the frames hold of the x-th voxels of a line, by the weights of the line."""
    n_pixels = frames.shape[1] - 3
    for t in range(at.shape[0]):
        if at[t, x] > n_pixels:
            continue
        a, b = frames[t, at[t, x]], frames[t, at[t, x] + 1]
        of_a, of_b = lower[t, x], upper[t, x]
        for row in range(N_ROWS):
            rows[row] += of_a * a[row] + of_b * b[row]


@_compiled
def _project(block, cos, sin, sharpness, sums):
    n_z, n_x, n_tilt, n_pixels = block.shape[0], block.shape[1], len(cos), sums.shape[1] - 3
    at = np.empty((n_tilt, n_x), np.int32)
    lower, upper = np.empty((n_tilt, n_x), np.float32), np.empty((n_tilt, n_x), np.float32)
    for z in range(n_z):
        _weights_of_line(z, n_z, n_pixels, cos, sin, sharpness, at, lower, upper)
        for x in range(n_x):
            voxels = block[z, x]
            if _is_empty(voxels):
                continue
            for t in range(n_tilt):
                if at[t, x] > n_pixels:
                    continue
                a, b = sums[t, at[t, x]], sums[t, at[t, x] + 1]
                to_a, to_b = lower[t, x], upper[t, x]
                for row in range(N_ROWS):
                    a[row] += to_a * voxels[row]
                    b[row] += to_b * voxels[row]


@_compiled
def _project_back(block, frames, cos, sin, sharpness):
    n_z, n_x, n_tilt, n_pixels = block.shape[0], block.shape[1], len(cos), frames.shape[1] - 3
    at = np.empty((n_tilt, n_x), np.int32)
    lower, upper = np.empty((n_tilt, n_x), np.float32), np.empty((n_tilt, n_x), np.float32)
    for z in range(n_z):
        _weights_of_line(z, n_z, n_pixels, cos, sin, sharpness, at, lower, upper)
        for x in range(n_x):
            _add_what_rays_hold(block[z, x], frames, at, lower, upper, x)


@_compiled
def _correct(block, ratios, cos, sin, sharpness, seen, least_seen, least):
    n_z, n_x, n_tilt, n_pixels = block.shape[0], block.shape[1], len(cos), ratios.shape[1] - 3
    at = np.empty((n_tilt, n_x), np.int32)
    lower, upper = np.empty((n_tilt, n_x), np.float32), np.empty((n_tilt, n_x), np.float32)
    gain = np.empty(N_ROWS, np.float32)
    for z in range(n_z):
        _weights_of_line(z, n_z, n_pixels, cos, sin, sharpness, at, lower, upper)
        for x in range(n_x):
            voxels = block[z, x]
            if seen[z, x] <= least_seen or _is_empty(voxels):
                continue
            gain[:] = 0
            _add_what_rays_hold(gain, ratios, at, lower, upper, x)
            for row in range(N_ROWS):
                improved = voxels[row] * gain[row] / seen[z, x]
                voxels[row] = improved if improved > least else np.float32(0)
