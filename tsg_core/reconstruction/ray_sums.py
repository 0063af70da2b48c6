"""Sums along rays and back for slices so large that no system matrix fits into memory: weights are found on the way.

They are those of `projection`. Seen from the detector, a voxel's share in a ray falls linearly with their distance, to
zero at max(|cos|, |sin|) of a pixel: both directions of sampling come to the same. Slices lie in blocks (n_z, n_x,
N_ROWS) float32, one for every row of the frames, the row last, so that one weight serves a run of neighbouring numbers.
Frames of a block are (n_tilt, n_x + 3, N_ROWS): pixel i is at i + 1, and the others take what leaves the frame.
"""

from dataclasses import dataclass

import numba
import numpy as np

N_ROWS = 32  # long enough to hide what finding the weights costs, short enough for rays to stay in the cache
MAX_TILTS = 12  # at once, for the same reason


def _compiled(function):
    """Machine code of the function, kept for the next start where there is a folder for it."""
    options = {"nogil": True, "fastmath": True}
    try:
        return numba.njit(**options, cache=True)(function)
    except RuntimeError:  # no folder that can be written to
        return numba.njit(**options)(function)


@dataclass(frozen=True, eq=False)
class Rays:
    """cos, sin and 1 / max(|cos|, |sin|) of tilts, (n_tilt,) float32 each."""

    cos: np.ndarray
    sin: np.ndarray
    sharpness: np.ndarray

    @classmethod
    def at(cls, tilt_deg: np.ndarray) -> "Rays":
        tilt = np.deg2rad(np.asarray(tilt_deg, np.float64))
        cos, sin = np.cos(tilt), np.sin(tilt)
        width = np.maximum(np.abs(cos), np.abs(sin))
        return cls(*(values.astype(np.float32) for values in (cos, sin, 1 / width)))

    def project(self, block: np.ndarray) -> np.ndarray:
        """Frames of a block."""
        sums = np.zeros((len(self.cos), block.shape[1] + 3, N_ROWS), np.float32)
        _project(block, self.cos, self.sin, self.sharpness, sums)
        return sums

    def correct(
        self, block: np.ndarray, frames: np.ndarray, *, over: np.ndarray, least: float = 0.0, add: bool = False
    ) -> None:
        """Multiply a block, in place, by the back-projection of frames times `over` (n_z, n_x); or add that to it.

        Where `over` is 0 voxels stay as they are; those at `least` or below are emptied. What the frames hold beside
        their pixels must be 0.
        """
        _correct(block, frames, self.cos, self.sin, self.sharpness, over, np.float32(least), add)

    def sensitivity(self, n_x: int) -> np.ndarray:
        """(n_z, n_x): the back-projection of frames of ones, n_x pixels wide."""
        seen = np.zeros((n_x, n_x), np.float32)
        _add_seen(seen, self.cos, self.sin, self.sharpness)
        return seen


@_compiled
def _weights_of_line(z, cos, sin, sharpness, at, lower, upper):
    """For each voxel of a line along x, and each tilt: the pixel below its centre, the shares of that and of the next."""
    n = len(at)
    middle = np.float32((n - 1) / 2)
    for t in range(len(cos)):
        start = (np.float32(z) - middle) * sin[t] - middle * cos[t] + middle + np.float32(1)
        for x in range(n):
            place = min(max(np.float32(x) * cos[t] + start, np.float32(0)), np.float32(n + 1))
            pixel = int(place)
            beyond = place - np.float32(pixel)
            at[x, t] = pixel
            lower[x, t] = max(np.float32(0), np.float32(1) - beyond * sharpness[t]) * sharpness[t]
            upper[x, t] = max(np.float32(0), np.float32(1) - (np.float32(1) - beyond) * sharpness[t]) * sharpness[t]


@_compiled
def _project(block, cos, sin, sharpness, sums):
    n, n_tilt = block.shape[0], len(cos)
    at = np.empty((n, n_tilt), np.int32)
    lower, upper = np.empty((n, n_tilt), np.float32), np.empty((n, n_tilt), np.float32)
    for z in range(n):
        _weights_of_line(z, cos, sin, sharpness, at, lower, upper)
        for x in range(n):
            voxels = block[z, x]
            for t in range(n_tilt):
                a, b = sums[t, at[x, t]], sums[t, at[x, t] + 1]
                to_a, to_b = lower[x, t], upper[x, t]
                for row in range(N_ROWS):
                    a[row] += to_a * voxels[row]
                    b[row] += to_b * voxels[row]


@_compiled
def _correct(block, frames, cos, sin, sharpness, over, least, add):
    n, n_tilt = block.shape[0], len(cos)
    at = np.empty((n, n_tilt), np.int32)
    lower, upper = np.empty((n, n_tilt), np.float32), np.empty((n, n_tilt), np.float32)
    gain = np.empty(N_ROWS, np.float32)
    for z in range(n):
        _weights_of_line(z, cos, sin, sharpness, at, lower, upper)
        for x in range(n):
            voxels, scale = block[z, x], over[z, x]
            gain[:] = np.float32(0)
            for t in range(n_tilt):
                a, b = frames[t, at[x, t]], frames[t, at[x, t] + 1]
                of_a, of_b = lower[x, t], upper[x, t]
                for row in range(N_ROWS):
                    gain[row] += of_a * a[row] + of_b * b[row]
            for row in range(N_ROWS):
                value = voxels[row]
                if scale > 0:
                    value = value + gain[row] * scale if add else value * gain[row] * scale
                voxels[row] = value if value > least else np.float32(0)


@_compiled
def _add_seen(seen, cos, sin, sharpness):
    n, n_tilt = seen.shape[0], len(cos)
    at = np.empty((n, n_tilt), np.int32)
    lower, upper = np.empty((n, n_tilt), np.float32), np.empty((n, n_tilt), np.float32)
    for z in range(n):
        _weights_of_line(z, cos, sin, sharpness, at, lower, upper)
        for x in range(n):
            for t in range(n_tilt):
                pixel = at[x, t]
                if 1 <= pixel <= n:
                    seen[z, x] += lower[x, t]
                if pixel < n:
                    seen[z, x] += upper[x, t]
