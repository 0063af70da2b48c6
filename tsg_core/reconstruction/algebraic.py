"""Algebraic reconstruction: SIRT, its ordered-subset form OS-SART, and CGLS."""

from collections.abc import Callable, Iterator

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.progress import track
from ..tools.threads import in_threads
from .linear_system import (
    box_of,
    check_memory,
    check_relaxation,
    checked_series,
    needed_bytes,
    projector_of,
    subsets_of,
    volume_of,
)
from .projection import MATRIX_BYTES, Box, frame_columns, row_blocks, volume_columns
from .projector import Projector, TorchProjector, free_bytes_of_torch, torch_array
from .sirt_engines import astra_sirt, tomopy_sirt

ENGINES = ("auto", "sparse", "torch", "astra", "tomopy")


def sirt(
    series: TiltSeries,
    *,
    n_iterations: int = 100,
    engine: str = "auto",
    non_negative: bool = False,
    axis_shift_px: float = 0.0,
    relaxation: float = 1.0,
    start: np.ndarray | None = None,
    tolerance: float = 0.0,
    callback: Callable[[int, float], None] | None = None,
    allow_negative: bool = False,
    box: Box | None = None,
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 by x <- x + relaxation C A^T R (b - A x).

    Simultaneous iterative reconstruction (Gilbert, J. Theor. Biol. 36, 105, 1972): R and C contain the inverse sums of
    the rows and columns of A. The iteration starts at zero or at the volume `start`. It is unconstrained by default,
    like TomoPy's, which the paper uses; `non_negative` clips after every iteration. `callback(iteration, residual)`
    gets the number of the iteration and the norm of b - A x before it, relative to the norm of b; the iteration ends
    early if this residual falls to `tolerance`. An object that goes on beyond the frames needs a `box` as wide and as
    thick as it is; see `extent.object_of`.

    engine   "sparse": one matrix for all slices, on all cores; "torch": this matrix and its transpose on the GPU, or on
             the CPU if there is none, which is faster and takes more memory; "auto": "torch" where that memory is free,
             else "sparse"; "astra", "tomopy": these packages, which lack relaxation, start, tolerance, callback and
             box; TomoPy also lacks the constraint

    A vacuum below zero by more than its noise has an offset: it is subtracted, with a warning, unless
    `allow_negative` takes the frames as they are.
    Raises TsgError for an object darker than its vacuum, fewer than two frames, a volume that does not fit into memory,
    a start volume of another shape or with values that are not finite, and an engine that is unknown, not installed or
    lacks an option.
    """
    series = checked_series(
        series, n_iterations=n_iterations, allow_negative=allow_negative, axis_shift_px=axis_shift_px, start=start,
        box=box,
    )  # fmt: skip
    check_relaxation(relaxation)
    if engine not in ENGINES:
        raise TsgError(f"engine={engine!r} is not known; choose one of {', '.join(ENGINES)}")
    if engine in ("astra", "tomopy"):
        own = {"relaxation": relaxation != 1, "start": start is not None, "tolerance": tolerance > 0,
               "callback": callback is not None, "non_negative": non_negative and engine == "tomopy",
               "box": box is not None}  # fmt: skip
        if any(own.values()):
            wanted = ", ".join(name for name, given in own.items() if given)
            raise TsgError(f'engine={engine!r} does not know {wanted}; the engine "sparse" does')
        run = astra_sirt if engine == "astra" else tomopy_sirt
        return run(series, n_iterations=n_iterations, non_negative=non_negative, axis_shift_px=axis_shift_px)
    if engine == "auto":
        engine = "torch" if _transpose_fits(series, box_of(series, box)) else "sparse"
    return _ordered_subsets(
        series, n_subsets=1, label="SIRT", n_iterations=n_iterations, engine=engine, non_negative=non_negative,
        axis_shift_px=axis_shift_px, relaxation=relaxation, start=start, tolerance=tolerance, callback=callback,
        box=box,
    )  # fmt: skip


def os_sart(
    series: TiltSeries,
    *,
    n_iterations: int = 10,
    n_subsets: int | None = None,
    engine: str = "sparse",
    non_negative: bool = False,
    axis_shift_px: float = 0.0,
    relaxation: float = 1.0,
    start: np.ndarray | None = None,
    tolerance: float = 0.0,
    callback: Callable[[int, float], None] | None = None,
    allow_negative: bool = False,
    box: Box | None = None,
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 by SIRT's step on one subset of the frames after another.

    Ordered subsets (Wang and Jiang, J. X-Ray Sci. Technol. 12, 169, 2004): an iteration costs as much as one of SIRT
    and gains as much as `n_subsets` of them, as long as the frames agree with one another; noisy frames need a smaller
    `relaxation` or fewer subsets. With one subset it is SIRT. The default is ten frames in each subset. The residual
    that `callback` and `tolerance` see is that of each subset before its step. The engines are "sparse" and "torch";
    the other options and the errors are those of `sirt`.
    """
    series = checked_series(
        series, n_iterations=n_iterations, allow_negative=allow_negative, axis_shift_px=axis_shift_px, start=start,
        box=box,
    )  # fmt: skip
    check_relaxation(relaxation)
    if engine not in ("sparse", "torch"):
        raise TsgError(f"engine={engine!r} has no ordered subsets; choose one of sparse, torch")
    n_subsets = -(-len(series) // 10) if n_subsets is None else n_subsets
    return _ordered_subsets(
        series, n_subsets=n_subsets, label="OS-SART", n_iterations=n_iterations, engine=engine,
        non_negative=non_negative, axis_shift_px=axis_shift_px, relaxation=relaxation, start=start,
        tolerance=tolerance, callback=callback, box=box,
    )  # fmt: skip


def cgls(
    series: TiltSeries,
    *,
    n_iterations: int = 20,
    damping: float = 0.0,
    axis_shift_px: float = 0.0,
    allow_negative: bool = False,
    box: Box | None = None,
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 that minimises |A x - b|^2 + damping |x|^2 by conjugate gradients, from zero.

    Hestenes and Stiefel, J. Res. NBS 49, 409 (1952), for every slice separately. Without damping it reaches SIRT's
    residual in far fewer iterations, but fits the noise just as early: the number of iterations is the regularisation.
    Raises TsgError as `sirt` does, and for a damping that is negative or not finite.
    """
    series = checked_series(
        series, n_iterations=n_iterations, allow_negative=allow_negative, axis_shift_px=axis_shift_px, box=box
    )
    if not 0 <= damping < np.inf:
        raise TsgError(f"damping={damping} must be zero or a positive number")
    check_memory(series, n_volumes=2, box=box)
    A = projector_of(series, axis_shift_px=axis_shift_px, box=box)

    def solve(rows: slice) -> np.ndarray:
        *_, (x, _) = conjugate_gradients(
            A, frame_columns(series.frames[:, rows]), n_iterations=n_iterations, damping=damping
        )
        return x

    rows = row_blocks(series.frames.shape[1])
    return volume_of(in_threads(solve, rows), rows, box_of(series, box))


def conjugate_gradients(
    A: Projector, b: np.ndarray, *, n_iterations: int, damping: float = 0.0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield x (n_voxels, rows) and b - A x after every iteration of `cgls`, in the same memory; b is overwritten."""
    residual, damping = b, np.float32(damping)
    gradient = A.T(residual)
    x = np.zeros_like(gradient)
    direction, energy = gradient.copy(), _squared(gradient)
    for _ in range(n_iterations):
        forward = A(direction)
        step = _ratio(energy, _squared(forward) + damping * _squared(direction))
        x += np.multiply(step, direction, out=gradient)  # of large slices no more than four copies are held
        residual -= step * forward
        yield x, residual
        del gradient, forward
        gradient = A.T(residual)
        if damping:
            gradient -= damping * x
        energy, before = _squared(gradient), energy
        direction *= _ratio(energy, before)
        direction += gradient


def around_even(A: Projector, b: np.ndarray, *, n_iterations: int, damping: float) -> np.ndarray:
    """x (n_voxels, rows) that minimises |A x - b|^2 + damping |x - even|^2: `cgls` around each slice's even density.

    This is the mean of a stationary random object with white fluctuations about an even density, given frames with
    white noise (Tarantola, Inverse Problem Theory, SIAM 2005, section 3.2); damping is the ratio of the two variances.
    """
    *_, (x, _) = deviations(A, b, n_iterations=n_iterations, damping=damping)
    return x + even_densities(A, b)


def even_densities(A: Projector, b: np.ndarray) -> np.ndarray:
    """(rows,): the density of the even slice whose projections are closest to b (n_rays, rows)."""
    return (A.ray_sums * b).sum(axis=0) / max(float((A.ray_sums**2).sum()), 1e-30)


def deviations(
    A: Projector, b: np.ndarray, *, n_iterations: int, damping: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`conjugate_gradients` from the even slices of `even_densities`; yields the difference of x from them."""
    return conjugate_gradients(A, b - A.ray_sums * even_densities(A, b), n_iterations=n_iterations, damping=damping)


def sirt_step(A: Projector, b, x, *, ray_scale, voxel_scale, non_negative: bool) -> float:
    """x <- x + voxel_scale A^T ray_scale (b - A x), in place; returns the squared norm of the residual before."""
    residual = b - A(x)
    squared_norm = float(residual.ravel() @ residual.ravel())
    residual *= ray_scale
    update = A.T(residual)
    update *= voxel_scale
    x += update
    if non_negative:
        x *= x > 0
    return squared_norm


def _ordered_subsets(
    series: TiltSeries, *, n_subsets, label, n_iterations, engine, non_negative, axis_shift_px, relaxation, start,
    tolerance, callback, box,
) -> np.ndarray:  # fmt: skip
    """SIRT's step on each subset in turn, in float32 arrays of NumPy or torch."""
    check_memory(series, n_volumes=2, box=box)
    subsets, box = subsets_of(series, n_subsets=n_subsets, axis_shift_px=axis_shift_px, box=box), box_of(series, box)
    rows = row_blocks(series.frames.shape[1])
    put, each = (torch_array, map) if engine == "torch" else (np.asarray, in_threads)
    projectors = [TorchProjector(s.A.matrix) if engine == "torch" else s.A for s in subsets]
    scales = [
        {"ray_scale": put(A.ray_scale), "voxel_scale": put(np.float32(relaxation) * A.voxel_scale)} for A in projectors
    ]
    data = [[put(frame_columns(series.frames[s.tilts, r])) for s in subsets] for r in rows]
    if start is None:
        slices = [put(np.zeros((box.n_voxels, r.stop - r.start), np.float32)) for r in rows]
    else:
        slices = [put(volume_columns(np.array(start[r], np.float32))) for r in rows]

    def step(parts: list, x) -> float:
        """One iteration on a block of slices, in place; returns the squared norm of its residual before."""
        return sum(
            sirt_step(A, b, x, **scale, non_negative=non_negative)
            for A, b, scale in zip(projectors, parts, scales, strict=True)
        )

    data_norm = np.linalg.norm(series.frames.astype(np.float64, copy=False)) or 1.0
    for iteration in track(range(1, n_iterations + 1), label=f"{label} iteration"):
        residual = np.sqrt(sum(each(lambda pair: step(*pair), zip(data, slices, strict=True)))) / data_norm
        if callback is not None:
            callback(iteration, float(residual))
        if residual <= tolerance:
            break
    return volume_of([np.asarray(x.cpu()) for x in slices] if engine == "torch" else slices, rows, box)


def _transpose_fits(series: TiltSeries, box: Box) -> bool:
    """Whether the engine "torch" has the memory that it needs: that of "sparse", and the transposed matrix."""
    n_tilt, n_y, n_x = series.frames.shape
    needed = needed_bytes(n_tilt, n_y, n_x, box=box) + MATRIX_BYTES * n_tilt * box.n_voxels
    return needed <= free_bytes_of_torch()


def _squared(columns: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->j", columns, columns)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
