"""From an object with coarse voxels to one with voxels of half the size, block by block.

Most of what frames show is known at half their resolution, where a fit takes an eighth of the time. A fit with all
pixels that starts there has only the finest detail left to find.
"""

from dataclasses import replace

import numpy as np

from ..geometry import binned_frames
from ..tilt_series import TiltSeries


def halved(series: TiltSeries) -> TiltSeries:
    """The series with pixels of twice the size; its frames must have even numbers of rows and columns."""
    return replace(series, frames=binned_frames(series.frames, 2), pixel_size_A=2 * series.pixel_size_A)


def doubled(block: np.ndarray) -> np.ndarray:
    """Voxels (n_z, n_x, n_rows) -> (2 n_z, 2 n_x, 2 n_rows - 4) of half the size, by linear interpolation.

    The first and last row only serve as neighbours. Values halve, so that the sums along rays of twice as many voxels
    stay the same.
    """
    for axis in range(3):
        block = _doubled_along(block, axis)
    return block[:, :, 2:-2] * np.float32(0.5)


def _doubled_along(block: np.ndarray, axis: int) -> np.ndarray:
    values = np.moveaxis(block, axis, 0)
    near, far = np.float32(0.75), np.float32(0.25)  # centres lie a quarter of a coarse voxel from the nearest one's
    finer = np.empty((2 * len(values), *values.shape[1:]), np.float32)
    finer[::2] = near * values + far * values[np.arange(-1, len(values) - 1).clip(0)]
    finer[1::2] = near * values + far * values[np.arange(1, len(values) + 1).clip(max=len(values) - 1)]
    return np.moveaxis(finer, 0, axis)
