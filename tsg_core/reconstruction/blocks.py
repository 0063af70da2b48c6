"""The object behind large frames: fitted block of rows by block of rows, and kept in a temporary file.

A tilt about y mixes no rows, so that the fit of a block needs the frames of its rows alone. As a whole, the volume of
frames of 512 x 512 pixels takes as much memory as six series of 90 of them.
"""

import shutil
import tempfile
from collections.abc import Iterator
from threading import Lock
from weakref import finalize

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.threads import in_threads
from .expectation_maximisation import FLOOR, GONE, SEEN, even_density, usual_subsets
from .linear_system import inverse, tilts_of_subsets
from .ray_sums import MAX_TILTS, N_ROWS, Rays

BLURRED_AT_ONCE = 4  # frames: their spectra take several times their memory


class StoredObject:
    """A volume of n_x voxels along z and x, of the size of a pixel, and the probe that blurs its frames, if it is wide.

    Made by `fitted_in_blocks` for frames of the shape (n_tilt, n_y, n_x). The file, of 4 n_y n_x^2 bytes, lies where
    `tempfile` puts it, has no name there, and goes with the object, or with a process that is killed. Raises TsgError
    where there is no room for it.
    """

    def __init__(self, shape: tuple[int, int, int], *, blur=None):
        n_tilt, self.n_y, self.n_x = shape
        self.blur = blur
        # threads that work, each on a block: together these take twice the memory of the frames
        self.at_once = max(2, 2 * n_tilt * self.n_y // (N_ROWS * self.n_x))
        self.rows = [slice(first, min(first + N_ROWS, self.n_y)) for first in range(0, self.n_y, N_ROWS)]
        self._shape = self.n_x, self.n_x, N_ROWS
        self._block_bytes = 4 * N_ROWS * self.n_x**2
        folder = tempfile.gettempdir()
        needed, free = len(self.rows) * self._block_bytes, shutil.disk_usage(folder).free
        if needed > free:
            raise TsgError(
                f"the volume of frames of {self.n_x} x {self.n_y} px takes {needed / 1e9:.1f} GB in {folder}, where "
                f"{free / 1e9:.1f} GB are free; set TMPDIR to one with room"
            )
        self._file, self._one_at_a_time = tempfile.TemporaryFile(), Lock()
        finalize(self, self._file.close)

    @property
    def volume(self) -> np.ndarray:
        """The whole volume (n_y, n_z, n_x), read into memory."""
        volume = np.empty((self.n_y, self.n_x, self.n_x), np.float32)
        for k, rows in enumerate(self.rows):
            volume[rows] = self.block(k)[..., : rows.stop - rows.start].transpose(2, 0, 1)
        return volume

    def block(self, k: int) -> np.ndarray:
        """The k-th block (n_z, n_x, N_ROWS), of `rows[k]`; beyond the last row it is empty."""
        block = np.empty(self._shape, np.float32)
        with self._one_at_a_time:
            self._file.seek(k * self._block_bytes)
            self._file.readinto(block)
        return block

    def put(self, k: int, block: np.ndarray) -> None:
        """Keep a block in the place of the k-th."""
        with self._one_at_a_time:
            self._file.seek(k * self._block_bytes)
            self._file.write(np.ascontiguousarray(block, np.float32))
            self._file.flush()

    def frames(self, tilt_deg: np.ndarray) -> np.ndarray:
        """Frames (n_tilt, n_y, n_x) float32 in the unit of the series."""
        frames = self.projections(np.atleast_1d(tilt_deg))
        if self.blur is not None:
            for some in _few(len(frames)):
                frames[some] = self.blur(frames[some])
        return frames

    def projections(self, tilt_deg: np.ndarray) -> np.ndarray:
        """`frames` before the probe blurs them."""
        frames = np.empty((len(tilt_deg), self.n_y, self.n_x), np.float32)
        some = [slice(first, first + MAX_TILTS) for first in range(0, len(tilt_deg), MAX_TILTS)]

        def project(k: int) -> None:
            block, rows = self.block(k), self.rows[k]
            for tilts in some:
                sums = Rays.at(tilt_deg[tilts]).project(block)
                frames[tilts, rows] = sums[:, 1 : self.n_x + 1, : rows.stop - rows.start].transpose(0, 2, 1)

        in_threads(project, range(len(self.rows)), at_most=self.at_once)
        return frames


def fitted_in_blocks(
    series: TiltSeries, *, n_iterations: int, n_rounds: int = 1, blur=None, regularisation: float = 0.0
) -> StoredObject:
    """The object that OS-EM fits to the frames, as `reprojection.fitted_object` describes it, with voxels of a pixel.

    Only the fit goes block by block: the blur of a wide probe is undone in whole frames, before each of the rounds.
    """
    stored = StoredObject(series.frames.shape, blur=blur)
    target = series.frames if blur is None else _sharpened(series.frames, blur, regularisation)
    for k in range(n_rounds):
        if k > 0:
            target = stored.projections(series.tilt_deg)
            for some in _few(len(target)):
                missing = series.frames[some] - blur(target[some])
                target[some] += blur.sharpen(missing, regularisation=regularisation)
        _improve(stored, target, series.tilt_deg, n_iterations=n_iterations, started=k > 0)
    return stored


def sirt_in_blocks(series: TiltSeries, *, n_iterations: int) -> StoredObject:
    """The volume that `algebraic.sirt` makes of the frames, from zero and nowhere negative."""
    stored, rays = StoredObject(series.frames.shape), Rays.at(series.tilt_deg)
    over = inverse(rays.sensitivity(stored.n_x)).reshape(stored.n_x, -1)
    lengths = rays.project(np.ones((stored.n_x, stored.n_x, N_ROWS), np.float32))
    per_length = inverse(lengths).reshape(lengths.shape)

    def solve(k: int) -> None:
        measured = _padded(series.frames[:, stored.rows[k]])
        block = np.zeros((stored.n_x, stored.n_x, N_ROWS), np.float32)
        for _ in range(n_iterations):
            missing = rays.project(block)
            np.subtract(measured, missing, out=missing)
            missing *= per_length
            missing[:, 0] = missing[:, stored.n_x + 1 :] = 0
            rays.correct(block, missing, over=over, add=True)
        stored.put(k, block)

    in_threads(solve, range(len(stored.rows)), at_most=stored.at_once, label="block of rows")
    return stored


def _sharpened(frames: np.ndarray, blur, regularisation: float) -> np.ndarray:
    sharp = np.empty_like(frames)
    for some in _few(len(frames)):
        sharp[some] = blur.sharpen(frames[some], regularisation=regularisation)
    return sharp


def _improve(
    stored: StoredObject, frames: np.ndarray, tilt_deg: np.ndarray, *, n_iterations: int, started: bool
) -> None:
    """OS-EM on every block, from an even density or from where it was, as `os_em` does it without a probe.

    Negative pixels of the frames (n_tilt, n_y, n_x) are taken for zero.
    """
    mean = float(np.mean([frame.clip(0).mean(dtype=np.float64) for frame in frames]))
    least, floor = GONE * mean / stored.n_x, FLOOR * max(float(frames.max()), 0.0) or 1.0
    subsets = tilts_of_subsets(len(frames), n_subsets=usual_subsets(len(frames)))
    rays = [Rays.at(tilt_deg[tilts]) for tilts in subsets]
    overs = [_inverse_of_seen(r.sensitivity(stored.n_x)) for r in rays]

    def improve(k: int) -> None:
        measured = _padded(frames[:, stored.rows[k]]).clip(0)
        block = stored.block(k) if started else _even(frames[:, stored.rows[k]], mean=mean)
        for _ in range(n_iterations):
            for tilts, seen_by, over in zip(subsets, rays, overs, strict=True):
                ratio = seen_by.project(block)
                np.divide(measured[tilts], np.maximum(ratio, floor, out=ratio), out=ratio)
                seen_by.correct(block, ratio, over=over, least=least)
        stored.put(k, block)

    in_threads(improve, range(len(stored.rows)), at_most=stored.at_once, label="block of rows")


def _padded(frames: np.ndarray) -> np.ndarray:
    """Frames (n_tilt, rows, n_x) -> (n_tilt, n_x + 3, N_ROWS) as `ray_sums` has them."""
    n_tilt, n_rows, n_x = frames.shape
    padded = np.zeros((n_tilt, n_x + 3, N_ROWS), np.float32)
    padded[:, 1 : n_x + 1, :n_rows] = frames.transpose(0, 2, 1)
    return padded


def _even(frames: np.ndarray, *, mean: float) -> np.ndarray:
    """A block of even density for some rows of the frames."""
    n_x = frames.shape[2]
    block = np.zeros((n_x, n_x, N_ROWS), np.float32)
    block[..., : frames.shape[1]] = even_density(frames, mean=mean)
    return block


def _inverse_of_seen(sensitivity: np.ndarray) -> np.ndarray:
    """1 / sensitivity, and 0 where next to nothing of a voxel arrives in the frames."""
    seen = sensitivity > SEEN * sensitivity.max()
    return np.divide(1, sensitivity, out=np.zeros_like(sensitivity), where=seen)


def _few(n: int) -> Iterator[slice]:
    """`BLURRED_AT_ONCE` of n frames after the other."""
    return (slice(first, first + BLURRED_AT_ONCE) for first in range(0, n, BLURRED_AT_ONCE))
