"""Reconstruction with total variation: piecewise constant volumes from few or noisy frames."""

from collections.abc import Callable

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.progress import track
from ..tools.threads import in_threads
from .linear_system import box_of, check_memory, checked_series, projector_of
from .projection import Box, frame_columns, row_blocks, volume_columns
from .projector import Projector

GRADIENT_STEP = 1 / 2  # a difference has two entries of size 1: the inverse sum of a row of the gradient
GRADIENT_SUM = 6  # a voxel takes part in up to two differences along each axis: the sum of a column of the gradient


def tv(
    series: TiltSeries,
    *,
    weight: float,
    n_iterations: int = 200,
    non_negative: bool = True,
    axis_shift_px: float = 0.0,
    start: np.ndarray | None = None,
    callback: Callable[[int, float], None] | None = None,
    allow_negative: bool = False,
    box: Box | None = None,
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 that minimises |A x - b|^2 / 2 + weight * TV(x), by default with x >= 0.

    TV is the sum over voxels of the length of the gradient (forward differences along y, z and x). `weight` has the
    unit of the frames: start with the standard deviation of their noise, or with 0.01 * series.intensity_scale. A
    larger weight joins larger regions into one density.

    The primal-dual algorithm of Chambolle and Pock (J. Math. Imaging Vis. 40, 120, 2011, algorithm 1; for tomography
    Sidky, Jorgensen and Pan, Phys. Med. Biol. 57, 3065, 2012, algorithm 4) with the diagonal step sizes of Pock and
    Chambolle (ICCV 2011, equation 10 with alpha = 1). `callback(iteration, residual)` gets the norm of b - A x relative
    to that of b. Rows are coupled, so slabs differ from the whole near their edges: give `in_slabs` an overlap. Raises
    TsgError as `sirt` does, and for a weight that is negative or not finite.
    """
    series = checked_series(
        series, n_iterations=n_iterations, allow_negative=allow_negative, axis_shift_px=axis_shift_px, start=start,
        box=box,
    )  # fmt: skip
    if not 0 <= weight < np.inf:
        raise TsgError(f"weight={weight} must be zero or a positive number")
    check_memory(series, n_volumes=6, n_frames=2, box=box)
    n_y, box = series.frames.shape[1], box_of(series, box)
    x = np.zeros((n_y, box.n_z, box.n_x), np.float32) if start is None else np.array(start, np.float32)
    data = [frame_columns(series.frames[:, r]) for r in row_blocks(n_y)]
    minimise(
        projector_of(series, axis_shift_px=axis_shift_px, box=box), data, x, weight=weight,
        n_iterations=n_iterations, non_negative=non_negative, callback=callback,
    )  # fmt: skip
    return x


def minimise(
    A: Projector,
    data: list[np.ndarray],
    x: np.ndarray,
    *,
    weight: float,
    n_iterations: int,
    non_negative: bool,
    callback: Callable[[int, float], None] | None = None,
) -> None:
    """Minimise |A x - b|^2 / 2 + weight TV(x) over x (n_y, n_z, n_x), in place, starting from the given x.

    A projects the columns of `volume_columns(x)`; `data` holds b as columns, one block of `row_blocks(n_y)` each.
    Besides x, the duals of the data and of the gradient and the extrapolated x are kept: five volumes in all. Threads
    work on blocks of rows in two passes, since the gradient also needs the neighbouring blocks.
    """
    weight = float(weight)  # a NumPy float64 would turn every array into float64
    n_y = len(x)
    rows = row_blocks(n_y)
    ray_step = A.ray_scale
    voxel_step = 1 / (A.voxel_sums + (GRADIENT_SUM if weight > 0 else 0)).clip(1e-6)
    voxel_step = voxel_step.reshape(x.shape[1:])
    forward = x.copy()  # x extrapolated by its last step
    data_dual = [np.zeros_like(b) for b in data]
    gradient_dual = np.zeros((3, *x.shape), np.float32) if weight > 0 else None

    def update_duals(block: int) -> float:
        r, b, dual = rows[block], data[block], data_dual[block]
        residual = A(volume_columns(forward[r])) - b
        dual += ray_step * residual
        dual /= 1 + ray_step
        if weight > 0:
            p = gradient_dual[:, r]
            p += GRADIENT_STEP * gradient(forward[r.start : r.stop + 1])[:, : r.stop - r.start]
            p /= np.maximum(1, np.sqrt((p**2).sum(axis=0)) / weight)
        return float(residual.ravel() @ residual.ravel())

    def update_volume(block: int) -> None:
        r = rows[block]
        descent = A.T(data_dual[block]).T.reshape(-1, *x.shape[1:])
        if weight > 0:
            before = min(r.start, 1)
            around = gradient_dual[:, r.start - before : r.stop + 1]
            descent = descent - divergence(around)[before : before + r.stop - r.start]
        new = x[r] - voxel_step * descent
        if non_negative:
            np.maximum(new, 0, out=new)
        forward[r] = 2 * new - x[r]
        x[r] = new

    data_norm = np.sqrt(sum(float(np.vdot(b, b)) for b in data)) or 1.0
    for iteration in track(range(1, n_iterations + 1), label="TV iteration"):
        squared_norm = sum(in_threads(update_duals, range(len(rows))))
        if callback is not None:
            callback(iteration, float(np.sqrt(squared_norm) / data_norm))
        in_threads(update_volume, range(len(rows)))


def gradient(volume: np.ndarray) -> np.ndarray:
    """Forward differences (3, n_y, n_z, n_x) along y, z and x, zero at the last voxel of an axis."""
    differences = np.zeros((3, *volume.shape), volume.dtype)
    for axis in range(3):
        inner = np.moveaxis(differences[axis], axis, 0)
        inner[:-1] = np.diff(np.moveaxis(volume, axis, 0), axis=0)
    return differences


def divergence(field: np.ndarray) -> np.ndarray:
    """(n_y, n_z, n_x), the negative adjoint of `gradient`, of a field (3, n_y, n_z, n_x)."""
    total = np.zeros(field.shape[1:], field.dtype)
    for axis in range(3):
        inner, component = np.moveaxis(total, axis, 0), np.moveaxis(field[axis], axis, 0)
        inner[:-1] += component[:-1]
        inner[1:] -= component[:-1]
    return total
