"""Volumes from tilt series: SIRT (by a sparse matrix, ASTRA or TomoPy), CGLS, filtered back-projection.

Volumes are (n_y, n_z, n_x) float32 with n_z = n_x, every index ascending with its coordinate, in units of intensity per
pixel of path, so that `project(volume, tilt_deg=series.tilt_deg)` gives frames in the units of the series. Frames that
are negative by more than 5 % of the brightest pixel are taken for a mistake unless `allow_negative`; `axis_shift_px` is
the column of the tilt axis relative to the middle of the frame.
"""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
from scipy import fft, sparse

from .errors import TsgError
from .progress import track
from .projection import (
    MATRIX_BYTES,
    frame_columns,
    in_threads,
    n_threads,
    project,
    row_blocks,
    system_matrix,
    volume_columns,
)
from .tilt_series import TiltSeries

__all__ = ["ENGINES", "cgls", "fbp", "in_slabs", "project", "sirt"]

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

    Raises TsgError for negative frames, fewer than two, a volume that does not fit into memory, and an engine that is
    unknown, not installed or lacks an option.
    """
    _check(series, n_iterations=n_iterations, allow_negative=allow_negative)
    if not 0 < relaxation < 2:
        raise TsgError(f"relaxation={relaxation} must lie between 0 and 2, where SIRT converges")
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
    matrix, rows, data = _system(series, axis_shift_px)
    row_scale = _inverse(matrix.sum(axis=1))[:, None]
    column_scale = relaxation * _inverse(matrix.sum(axis=0))[:, None]
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
    return _volume(slices, rows, n_x)


def cgls(
    series: TiltSeries, *, n_iterations: int = 20, axis_shift_px: float = 0.0, allow_negative: bool = False
) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 by conjugate gradients on the normal equations of |A x - b|, from zero.

    Hestenes and Stiefel, J. Res. NBS 49, 409 (1952), every slice on its own. It reaches SIRT's residual in far fewer
    iterations, and fits the noise as soon: the number of iterations is the regularisation. Raises TsgError as `sirt`.
    """
    _check(series, n_iterations=n_iterations, allow_negative=allow_negative)
    matrix, rows, data = _system(series, axis_shift_px)

    def solve(b: np.ndarray) -> np.ndarray:
        x = np.zeros((matrix.shape[1], b.shape[1]), np.float32)
        residual, gradient = b.copy(), matrix.T @ b
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

    return _volume(in_threads(solve, data), rows, series.frames.shape[2])


def fbp(series: TiltSeries, *, axis_shift_px: float = 0.0, allow_negative: bool = False) -> np.ndarray:
    """Volume (n_y, n_z, n_x) float32 by filtered back-projection with the Ram-Lak filter, every row on its own.

    Kak and Slaney, Principles of Computerized Tomographic Imaging, equation 3.61. A frame counts by the angle around it
    that is nearer to it than to others (modulo 180 degrees), but nothing stands in for a missing wedge.
    Raises TsgError as `sirt`.
    """
    _check(series, n_iterations=1, allow_negative=allow_negative)
    n_x = series.frames.shape[2]
    lag = np.arange(-n_x, n_x)
    kernel = np.zeros(2 * n_x)
    kernel[lag % 2 == 1] = -1 / (np.pi * lag[lag % 2 == 1]) ** 2
    kernel[n_x] = 1 / 4
    ramp = fft.rfft(np.fft.ifftshift(kernel)).real.astype(np.float32)
    filtered = fft.irfft(fft.rfft(series.frames, n=2 * n_x, workers=-1) * ramp, workers=-1)[..., :n_x]
    filtered *= np.deg2rad(_angles_around_deg(series.tilt_deg)).astype(np.float32)[:, None, None]
    matrix, rows, data = _system(replace(series, frames=filtered), axis_shift_px)
    return _volume(in_threads(lambda b: matrix.T @ b, data), rows, n_x)


def in_slabs(
    series: TiltSeries,
    out: np.ndarray,
    *,
    n_rows: int,
    method: Callable[..., np.ndarray] = sirt,
    **options,
) -> np.ndarray:
    """`method(series, **options)` for `n_rows` rows of the frames at a time, written into `out`, which is returned.

    Rows do not mix in a tilt about y, so that the result is that of one go, with the memory of a slab. `out`, of shape
    (n_y, n_z, n_x), may lie in a file: numpy.lib.format.open_memmap(path, "w+", np.float32, shape).
    Raises TsgError where `out` has another shape or n_rows is below 1.
    """
    n_y, n_x = series.frames.shape[1:]
    if out.shape != (n_y, n_x, n_x) or n_rows < 1:
        raise TsgError(f"out of shape {out.shape} and n_rows={n_rows} must be {(n_y, n_x, n_x)} and at least 1")
    for first in track(range(0, n_y, n_rows), label="slab"):
        rows = slice(first, first + n_rows)
        out[rows] = method(replace(series, frames=series.frames[:, rows]), **options)
    return out


def _system(series: TiltSeries, axis_shift_px: float) -> tuple[sparse.csr_array, list[slice], list[np.ndarray]]:
    """The system matrix, the rows of each block, and the frames of each block as columns."""
    n_y, n_x = series.frames.shape[1:]
    _check_memory(len(series), n_y, n_x)
    matrix = system_matrix(tilt_deg=series.tilt_deg, n_x=n_x, axis_shift_px=axis_shift_px)
    rows = row_blocks(n_y)
    return matrix, rows, [frame_columns(series.frames[:, r]) for r in rows]


def _volume(slices: list[np.ndarray], rows: list[slice], n_x: int) -> np.ndarray:
    """Columns (n_x * n_x, rows of the block) -> (n_y, n_z, n_x)."""
    volume = np.empty((rows[-1].stop, n_x, n_x), np.float32)
    for r, x in zip(rows, slices, strict=True):
        volume[r] = x.T.reshape(-1, n_x, n_x)
    return volume


def _angles_around_deg(tilt_deg: np.ndarray) -> np.ndarray:
    """Half the angle between the two neighbours of each tilt modulo 180 degrees, a wide gap counting as a usual one."""
    order = np.argsort(tilt_deg % 180)
    gaps = np.diff(tilt_deg[order] % 180, append=tilt_deg[order[0]] % 180 + 180)
    gaps = np.minimum(gaps, 2 * np.median(gaps))
    around = np.empty_like(gaps)
    around[order] = (gaps + np.roll(gaps, 1)) / 2
    return around


def _squared(columns: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->j", columns, columns)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


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


def _check(series: TiltSeries, *, n_iterations: int, allow_negative: bool) -> None:
    if len(series) < 2:
        raise TsgError(f"a volume needs frames at two angles at least; this series has {len(series)}")
    if n_iterations < 1:
        raise TsgError(f"n_iterations={n_iterations} must be at least 1")
    darkest = series.frames.min(axis=(1, 2))
    i = int(darkest.argmin())
    if not allow_negative and darkest[i] < -NEGATIVE_TOLERANCE * max(series.intensity_scale, 0.0):
        raise TsgError(
            f"frame {i} (tilt {series.tilt_deg[i]:g} deg) is negative, down to {darkest[i]:.4g}; HAADF intensities "
            "are not: check the background, or say allow_negative=True"
        )


def _check_memory(n_tilt: int, n_y: int, n_x: int) -> None:
    """The volume twice (as columns too), frames as columns, blocks at work in each thread, the matrix while made."""
    block = n_threads() * -(-n_y // len(row_blocks(n_y)))
    values = 2 * n_y * n_x**2 + n_y * n_tilt * n_x + 2 * block * (n_tilt * n_x + n_x**2)
    needed = 4 * values + 2 * MATRIX_BYTES * n_tilt * n_x**2
    available = _available_bytes()
    if needed > available:
        raise TsgError(
            f"a volume of {n_y} x {n_x} x {n_x} from {n_tilt} frames needs {needed / 1e9:.1f} GB of memory and "
            f"{available / 1e9:.1f} GB are free; reconstruction.in_slabs does it in parts, into a file"
        )


def _available_bytes() -> float:
    """Memory that is free or can be freed, where the system tells (Linux); infinite elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("inf")
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), float("inf"))


def _inverse(sums: np.ndarray) -> np.ndarray:
    """1 / sums, and 0 where a ray meets no voxel or a voxel no ray."""
    sums = np.asarray(sums, np.float32).ravel()
    return np.divide(1, sums, out=np.zeros_like(sums), where=sums > 1e-6)
