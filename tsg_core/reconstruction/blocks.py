"""The object behind large frames: fitted in blocks of rows, and stored in a temporary file.

A tilt about y does not mix rows, so the fit of a block needs only its rows of the frames. The whole volume of frames of
512 x 512 pixels takes as much memory as six series of 90 such frames.
"""

from collections.abc import Callable, Iterator

import numpy as np

from ..tilt_series import TiltSeries
from ..tools.stored_arrays import StoredArrays
from ..tools.threads import in_threads
from .algebraic import around_even, sirt_step
from .expectation_maximisation import FLOOR, GONE, SEEN, even_density, usual_subsets
from .finer import doubled, halved
from .linear_system import tilts_of_subsets
from .projection import Box
from .ray_sums import N_ROWS, RaySums

BLURRED_AT_ONCE = 4  # frames, because their spectra take several times their memory
COARSE_PX = 128  # wide, at least, are the frames of half the resolution where a fit may begin
REFINED = 3  # rounds that a fit needs after one at half the resolution


class StoredObject:
    """A volume with voxels of the size of a pixel, and the probe that blurs its frames, if it is wide.

    It is made for frames of the shape (n_tilt, n_y, n_x); the box has n_x voxels along z and x by default. `blocks` are
    arrays (n_voxels, N_ROWS) for the `rows`, empty beyond the last one, in a file with 4 bytes for each voxel. Raises
    TsgError if there is no room for it.
    """

    def __init__(self, shape: tuple[int, int, int], *, box: Box | None = None, blur=None):
        n_tilt, self.n_y, self.n_x = shape
        self.box, self.blur = box or Box(self.n_x, self.n_x), blur
        block_bytes = 4 * N_ROWS * self.box.n_voxels
        # threads, each working on one block: together the blocks take twice the memory of the frames; those of a wide
        # object, of which `algebraic.conjugate_gradients` holds four copies, may take more
        self.at_once = max(2, 8 * n_tilt * self.n_y * self.n_x // block_bytes)
        if box is not None:
            self.at_once = max(1, self.at_once // 4)
        self.rows = [slice(first, min(first + N_ROWS, self.n_y)) for first in range(0, self.n_y, N_ROWS)]
        what = f"the volume of frames of {self.n_x} x {self.n_y} px"
        self.blocks = StoredArrays(len(self.rows), (self.box.n_voxels, N_ROWS), what=what)

    @property
    def volume(self) -> np.ndarray:
        """The whole volume (n_y, n_z, n_x), read into memory."""
        volume = np.empty((self.n_y, self.box.n_z, self.box.n_x), np.float32)
        for k, rows in enumerate(self.rows):
            volume[rows] = self.blocks[k][:, : rows.stop - rows.start].T.reshape(-1, self.box.n_z, self.box.n_x)
        return volume

    def projector(self, tilt_deg: np.ndarray) -> RaySums:
        """The projector from a block to its rows of frames at these angles."""
        return RaySums(tilt_deg, n_pixels=self.n_x, box=self.box)

    def columns(self, frames: np.ndarray, k: int) -> np.ndarray:
        """The rows of frames (n_tilt, n_y, n_x) that belong to block k, as columns; zero beyond the last row."""
        rows = self.rows[k]
        columns = np.zeros((len(frames), self.n_x, N_ROWS), np.float32)
        columns[..., : rows.stop - rows.start] = frames[:, rows].transpose(0, 2, 1)
        return columns.reshape(-1, N_ROWS)

    def solve(self, solution: Callable[[int], np.ndarray]) -> None:
        """Store the result of `solution(k)`, (n_voxels, N_ROWS), for each block."""

        def store(k: int) -> None:
            self.blocks[k] = solution(k)

        in_threads(store, range(len(self.rows)), at_most=self.at_once, label="block of rows")

    def slices(self, rows: np.ndarray) -> np.ndarray:
        """Slices (n_z, n_x, len(rows)) at these ascending row indices."""
        parts = [self.blocks[k][:, rows[rows // N_ROWS == k] % N_ROWS] for k in np.unique(rows // N_ROWS)]
        return np.concatenate(parts, axis=1).reshape(self.box.n_z, self.box.n_x, -1)

    def frames(self, tilt_deg: np.ndarray) -> np.ndarray:
        """Frames (n_tilt, n_y, n_x) float32 in the unit of the series."""
        frames = self.projections(np.atleast_1d(tilt_deg))
        if self.blur is not None:
            for some in _few(len(frames)):
                frames[some] = self.blur(frames[some])
        return frames

    def projections(self, tilt_deg: np.ndarray) -> np.ndarray:
        """`frames` without the blur of the probe."""
        frames = np.empty((len(tilt_deg), self.n_y, self.n_x), np.float32)
        A = self.projector(tilt_deg)

        def project(k: int) -> None:
            sums, rows = A(self.blocks[k]).reshape(len(tilt_deg), self.n_x, N_ROWS), self.rows[k]
            frames[:, rows] = sums[..., : rows.stop - rows.start].transpose(0, 2, 1)

        in_threads(project, range(len(self.rows)), at_most=self.at_once)
        return frames


def fitted_in_blocks(
    series: TiltSeries, *, n_iterations: int, n_rounds: int = 1, blur=None, regularisation: float = 0.0
) -> StoredObject:
    """The object that OS-EM fits to the frames, as `fitted_object` describes it, with voxels of a pixel.

    Only the fit goes block by block; the blur of a wide probe is undone in whole frames, before each round. For a wide
    probe, frames with even numbers of pixels, at least twice `COARSE_PX` wide, are fitted at half their resolution
    first: that takes a third of the time, and the object comes closer to the truth.
    """
    stored, options = StoredObject(series.frames.shape, blur=blur), {"regularisation": regularisation}
    if started := blur is not None and _can_be_halved(series.frames):
        coarse = fitted_in_blocks(
            halved(series), n_iterations=n_iterations, n_rounds=n_rounds, blur=blur.binned(2), **options
        )
        stored.solve(lambda k: _finer_block(coarse, k))
        n_rounds = min(REFINED, n_rounds)
    for _ in range(n_rounds):
        if blur is None:
            target = series.frames
        elif not started:
            target = _sharpened(series.frames, blur, **options)
        else:
            target = stored.projections(series.tilt_deg)
            for some in _few(len(target)):
                missing = series.frames[some] - blur(target[some])
                target[some] += blur.sharpen(missing, **options)
        _improve(stored, target, series.tilt_deg, n_iterations=n_iterations, started=started)
        started = True
    return stored


def _can_be_halved(frames: np.ndarray) -> bool:
    n_y, n_x = frames.shape[1:]
    return n_y % 2 == 0 and n_x % 2 == 0 and n_x >= 2 * COARSE_PX


def _finer_block(coarse: StoredObject, k: int) -> np.ndarray:
    """Block k (n_voxels, N_ROWS) of the object with voxels of half the size; its rows are interpolated as well."""
    first = k * N_ROWS // 2
    rows = np.arange(first - 1, first + N_ROWS // 2 + 1).clip(0, coarse.n_y - 1)
    return doubled(coarse.slices(rows)).reshape(-1, N_ROWS)


def sirt_in_blocks(series: TiltSeries, *, n_iterations: int, box: Box | None = None) -> StoredObject:
    """The volume that `algebraic.sirt` makes from the frames, starting at zero and nowhere negative."""
    stored = StoredObject(series.frames.shape, box=box)
    A = stored.projector(series.tilt_deg)
    scales = {"ray_scale": A.ray_scale, "voxel_scale": A.voxel_scale}

    def solution(k: int) -> np.ndarray:
        x, b = np.zeros((stored.box.n_voxels, N_ROWS), np.float32), stored.columns(series.frames, k)
        for _ in range(n_iterations):
            sirt_step(A, b, x, **scales, non_negative=True)
        return x

    stored.solve(solution)
    return stored


def damped_in_blocks(series: TiltSeries, *, box: Box, n_iterations: int, damping: float) -> StoredObject:
    """The volume of `algebraic.around_even`, block by block."""
    stored = StoredObject(series.frames.shape, box=box)
    A = stored.projector(series.tilt_deg)
    stored.solve(lambda k: around_even(A, stored.columns(series.frames, k), n_iterations=n_iterations, damping=damping))
    return stored


def _sharpened(frames: np.ndarray, blur, regularisation: float) -> np.ndarray:
    sharp = np.empty_like(frames)
    for some in _few(len(frames)):
        sharp[some] = blur.sharpen(frames[some], regularisation=regularisation)
    return sharp


def _improve(
    stored: StoredObject, frames: np.ndarray, tilt_deg: np.ndarray, *, n_iterations: int, started: bool
) -> None:
    """OS-EM on every block, from an even density or from the current volume, like `os_em` without a probe.

    Negative pixels of the frames (n_tilt, n_y, n_x) count as zero.
    """
    mean = float(np.mean([frame.clip(0).mean(dtype=np.float64) for frame in frames]))
    least, floor = GONE * mean / stored.box.n_z, FLOOR * max(float(frames.max()), 0.0) or 1.0
    subsets = tilts_of_subsets(len(frames), n_subsets=usual_subsets(len(frames)))
    projectors = [stored.projector(tilt_deg[tilts]) for tilts in subsets]

    def improved(k: int) -> np.ndarray:
        measured = stored.columns(frames, k).clip(0).reshape(len(frames), -1)
        x = stored.blocks[k] if started else _even(stored, frames[:, stored.rows[k]], mean=mean)
        for _ in range(n_iterations):
            for tilts, A in zip(subsets, projectors, strict=True):
                ratio = A(x)
                np.divide(measured[tilts].reshape(ratio.shape), np.maximum(ratio, floor, out=ratio), out=ratio)
                A.correct(x, ratio, least_seen=SEEN * float(A.voxel_sums.max()), least=least)
        return x

    stored.solve(improved)


def _even(stored: StoredObject, frames: np.ndarray, *, mean: float) -> np.ndarray:
    """A block of even density for some rows of the frames."""
    x = np.zeros((stored.box.n_voxels, N_ROWS), np.float32)
    x[:, : frames.shape[1]] = even_density(frames, mean=mean, box=stored.box)
    return x


def _few(n: int) -> Iterator[slice]:
    """Slices of n frames, `BLURRED_AT_ONCE` at a time."""
    return (slice(first, first + BLURRED_AT_ONCE) for first in range(0, n, BLURRED_AT_ONCE))
