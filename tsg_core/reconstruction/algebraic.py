"""Algebraic reconstruction: SIRT, its ordered-subset form OS-SART, and CGLS."""

import warnings
from collections.abc import Callable

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.progress import track
from ..tools.threads import in_threads
from .linear_system import Subset, check_memory, check_relaxation, checked_series, subsets_of, volume_of
from .projection import frame_columns, row_blocks, volume_columns
from .sirt_engines import astra_sirt, tomopy_sirt

ENGINES = ("sparse", "torch", "astra", "tomopy")


def sirt(
    series: TiltSeries,
    *,
    n_iterations: int = 100,
    engine: str = "sparse",
    non_negative: bool = False,
    axis_shift_px: float = 0.0,
    relaxation: float = 1.0,
    start: np.ndarray | None = None,
    tolerance: float = 0.0,
    callback: Callable[[int, float], None] | None = None,
    allow_negative: bool = False,
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 by x <- x + relaxation C A^T R (b - A x).

    Simultaneous iterative reconstruction (Gilbert, J. Theor. Biol. 36, 105, 1972): R and C hold the inverse sums of the
    rows and columns of A. It starts at zero or at the volume `start`. Unconstrained by default, as TomoPy's, which the
    paper uses; `non_negative` clips after every iteration.
    `callback(iteration, residual)` is told the number of the iteration and the norm of b - A x before it, relative to
    the norm of b; the iteration ends early where that residual falls to `tolerance`.

    engine   "sparse": one matrix for all slices, on all cores; "torch": that matrix and its transpose on the GPU where
             there is one, else on the CPU, where it is faster for few slices and takes more memory; "astra", "tomopy":
             those packages, which know neither relaxation nor start, tolerance and callback, and TomoPy no constraint

    A vacuum below zero by more than its noise stands on an offset: it is subtracted, with a warning, unless
    `allow_negative` takes the frames as they are.
    Raises TsgError for an object darker than its vacuum, fewer than two frames, a volume that does not fit into memory, a start volume of
    another shape or with values that are not finite, and an engine that is unknown, not installed or lacks an option.
    """
    series = checked_series(
        series, n_iterations=n_iterations, allow_negative=allow_negative, axis_shift_px=axis_shift_px, start=start
    )
    check_relaxation(relaxation)
    if engine not in ENGINES:
        raise TsgError(f"engine={engine!r} is not known; choose one of {', '.join(ENGINES)}")
    if engine in ("astra", "tomopy"):
        own = {"relaxation": relaxation != 1, "start": start is not None, "tolerance": tolerance > 0,
               "callback": callback is not None, "non_negative": non_negative and engine == "tomopy"}  # fmt: skip
        if any(own.values()):
            wanted = ", ".join(name for name, given in own.items() if given)
            raise TsgError(f'engine={engine!r} does not know {wanted}; engine="sparse" does')
        run = astra_sirt if engine == "astra" else tomopy_sirt
        return run(series, n_iterations=n_iterations, non_negative=non_negative, axis_shift_px=axis_shift_px)
    return _ordered_subsets(
        series, n_subsets=1, label="SIRT", n_iterations=n_iterations, engine=engine, non_negative=non_negative,
        axis_shift_px=axis_shift_px, relaxation=relaxation, start=start, tolerance=tolerance, callback=callback,
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
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 by SIRT's step on a part of the frames after another.

    Ordered subsets (Wang and Jiang, J. X-Ray Sci. Technol. 12, 169, 2004): an iteration costs as much as one of SIRT
    and gains as much as `n_subsets` of them, while the frames agree with one another; noise calls for a smaller
    `relaxation` or fewer subsets. With one subset it is SIRT. Ten frames a subset by default. The residual that
    `callback` and `tolerance` see is that of each subset before its step. Engines "sparse" and "torch"; the other
    options are those of `sirt`, and so are the errors.
    """
    series = checked_series(
        series, n_iterations=n_iterations, allow_negative=allow_negative, axis_shift_px=axis_shift_px, start=start
    )
    check_relaxation(relaxation)
    if engine not in ("sparse", "torch"):
        raise TsgError(f"engine={engine!r} has no ordered subsets; choose one of sparse, torch")
    n_subsets = -(-len(series) // 10) if n_subsets is None else n_subsets
    return _ordered_subsets(
        series, n_subsets=n_subsets, label="OS-SART", n_iterations=n_iterations, engine=engine,
        non_negative=non_negative, axis_shift_px=axis_shift_px, relaxation=relaxation, start=start,
        tolerance=tolerance, callback=callback,
    )  # fmt: skip


def cgls(
    series: TiltSeries, *, n_iterations: int = 20, axis_shift_px: float = 0.0, allow_negative: bool = False
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 by conjugate gradients on the normal equations of |A x - b|, from zero.

    Hestenes and Stiefel, J. Res. NBS 49, 409 (1952), every slice on its own. It reaches SIRT's residual in far fewer
    iterations, and fits the noise as soon: the number of iterations is the regularisation. Raises TsgError as `sirt`.
    """
    series = checked_series(
        series, n_iterations=n_iterations, allow_negative=allow_negative, axis_shift_px=axis_shift_px
    )
    check_memory(series, n_volumes=2)
    matrix = subsets_of(series, axis_shift_px=axis_shift_px)[0].matrix

    def solve(rows: slice) -> np.ndarray:
        residual = frame_columns(series.frames[:, rows])
        x = np.zeros((matrix.shape[1], residual.shape[1]), np.float32)
        gradient = matrix.T @ residual
        direction, energy = gradient, _squared(gradient)
        for _ in range(n_iterations):
            forward = matrix @ direction
            step = _ratio(energy, _squared(forward))
            x += step * direction
            residual -= step * forward
            gradient = matrix.T @ residual
            energy, before = _squared(gradient), energy
            direction = gradient + _ratio(energy, before) * direction
        return x

    _, n_y, n_x = series.frames.shape
    rows = row_blocks(n_y)
    return volume_of(in_threads(solve, rows), rows, n_x)


def _ordered_subsets(
    series: TiltSeries, *, n_subsets, label, n_iterations, engine, non_negative, axis_shift_px, relaxation, start,
    tolerance, callback,
) -> np.ndarray:  # fmt: skip
    """SIRT's step on each subset in turn, in float32 arrays of NumPy or torch."""
    check_memory(series, n_volumes=2)
    subsets = subsets_of(series, n_subsets=n_subsets, axis_shift_px=axis_shift_px)
    _, n_y, n_x = series.frames.shape
    rows = row_blocks(n_y)
    put, each = (_torch_array, map) if engine == "torch" else (np.asarray, in_threads)
    products = [_torch_products(s) if engine == "torch" else (s.matrix, s.matrix.T) for s in subsets]
    row_scales = [put(s.row_scale) for s in subsets]
    column_scales = [put(np.float32(relaxation) * s.column_scale) for s in subsets]
    data = [[put(frame_columns(series.frames[s.tilts, r])) for s in subsets] for r in rows]
    if start is None:
        slices = [put(np.zeros((n_x * n_x, r.stop - r.start), np.float32)) for r in rows]
    else:
        slices = [put(volume_columns(np.array(start[r], np.float32))) for r in rows]

    def step(parts: list, x) -> float:
        """One iteration on a block of slices, in place; the squared norm of its residual before."""
        squared_norm = 0.0
        for b, (matrix, transpose), row_scale, column_scale in zip(
            parts, products, row_scales, column_scales, strict=True
        ):
            residual = b - matrix @ x
            squared_norm += float(residual.ravel() @ residual.ravel())
            residual *= row_scale
            update = transpose @ residual
            update *= column_scale
            x += update
            if non_negative:
                x *= x > 0
        return squared_norm

    data_norm = np.linalg.norm(series.frames.astype(np.float64, copy=False)) or 1.0
    for iteration in track(range(1, n_iterations + 1), label=f"{label} iteration"):
        residual = np.sqrt(sum(each(lambda pair: step(*pair), zip(data, slices, strict=True)))) / data_norm
        if callback is not None:
            callback(iteration, float(residual))
        if residual <= tolerance:
            break
    return volume_of([np.asarray(x.cpu()) for x in slices] if engine == "torch" else slices, rows, n_x)


def _torch_array(array: np.ndarray):
    import torch

    return torch.as_tensor(array, device="cuda" if torch.cuda.is_available() else "cpu")


def _torch_products(subset: Subset) -> tuple:
    """The matrix and its transpose as sparse torch tensors: a GPU multiplies either only where rows are contiguous."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        return tuple(
            torch.sparse_csr_tensor(*map(_torch_array, (m.indptr, m.indices, m.data)), size=m.shape)
            for m in (subset.matrix, subset.matrix.T.tocsr())
        )


def _squared(columns: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->j", columns, columns)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
