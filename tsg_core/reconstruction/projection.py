"""Projection of a volume along the beam, by one sparse system matrix for all slices: a tilt about y mixes no rows.

Volumes have the axes (n_y, n_z, n_x), and every index ascends with its coordinate; frames have (n_tilt, n_y, n_x). A
frame is the sum of the voxels along each ray, weighted by path lengths in pixels.

The weights are Joseph's (IEEE Trans. Med. Imaging 1, 192, 1982; the "linear" projector of ASTRA): a ray is sampled once
in every row or column of voxels, whichever it crosses more steeply, with linear interpolation. Strip weights (areas)
give the same for band-limited images, at twice the memory and time.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy import sparse

from ..errors import TsgError
from ..geometry import pixel_centres_A
from ..tools.threads import in_threads, n_threads

MATRIX_BYTES = 14  # for each tilt and voxel of a slice: 1.7 entries of 8 bytes
MAX_COLUMNS = 64  # slices in one product: enough to read the matrix rarely, few enough to stay in the cache


@dataclass(frozen=True)
class Box:
    """Number of voxels of an object along z and x, each as large as a pixel; the tilt axis is in the middle."""

    n_z: int
    n_x: int

    def __post_init__(self):
        if self.n_z < 1 or self.n_x < 1:
            raise TsgError(f"a box of {self.n_z} x {self.n_x} voxels (z, x) must have one at least along either")

    @property
    def n_voxels(self) -> int:
        return self.n_z * self.n_x


def project(volume: np.ndarray, *, tilt_deg, axis_shift_px: float = 0.0, n_pixels: int | None = None) -> np.ndarray:
    """Frames (n_tilt, n_y, n_pixels) float32 of a volume (n_y, n_z, n_x), at angles in any order.

    Frames are as wide as the volume, whose n_z is then n_x, unless `n_pixels` says otherwise: the object may reach
    beyond the frame. `axis_shift_px` is the column of the tilt axis relative to the middle of the frame.
    Raises TsgError for a volume of another shape, and for angles that are not finite.
    """
    volume = np.asarray(volume, np.float32)
    if volume.ndim != 3 or (volume.shape[1] != volume.shape[2] and n_pixels is None) or 0 in volume.shape:
        raise TsgError(f"a volume of shape {volume.shape} must have the axes (n_y, n_z, n_x) with n_z = n_x")
    tilt_deg = np.atleast_1d(np.asarray(tilt_deg, float))
    n_y, n_x = len(volume), n_pixels or volume.shape[2]
    box = Box(*volume.shape[1:])
    matrix = system_matrix(tilt_deg=tilt_deg, n_x=n_x, axis_shift_px=axis_shift_px, box=box)
    frames = np.empty((len(tilt_deg), n_y, n_x), np.float32)

    def project_rows(rows: slice) -> None:
        put_frame_rows(frames, rows, matrix @ volume_columns(volume[rows]))

    in_threads(project_rows, row_blocks(n_y))
    return frames


def system_matrix(*, tilt_deg, n_x: int, axis_shift_px: float = 0.0, box: Box | None = None) -> sparse.csr_array:
    """The matrix (n_tilt * n_x, n_z * n_x of the box), CSR float32, that maps a slice (z, x) to its sinogram (tilt, x).

    n_x is the width of the frames and, if no box is given, that of the box along z and x. The last three geometries
    stay in memory; treat the matrix as read-only. It takes about 14 n_tilt n_x^2 bytes.
    Raises TsgError for angles or a shift that are not finite.
    """
    return system_matrices(groups_deg=[tilt_deg], n_x=n_x, axis_shift_px=axis_shift_px, box=box)[0]


def system_matrices(
    *, groups_deg, n_x: int, axis_shift_px: float = 0.0, box: Box | None = None
) -> tuple[sparse.csr_array, ...]:
    """`system_matrix` for each of several groups of angles, cached together."""
    groups_deg = [np.atleast_1d(np.asarray(tilt_deg, float)) for tilt_deg in groups_deg]
    if not (all(np.isfinite(tilt_deg).all() for tilt_deg in groups_deg) and np.isfinite(axis_shift_px)):
        raise TsgError(f"tilt_deg and axis_shift_px={axis_shift_px} must be finite numbers")
    groups = tuple(tuple(t.tolist()) for t in groups_deg)
    return _system_matrices(groups, int(n_x), float(axis_shift_px), box or Box(int(n_x), int(n_x)))


@lru_cache(maxsize=3)
def _system_matrices(groups_deg, n_x: int, axis_shift_px: float, box: Box) -> tuple[sparse.csr_array, ...]:
    return tuple(_system_matrix(tilt_deg, n_x, axis_shift_px, box) for tilt_deg in groups_deg)


def _system_matrix(tilt_deg: tuple[float, ...], n_x: int, axis_shift_px: float, box: Box) -> sparse.csr_array:
    counts, indices, weights = zip(*(_one_tilt(tilt, n_x, axis_shift_px, box) for tilt in tilt_deg), strict=True)
    row_ends = np.cumsum(np.concatenate(counts), dtype=np.int64)
    index_type = np.int32 if row_ends[-1] < np.iinfo(np.int32).max else np.int64
    return sparse.csr_array(
        (np.concatenate(weights), np.concatenate(indices, dtype=index_type), np.append(0, row_ends).astype(index_type)),
        shape=(len(tilt_deg) * n_x, box.n_voxels),
    )


def _one_tilt(tilt_deg: float, n_x: int, axis_shift_px: float, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries in each of the n_x rows of one tilt, their voxels z * box.n_x + x, and their weights.

    A ray is the line x cos + z sin = column. If |cos| >= |sin| it is followed along z, else along x.
    """
    cos, sin = np.cos(np.deg2rad(tilt_deg)), np.sin(np.deg2rad(tilt_deg))
    along_z = abs(cos) >= abs(sin)
    (step, slope), (n_lines, n) = ((cos, sin), (box.n_z, box.n_x)) if along_z else ((sin, cos), (box.n_x, box.n_z))
    columns, lines = (pixel_centres_A(m, pixel_size_A=1.0) for m in (n_x, n_lines))
    crossing = ((columns[:, None] - axis_shift_px) - lines * slope) / step - (1 - n) / 2  # (ray, line of voxels)
    first = np.floor(crossing).astype(np.int32)
    fraction = (crossing - first).astype(np.float32)
    voxel = np.stack([first, first + 1], axis=-1)
    weight = np.stack([1 - fraction, fraction], axis=-1) / np.float32(abs(step))
    line = np.arange(n_lines, dtype=np.int32)[:, None]
    index = line * box.n_x + voxel if along_z else voxel * box.n_x + line
    inside = (voxel >= 0) & (voxel < n) & (weight > 0)
    return inside.sum(axis=(1, 2)), index[inside], weight[inside]


def volume_columns(volume: np.ndarray) -> np.ndarray:
    """(n_y, n_z, n_x) -> (n_z * n_x, n_y), contiguous: the input of the system matrix."""
    return np.ascontiguousarray(volume.reshape(len(volume), -1).T)


def frame_columns(frames: np.ndarray) -> np.ndarray:
    """(n_tilt, n_y, n_x) -> (n_tilt * n_x, n_y), contiguous."""
    return np.ascontiguousarray(frames.transpose(0, 2, 1)).reshape(-1, frames.shape[1])


def put_frame_rows(frames: np.ndarray, rows: slice, columns: np.ndarray) -> None:
    """Write columns (n_tilt * n_x, rows) into these rows of frames (n_tilt, n_y, n_x)."""
    n_tilt, _, n_x = frames.shape
    frames[:, rows] = columns.reshape(n_tilt, n_x, -1).transpose(0, 2, 1)


def row_blocks(n_y: int) -> list[slice]:
    """The rows of a frame in blocks of at most MAX_COLUMNS for `in_threads`: a multiple of the number of threads."""
    n_blocks = min(n_y, n_threads() * -(-n_y // (n_threads() * MAX_COLUMNS)))
    edges = np.linspace(0, n_y, n_blocks + 1).astype(int)
    return [slice(int(low), int(high)) for low, high in pairwise(edges)]
