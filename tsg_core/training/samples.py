"""Training samples: two measured frames of a tilt series, a time between them, and the true frame at that time."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import TsgError
from ..tilt_series import TiltSeries

CACHE_GB = 8.0


class Batch(NamedTuple):
    """frame_a, frame_b, target (n, 1, crop, crop), divided by the scale of their series; t (n,)."""

    frame_a: Tensor
    frame_b: Tensor
    target: Tensor
    t: Tensor


class SampleSource:
    """Random samples from many tilt series. One seed and step always give the same samples.

    series       anything with len and [i] -> TiltSeries; the last ones read stay in memory, up to `CACHE_GB`
    min_rate, max_rate   the gaps between outer frames run from 2 * min_rate to 2 * max_rate; equal for one rate
    max_gap_deg  the widest gap between outer frames, where series of several steps are mixed; None: max_rate decides
    midpoint     fraction of samples by the midpoint protocol (gap 2 r, target in the middle, r uniform); in the
                 others the target is any frame in between
    dose_per_A2  (low, high): half of the samples get outer frames with Poisson noise, at a dose drawn log-uniformly
                 between the bounds; the target stays clean. None: no noise.

    Raises TsgError if there are no series, or if a series is too short or smaller than the crop.
    """

    def __init__(
        self,
        series: Sequence[TiltSeries],
        *,
        crop_px: int,
        max_rate: int,
        min_rate: int = 1,
        midpoint: float,
        dose_per_A2: tuple[float, float] | None,
        seed: int,
        max_gap_deg: float | None = None,
    ):
        if len(series) == 0:
            raise TsgError("there are no tilt series to train with")
        self.series, self.crop_px, self.midpoint = series, crop_px, midpoint
        self.min_rate, self.max_rate, self.max_gap_deg = min_rate, max_rate, max_gap_deg
        self.dose_per_A2, self.seed = dose_per_A2, seed
        self._cache: OrderedDict[int, tuple[TiltSeries, np.ndarray]] = OrderedDict()

    def batch(self, step: int, *, size: int, part: slice = slice(None)) -> Batch:
        """The samples of one step; `part` selects those of one of several devices."""
        generators = [np.random.default_rng([self.seed, step, k]) for k in range(size)[part]]
        samples = [self._sample(rng) for rng in generators]
        frames = np.stack([s[0] for s in samples])
        t = np.array([s[1] for s in samples], np.float32)
        return Batch(*torch.from_numpy(frames).unbind(1), torch.from_numpy(t))

    def _sample(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Frames (3, 1, crop, crop) in the order a, b, target, and t."""
        series, peaks = self._series(int(rng.integers(len(self.series))))
        first, gap, k = self._draw_indices(series, rng)
        indices = [first, first + gap, first + k]
        tilt_a, tilt_b, tilt = series.tilt_deg[indices]
        t = (tilt - tilt_a) / (tilt_b - tilt_a)
        # prediction divides by the brightest pixel of the frames that such a series has
        scale = peaks[first % gap :: gap].max() or 1.0
        y, x = (int(rng.integers(size - self.crop_px + 1)) for size in series.frames.shape[1:])
        trio = series.frames[indices, y : y + self.crop_px, x : x + self.crop_px]
        if self.dose_per_A2 is not None and rng.random() < 0.5:
            trio = self._with_noise(trio, series.pixel_size_A, rng)
        trio, t = _flip(trio, t, rng)
        return np.ascontiguousarray(trio[:, None]) / np.float32(scale), t

    def _draw_indices(self, series: TiltSeries, rng: np.random.Generator) -> tuple[int, int, int]:
        """Index of the first frame, gap to the other outer frame, and steps from the first frame to the target."""
        n = len(series)
        max_rate = largest_rate(series, max_rate=self.max_rate, max_gap_deg=self.max_gap_deg)
        if max_rate < self.min_rate:
            within = "" if self.max_gap_deg is None else f" within max_gap_deg={self.max_gap_deg:g}"
            raise TsgError(
                f"a series of {n} frames has no gap of {2 * self.min_rate}{within}, as min_rate={self.min_rate} asks"
            )
        if rng.random() < self.midpoint:
            k = int(rng.integers(self.min_rate, max_rate + 1))
            gap = 2 * k
        else:
            gap = int(rng.integers(2 * self.min_rate, 2 * max_rate + 1))
            k = int(rng.integers(1, gap))
        return int(rng.integers(n - gap)), gap, k

    def _with_noise(self, trio: np.ndarray, pixel_size_A: float, rng: np.random.Generator) -> np.ndarray:
        dose_per_A2 = np.exp(rng.uniform(*np.log(self.dose_per_A2)))
        per_pixel = dose_per_A2 * pixel_size_A**2
        noisy = rng.poisson(per_pixel * trio[:2].clip(0)) / per_pixel
        return np.concatenate([noisy.astype(np.float32), trio[2:]])

    def _series(self, i: int) -> tuple[TiltSeries, np.ndarray]:
        """A series and the brightest pixel of each of its frames."""
        if i in self._cache:
            self._cache.move_to_end(i)
            return self._cache[i]
        series = self.series[i]
        n_y, n_x = series.frames.shape[1:]
        if len(series) < 3:
            raise TsgError(f"series {i} has {len(series)} frames; training needs at least three")
        if min(n_y, n_x) < self.crop_px:
            raise TsgError(f"crop_px={self.crop_px} is larger than the {n_y} x {n_x} px frames of series {i}")
        self._cache[i] = series, series.frames.max(axis=(1, 2))
        while len(self._cache) > 1 and sum(s.frames.nbytes for s, _ in self._cache.values()) > CACHE_GB * 1e9:
            self._cache.popitem(last=False)
        return self._cache[i]


def largest_rate(series: TiltSeries, *, max_rate: int, max_gap_deg: float | None) -> int:
    """The largest rate up to `max_rate` whose gap, twice the rate, the series has, and that spans `max_gap_deg`."""
    rate = min(max_rate, (len(series) - 1) // 2)
    if max_gap_deg is None or rate < 1:
        return rate
    step_deg = float(np.diff(series.tilt_deg).max())
    return min(rate, int(max_gap_deg / (2 * step_deg) + 1e-6))


def _flip(trio: np.ndarray, t: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Mirror the rows of half of the samples; mirror the columns of half and swap their outer frames.

    A particle mirrored along y gives frames with mirrored rows at every tilt. A particle mirrored along x gives frames
    with mirrored columns at the opposite tilt: time runs backwards.
    """
    if rng.random() < 0.5:
        trio = trio[:, ::-1]
    if rng.random() < 0.5:
        trio, t = trio[[1, 0, 2], :, ::-1], 1 - t
    return trio, t
