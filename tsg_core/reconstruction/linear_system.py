"""The equations A x = b behind every reconstruction: checks of the input, memory, rows of frames as columns.

A tilt about y does not mix rows of the frames, so one matrix serves all rows; threads work on blocks of rows.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import psutil

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.threads import n_threads
from ..vacuum import is_bright_field, less_offset, said_of_offset, vacuum_of
from .projection import MATRIX_BYTES, Box, row_blocks, system_matrices
from .projector import MatrixProjector

GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class Subset:
    """Some of the tilts, by their indices, and the projector from a slice to their frames."""

    tilts: np.ndarray
    A: MatrixProjector


def subsets_of(
    series: TiltSeries, *, n_subsets: int = 1, axis_shift_px: float = 0.0, box: Box | None = None
) -> list[Subset]:
    """The subsets of `tilts_of_subsets`, by default a single one, each with its projector. Raises TsgError likewise."""
    tilts = tilts_of_subsets(len(series), n_subsets=n_subsets)
    matrices = system_matrices(
        groups_deg=[series.tilt_deg[t] for t in tilts],
        n_x=series.frames.shape[2],
        axis_shift_px=axis_shift_px,
        box=box,
    )
    return [Subset(t, MatrixProjector(matrix)) for t, matrix in zip(tilts, matrices, strict=True)]


def projector_of(series: TiltSeries, *, axis_shift_px: float = 0.0, box: Box | None = None) -> MatrixProjector:
    """The projector from a slice to all frames of the series."""
    return subsets_of(series, axis_shift_px=axis_shift_px, box=box)[0].A


def box_of(series: TiltSeries, box: Box | None) -> Box:
    """The box, by default one as wide and as thick as the frames are wide."""
    n_x = series.frames.shape[2]
    return box or Box(n_x, n_x)


def tilts_of_subsets(n_tilt: int, *, n_subsets: int) -> list[np.ndarray]:
    """Indices of the tilts in subsets of every n-th tilt; successive subsets lie far apart.

    The order is that of the multiples of the golden section (Koehler, IEEE NSS Conf. Rec. 5, 2961, 2004).
    Raises TsgError for a number of subsets below 1 or above the number of tilts.
    """
    if not 1 <= n_subsets <= n_tilt:
        raise TsgError(f"n_subsets={n_subsets} must lie between 1 and the number of frames, {n_tilt}")
    return [np.arange(q, n_tilt, n_subsets) for q in np.argsort(np.arange(n_subsets) * GOLDEN % 1)]


def volume_of(slices: list[np.ndarray], rows: list[slice], box: Box) -> np.ndarray:
    """Columns (n_z * n_x, rows of the block) of all blocks -> volume (n_y, n_z, n_x)."""
    volume = np.empty((rows[-1].stop, box.n_z, box.n_x), np.float32)
    for r, x in zip(rows, slices, strict=True):
        volume[r] = x.T.reshape(-1, box.n_z, box.n_x)
    return volume


def checked_series(
    series: TiltSeries,
    *,
    n_iterations: int = 1,
    allow_negative: bool = False,
    axis_shift_px: float = 0.0,
    start: np.ndarray | None = None,
    box: Box | None = None,
) -> TiltSeries:
    """The series, ready for reconstruction; raises TsgError for what no method can use (see `tsg_core.reconstruction`).

    If the vacuum lies below zero by more than its noise, this offset is subtracted with a warning. Single pixels below
    zero are noise. `allow_negative` takes the frames as they are.
    """
    n_y, n_x = series.frames.shape[1:]
    if len(series) < 2:
        raise TsgError(f"a volume needs frames at two angles at least; this series has {len(series)}")
    if n_iterations < 1:
        raise TsgError(f"n_iterations={n_iterations} must be at least 1")
    if not abs(axis_shift_px) < n_x / 2:
        raise TsgError(f"axis_shift_px={axis_shift_px} puts the tilt axis outside the frame, which is {n_x} px wide")
    box = box_of(series, box)
    shape = n_y, box.n_z, box.n_x
    if start is not None and np.shape(start) != shape:
        raise TsgError(f"a start volume of shape {np.shape(start)} does not fit these frames: {shape} does")
    if start is not None and not np.isfinite(start).all():
        raise TsgError(f"the start volume holds {np.count_nonzero(~np.isfinite(start))} values that are not finite")
    return series if allow_negative else _on_zero(series)


def _on_zero(series: TiltSeries) -> TiltSeries:
    """The series minus an offset that puts its vacuum below zero; TsgError for an object darker than its vacuum."""
    if float(series.frames.min()) >= 0:
        return series
    if is_bright_field(series.frames):
        raise TsgError(
            "frames reach below zero where the object is: it is darker than the vacuum about it, as in bright field; "
            "turn their contrast first (tsg prepare IN --invert)"
        )
    vacuum = vacuum_of(series.frames)
    if not vacuum.below_zero:
        return series
    warnings.warn(said_of_offset(vacuum), stacklevel=4)
    return less_offset(series, vacuum)


def check_relaxation(relaxation: float) -> None:
    """Raise TsgError if a step of this size need not converge."""
    if not 0 < relaxation < 2:
        raise TsgError(f"relaxation={relaxation} must lie between 0 and 2, where the iteration converges")


def needed_bytes(
    n_tilt: int, n_y: int, n_x: int, *, n_volumes: int = 2, n_frames: int = 1, box: Box | None = None
) -> int:
    """Memory of a method that holds this many copies of the volume and of the frames, in addition to the series itself.

    The blocks on which threads work are included, and the matrix, which takes twice its size while it is made.
    """
    block = n_threads() * -(-n_y // len(row_blocks(n_y)))
    n_voxels = (box or Box(n_x, n_x)).n_voxels
    values = n_volumes * n_y * n_voxels + n_frames * n_y * n_tilt * n_x + 2 * block * (n_tilt * n_x + n_voxels)
    return 4 * values + 2 * MATRIX_BYTES * n_tilt * n_voxels


def check_memory(series: TiltSeries, *, box: Box | None = None, **copies: int) -> None:
    """Raise TsgError if `needed_bytes` exceed the free memory."""
    n_tilt, n_y, n_x = series.frames.shape
    box = box_of(series, box)
    needed, available = needed_bytes(n_tilt, n_y, n_x, box=box, **copies), psutil.virtual_memory().available
    if needed > available:
        raise TsgError(
            f"a volume of {n_y} x {box.n_z} x {box.n_x} from {n_tilt} frames needs {needed / 1e9:.1f} GB of memory and "
            f"{available / 1e9:.1f} GB are free; bin the frames (tsg prepare IN --bin 2) or do fewer rows at a time "
            "(tsg reconstruct IN --memory 4, in Python reconstruction.in_slabs)"
        )
