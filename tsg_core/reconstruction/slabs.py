"""Large volumes in slabs of rows: one after another into an array or a file, or with dask on many machines."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.cluster import mapped
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
    and `out`, as `rows_within` does. `out`, of shape (n_y, n_z, n_x) of the box, may be a file:
    numpy.lib.format.open_memmap(path, "w+", np.float32, shape), or a `formats.ome_zarr.VolumeFile`. The series may be a
    file, too: `formats.open_series(path).looked_through()`. With both, memory holds a slab alone, and slabs are
    computed where `tools.cluster` says. `method` is one of `tsg_core.reconstruction`, or takes the same arguments. An
    offset of the vacuum is judged by the whole series. Raises TsgError as the method does, and if `out` has another
    shape, if neither or both sizes are given, or if one is too small.
    """
    series, options = _checked_once(series, options)
    box = box_of(series, options.get("box"))
    shape = series.frames.shape[1], box.n_z, box.n_x
    if out.shape != shape:
        raise TsgError(f"out of shape {out.shape} must be {shape}")
    if (n_rows is None) == (memory_GB is None):
        raise TsgError("in_slabs needs either n_rows or memory_GB")
    if n_rows is None:
        n_rows = rows_within(memory_GB, series, overlap=overlap, box=box, method=method)
        if options.get("engine") == "auto" or (method is sirt and "engine" not in options):
            options = options | {"engine": "sparse"}  # "torch" would take more than the limit
    slabs = _slabs(series, n_rows=n_rows, overlap=overlap)
    work = partial(_put_slab, series, out, method, options)
    if isinstance(series, TiltSeries) or isinstance(out, np.ndarray):  # which other processes do not share
        for own, rows in track(slabs, label="slab"):
            work(own, rows)
    else:
        for _ in mapped(work, slabs, label="slab"):
            pass
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
        part = series.only_rows(rows)
        part = replace(part, frames=np.ascontiguousarray(part.frames))
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


def _put_slab(series, out, method: Callable[..., np.ndarray], options: dict, own: slice, rows: slice) -> None:
    out[own] = _own_rows(series.only_rows(rows), own, rows, method, options)


def _own_rows(
    part: TiltSeries, own: slice, rows: slice, method: Callable[..., np.ndarray], options: dict
) -> np.ndarray:
    return method(part, **options)[own.start - rows.start : own.stop - rows.start]


def rows_within(
    memory_GB: float,
    series: TiltSeries,
    *,
    method: Callable[..., np.ndarray] = sirt,
    overlap: int = 0,
    box: Box | None = None,
) -> int:
    """Number of rows of the thickest slab whose reconstruction, overlap included, fits into this memory.

    Of a series in a file, the rows that are read are part of it. Raises TsgError if not even one row fits.
    """
    n_tilt, n_y, n_x = series.frames.shape
    box, copies = box_of(series, box), dict(COPIES.get(method, COPIES[tv]))
    copies["n_frames"] += not isinstance(series, TiltSeries)

    def needed_GB(n_rows: int) -> float:
        return needed_bytes(n_tilt, min(n_rows + 2 * overlap, n_y), n_x, box=box, **copies) / 1e9

    fitting = [n_rows for n_rows in range(1, n_y + 1) if needed_GB(n_rows) <= memory_GB]
    if not fitting:
        raise TsgError(f"memory_GB={memory_GB} is too little: a slab of one row takes {needed_GB(1):.2g} GB")
    return fitting[-1]
