"""Large volumes in slabs of rows: one after another into a file, or with dask on many machines."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.progress import track
from .algebraic import cgls, os_sart, sirt
from .expectation_maximisation import os_em
from .filtered_back_projection import fbp
from .linear_system import box_of, checked_series, needed_bytes
from .projection import Box
from .total_variation import tv

COPIES = {method: {"n_volumes": 2, "n_frames": 1} for method in (sirt, os_sart, cgls, fbp)}
COPIES |= {os_em: {"n_volumes": 2, "n_frames": 3}, tv: {"n_volumes": 6, "n_frames": 2}}


def in_slabs(
    series: TiltSeries,
    out: np.ndarray,
    *,
    n_rows: int | None = None,
    memory_GB: float | None = None,
    overlap: int = 0,
    method: Callable[..., np.ndarray] = sirt,
    **options,
) -> np.ndarray:
    """`method(series, **options)` for `n_rows` rows of the frames at a time, written into `out`, which is returned.

    A tilt about y does not mix rows, so the result equals that of a single run, with the memory of a slab. `tv`, and
    `os_em` with a probe, do mix rows: let slabs reach `overlap` rows into their neighbours, farther than the probe, and
    the result differs little. Instead of `n_rows`, `memory_GB` limits the memory of a slab, in addition to the series
    and `out`. `out`, of shape (n_y, n_z, n_x) of the box, may be a file: numpy.lib.format.open_memmap(path, "w+",
    np.float32, shape). `method` is one of `tsg_core.reconstruction`, or takes the same arguments. An offset of the
    vacuum is judged by the whole series. Raises TsgError as the method does, and if `out` has another shape, if neither
    or both sizes are given, or if one is too small.
    """
    series, options = _checked_once(series, options)
    box = box_of(series, options.get("box"))
    shape = series.frames.shape[1], box.n_z, box.n_x
    if out.shape != shape:
        raise TsgError(f"out of shape {out.shape} must be {shape}")
    if (n_rows is None) == (memory_GB is None):
        raise TsgError("in_slabs needs either n_rows or memory_GB")
    if n_rows is None:
        n_rows = _rows_within(memory_GB, series, overlap=overlap, box=box, copies=COPIES.get(method, COPIES[tv]))
        if options.get("engine") == "auto" or (method is sirt and "engine" not in options):
            options = options | {"engine": "sparse"}  # "torch" would take more than the limit
    for own, rows in track(_slabs(series, n_rows=n_rows, overlap=overlap), label="slab"):
        part = replace(series, frames=series.frames[:, rows])
        out[own] = _own_rows(part, own, rows, method, options)
    return out


def lazy_slabs(
    series: TiltSeries, *, n_rows: int, overlap: int = 0, method: Callable[..., np.ndarray] = sirt, **options
):
    """The volume of `in_slabs` as a dask array (n_y, n_z, n_x), one chunk for each slab, computed where dask runs.

    volume.compute() uses this machine. With a dask.distributed.Client the slabs go to its machines, each with only its
    own rows of the frames, and volume.to_zarr(path) writes them there. A slab uses all cores, so run one slab at a time
    on a machine (a worker with one thread). Raises TsgError as `in_slabs` does.
    """
    import dask
    import dask.array as da

    series, options = _checked_once(series, options)
    box = box_of(series, options.get("box"))
    chunks = []
    for own, rows in _slabs(series, n_rows=n_rows, overlap=overlap):
        part = replace(series, frames=np.ascontiguousarray(series.frames[:, rows]))
        chunk = dask.delayed(_own_rows, pure=False)(dask.delayed(part, traverse=False), own, rows, method, options)
        chunks.append(da.from_delayed(chunk, (own.stop - own.start, box.n_z, box.n_x), np.float32))
    return da.concatenate(chunks)


def _checked_once(series: TiltSeries, options: dict) -> tuple[TiltSeries, dict]:
    """The series and options for its slabs, checked once: a slab beside the object, all noise, shows no vacuum."""
    checked = checked_series(series, allow_negative=options.get("allow_negative", False))
    return checked, options | {"allow_negative": True}


def _slabs(series: TiltSeries, *, n_rows: int, overlap: int) -> list[tuple[slice, slice]]:
    """The rows of each slab, and the rows reconstructed for it."""
    n_y = series.frames.shape[1]
    if n_rows < 1 or overlap < 0:
        raise TsgError(f"n_rows={n_rows} must be at least 1 and overlap={overlap} at least 0")
    own = [slice(first, min(first + n_rows, n_y)) for first in range(0, n_y, n_rows)]
    return [(rows, slice(max(rows.start - overlap, 0), rows.stop + overlap)) for rows in own]


def _own_rows(
    part: TiltSeries, own: slice, rows: slice, method: Callable[..., np.ndarray], options: dict
) -> np.ndarray:
    return method(part, **options)[own.start - rows.start : own.stop - rows.start]


def _rows_within(memory_GB: float, series: TiltSeries, *, overlap: int, box: Box, copies: dict[str, int]) -> int:
    """Number of rows of the thickest slab whose reconstruction, overlap included, fits into this memory."""
    n_tilt, n_y, n_x = series.frames.shape

    def needed_GB(n_rows: int) -> float:
        return needed_bytes(n_tilt, min(n_rows + 2 * overlap, n_y), n_x, box=box, **copies) / 1e9

    fitting = [n_rows for n_rows in range(1, n_y + 1) if needed_GB(n_rows) <= memory_GB]
    if not fitting:
        raise TsgError(f"memory_GB={memory_GB} is too little: a slab of one row takes {needed_GB(1):.2g} GB")
    return fitting[-1]
