"""Volumes from tilt series by SIRT, on one sparse matrix for all slices, or by ASTRA or TomoPy.

Volumes are (n_y, n_z, n_x) float32 with n_z = n_x, every index ascending with its coordinate, in units of intensity per
pixel of path, so that `project(volume, tilt_deg=series.tilt_deg)` gives frames in the units of the series.
"""

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np

from .errors import TsgError
from .projection import (
    frame_columns,
    in_threads,
    n_threads,
    project,
    row_blocks,
    system_matrix,
    volume_columns,
)
from .progress import track
from .tilt_series import TiltSeries

__all__ = ["ENGINES", "project", "sirt"]

ENGINES = ("sparse", "astra", "tomopy")
NEGATIVE_TOLERANCE = 0.05  # of the brightest pixel: ringing and read-out noise reach below zero a little


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
    the norm of b; the iteration ends early where that residual falls to `tolerance`. The engines "astra" and "tomopy"
    know neither these two nor relaxation and start, and TomoPy no constraint.

    `axis_shift_px` is the column of the tilt axis relative to the middle of the frame. Frames that are negative by more
    than 5 % of the brightest pixel are taken for a mistake unless `allow_negative`.
    Raises TsgError for such frames, for fewer than two, and for an engine that is unknown, not installed or lacks an
    option.
    """
    _check(series, n_iterations=n_iterations, relaxation=relaxation, allow_negative=allow_negative)
    if engine not in ENGINES:
        raise TsgError(f"engine={engine!r} is not known; choose one of {', '.join(ENGINES)}")
    if engine != "sparse":
        own = {"relaxation": relaxation != 1, "start": start is not None, "tolerance": tolerance > 0,
               "callback": callback is not None, "non_negative": non_negative and engine == "tomopy"}  # fmt: skip
        if any(own.values()):
            wanted = ", ".join(name for name, given in own.items() if given)
            raise TsgError(f'engine={engine!r} does not know {wanted}; engine="sparse" does')
        run = _astra_sirt if engine == "astra" else _tomopy_sirt
        return run(series, n_iterations=n_iterations, non_negative=non_negative, axis_shift_px=axis_shift_px)

    n_y, n_x = series.frames.shape[1:]
    if start is not None and np.shape(start) != (n_y, n_x, n_x):
        raise TsgError(f"a start volume of shape {np.shape(start)} does not fit these frames: {(n_y, n_x, n_x)} does")
    matrix = system_matrix(tilt_deg=series.tilt_deg, n_x=n_x, axis_shift_px=axis_shift_px)
    row_scale = _inverse(matrix.sum(axis=1))[:, None]
    column_scale = relaxation * _inverse(matrix.sum(axis=0))[:, None]
    rows = row_blocks(n_y)
    data = [frame_columns(series.frames[:, r]) for r in rows]
    slices = [np.zeros((n_x * n_x, b.shape[1]), np.float32) for b in data]
    if start is not None:
        slices = [volume_columns(np.array(start[r], np.float32)) for r in rows]

    def step(b: np.ndarray, x: np.ndarray) -> float:
        """One iteration on a block of slices, in place; the squared norm of its residual before."""
        residual = b - matrix @ x
        squared_norm = float(np.vdot(residual, residual))
        residual *= row_scale
        update = matrix.T @ residual
        update *= column_scale
        x += update
        if non_negative:
            np.maximum(x, 0, out=x)
        return squared_norm

    data_norm = np.linalg.norm(series.frames.astype(np.float64, copy=False)) or 1.0
    for iteration in track(range(1, n_iterations + 1), label="SIRT iteration"):
        residual = np.sqrt(sum(in_threads(lambda pair: step(*pair), zip(data, slices, strict=True)))) / data_norm
        if callback is not None:
            callback(iteration, float(residual))
        if residual <= tolerance:
            break
    volume = np.empty((n_y, n_x, n_x), np.float32)
    for r, x in zip(rows, slices, strict=True):
        volume[r] = x.T.reshape(-1, n_x, n_x)
    return volume


def _astra_sirt(series, *, n_iterations: int, non_negative: bool, axis_shift_px: float) -> np.ndarray:
    astra = _optional("astra", "pip install astra-toolbox")
    n_y, n_x = series.frames.shape[1:]
    # ASTRA's rows descend with its y, so that with angles of the other sign they ascend with z
    volume_geometry = astra.create_vol_geom(n_x, n_x)
    geometry = astra.create_proj_geom("parallel", 1.0, n_x, np.deg2rad(-series.tilt_deg))
    geometry = astra.geom_postalignment(geometry, -axis_shift_px) if axis_shift_px else geometry
    volume = np.empty((n_y, n_x, n_x), np.float32)
    constraint = {"MinConstraint": 0.0} if non_negative else {}

    def reconstruct(row: int) -> None:
        projector = astra.create_projector("linear", geometry, volume_geometry)
        sinogram = astra.data2d.create("-sino", geometry, np.ascontiguousarray(series.frames[:, row]))
        image = astra.data2d.create("-vol", volume_geometry)
        algorithm = astra.algorithm.create(
            {"type": "SIRT", "ProjectorId": projector, "ProjectionDataId": sinogram, "ReconstructionDataId": image,
             "option": constraint}  # fmt: skip
        )
        try:
            astra.algorithm.run(algorithm, n_iterations)
            volume[row] = astra.data2d.get(image)
        finally:
            astra.algorithm.delete(algorithm)
            astra.data2d.delete([sinogram, image])
            astra.projector.delete(projector)

    in_threads(reconstruct, range(n_y))
    return volume


def _tomopy_sirt(series, *, n_iterations: int, non_negative: bool, axis_shift_px: float) -> np.ndarray:
    tomopy = _optional("tomopy", "conda install -c conda-forge tomopy")
    n_x = series.frames.shape[2]
    volume = tomopy.recon(
        series.frames,
        np.deg2rad(-series.tilt_deg),
        center=n_x / 2 + axis_shift_px,
        algorithm="sirt",
        num_iter=n_iterations,
        ncore=n_threads(),
    )
    return np.asarray(volume, np.float32)


def _optional(module: str, how: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise TsgError(f'engine="{module}" is not installed; install it by: {how}') from error


def _check(series: TiltSeries, *, n_iterations: int, relaxation: float, allow_negative: bool) -> None:
    if len(series) < 2:
        raise TsgError(f"a volume needs frames at two angles at least; this series has {len(series)}")
    if n_iterations < 1:
        raise TsgError(f"n_iterations={n_iterations} must be at least 1")
    if not 0 < relaxation < 2:
        raise TsgError(f"relaxation={relaxation} must lie between 0 and 2, where SIRT converges")
    darkest = series.frames.min(axis=(1, 2))
    i = int(darkest.argmin())
    if not allow_negative and darkest[i] < -NEGATIVE_TOLERANCE * max(series.intensity_scale, 0.0):
        raise TsgError(
            f"frame {i} (tilt {series.tilt_deg[i]:g} deg) is negative, down to {darkest[i]:.4g}; HAADF intensities "
            "are not: check the background, or say allow_negative=True"
        )


def _inverse(sums: np.ndarray) -> np.ndarray:
    """1 / sums, and 0 where a ray meets no voxel or a voxel no ray."""
    sums = np.asarray(sums, np.float32).ravel()
    return np.divide(1, sums, out=np.zeros_like(sums), where=sums > 1e-6)
