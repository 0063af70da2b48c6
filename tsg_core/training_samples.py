"""Drawing training samples from tilt series: two outer frames, a frame between them, and its time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .errors import TsgError
from .tilt_series import TiltSeries


class Samples(NamedTuple):
    """Frames (n, 1, n_y, n_x) with the brightest measured pixel of their sparse series at 1, and t (n,) in (0, 1)."""

    frame_a: Tensor
    frame_b: Tensor
    target: Tensor
    t: Tensor


class SampleSource:
    """Draws samples of random rate, offset and time from measured series.

    series          at least one TiltSeries of at least three frames, all of them measured
    crop_px         edge of the square crops; a frame narrower than this is taken whole
    max_rate        outer frames lie 2 to 2 * max_rate tilts apart, or as far as the series allows
    midpoint_share  of the samples have an even gap and their target in the middle; the others have any time between
    dose_per_A2     (lowest, highest) electrons per square angstrom of the Poisson noise on the outer frames, drawn
                    log-uniformly; the target stays as it is. None: no noise
    seed            with step and rank decides a batch, so that a training can go on anywhere with nothing kept

    Raises TsgError for series that give no samples.
    """

    def __init__(
        self,
        series: Sequence[TiltSeries],
        *,
        crop_px: int,
        max_rate: int,
        midpoint_share: float,
        dose_per_A2: tuple[float, float] | None = None,
        seed: int = 0,
    ):
        _check(series)
        self.series, self.max_rate, self.midpoint_share = series, max_rate, midpoint_share
        self.dose_per_A2, self.seed = dose_per_A2, seed
        self.crop = tuple(min(crop_px, *(s.frames.shape[axis] for s in series)) for axis in (1, 2))
        self._brightest = [s.frames.max(axis=(1, 2)) for s in series]

    def batch(self, n: int, *, step: int, rank: int = 0) -> Samples:
        """n samples, the same ones whenever they are asked for."""
        rng = np.random.default_rng((self.seed, step, rank))
        frames, t = zip(*(self._sample(rng) for _ in range(n)), strict=True)
        frames = torch.from_numpy(np.stack(frames))[:, :, None]
        return Samples(*frames.unbind(1), torch.tensor(t, dtype=torch.float32))

    def _sample(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Frames (3, n_y, n_x) a, b and target, and the target's time."""
        which = int(rng.integers(len(self.series)))
        series = self.series[which]
        first, target, last = self._trio(rng, len(series))
        crop = self._crop(rng, series.frames[first])
        frames = np.stack([series.frames[i][crop] for i in (first, last, target)])
        if self.dose_per_A2:
            low, high = np.log(self.dose_per_A2)
            frames[:2] = _poisson(rng, frames[:2], electrons=np.exp(rng.uniform(low, high)) * series.pixel_size_A**2)
        frames /= sparse_scale(self._brightest[which], gap=last - first, offset=first)
        tilt_deg = series.tilt_deg
        t = (tilt_deg[target] - tilt_deg[first]) / (tilt_deg[last] - tilt_deg[first])
        return _flip(frames, t, y=rng.random() < 0.5, x=rng.random() < 0.5)

    def _trio(self, rng: np.random.Generator, n: int) -> tuple[int, int, int]:
        max_gap = min(2 * self.max_rate, n - 1)
        midpoint = rng.random() < self.midpoint_share
        gap = 2 * int(rng.integers(1, max_gap // 2 + 1)) if midpoint else int(rng.integers(2, max_gap + 1))
        first = int(rng.integers(n - gap))
        between = gap // 2 if midpoint else int(rng.integers(1, gap))
        return first, first + between, first + gap

    def _crop(self, rng: np.random.Generator, frame: np.ndarray) -> tuple[slice, slice]:
        """A window around a pixel drawn by intensity, since empty windows teach nothing."""
        if frame.shape == self.crop:
            return slice(None), slice(None)
        cumulative = np.cumsum(frame.clip(min=0), dtype=np.float64)
        pixel = np.searchsorted(cumulative, rng.random() * cumulative[-1]).clip(max=frame.size - 1)
        centre = np.unravel_index(pixel, frame.shape)
        starts = [
            int(np.clip(c - size // 2, 0, n - size)) for c, size, n in zip(centre, self.crop, frame.shape, strict=True)
        ]
        return tuple(slice(start, start + size) for start, size in zip(starts, self.crop, strict=True))


def sparse_scale(brightest: np.ndarray, *, gap: int, offset: int) -> float:
    """The intensity scale of the sparse series that holds every gap-th frame, from each frame's brightest pixel.

    This is the scale that a prediction from that series will use; the frames between have no part in it.
    """
    return float(brightest[offset % gap :: gap].max()) or 1.0


def _flip(frames: np.ndarray, t: float, *, y: bool, x: bool) -> tuple[np.ndarray, float]:
    """Mirror rows, columns or both of a, b and target.

    Mirroring rows leaves a tilt about y as it is. Mirroring columns reverses it: a and b change places.
    """
    if y:
        frames = frames[:, ::-1]
    if x:
        frames, t = frames[[1, 0, 2], :, ::-1], 1 - t
    return np.ascontiguousarray(frames), t


def _poisson(rng: np.random.Generator, frames: np.ndarray, *, electrons: float) -> np.ndarray:
    return rng.poisson(frames.clip(min=0) * electrons) / electrons


def _check(series: Sequence[TiltSeries]) -> None:
    if len(series) == 0:
        raise TsgError("there are no tilt series to draw samples from")
    for i, one in enumerate(series):
        if len(one) < 3:
            raise TsgError(f"tilt series {i} has {len(one)} frames; a sample needs two and one between them")
        if not one.measured.all():
            raise TsgError(f"tilt series {i} holds predicted frames; train on measured ones alone")
