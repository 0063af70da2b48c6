"""Intervals over particles. The independent unit is the particle, so average the frames of each particle first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..errors import TsgError


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Mean of a - b over particles and its interval; `resolved` if the interval excludes zero."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def resolved(self) -> bool:
        return self.low > 0 or self.high < 0

    @property
    def verdict(self) -> str:
        """What the data say about a compared with b: "higher", "lower" or "not resolved"."""
        return verdict(self.low, self.high, higher="higher", lower="lower")


def verdict(low: float, high: float, *, higher: str, lower: str, unresolved: str = "not resolved") -> str:
    """The word that the interval of a difference supports: "not resolved" if it contains zero or NaN."""
    if low > 0:
        return higher
    return lower if high < 0 else unresolved


def bootstrap_interval(
    values: ArrayLike, *, seed: int, confidence: float = 0.95, n_resamples: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """Interval (low, high) of the mean over the first axis of values (n_particles, ...); both keep the other axes.

    SciPy's bias-corrected and accelerated bootstrap (Efron, J. Am. Stat. Assoc. 82, 171, 1987). If all values are
    equal, the interval has no width. Fewer than two particles give NaN, because they say nothing about the spread.
    Raises TsgError for values that are not finite and a confidence outside 0..1.
    """
    values = np.asarray(values, float)
    if not 0 < confidence < 1:
        raise TsgError(f"confidence={confidence} must lie between 0 and 1")
    if values.ndim == 0 or not np.isfinite(values).all():
        raise TsgError(f"the bootstrap needs a list of finite values; {np.sum(~np.isfinite(values))} are not finite")
    if len(values) < 2:
        unknown = np.full(values.shape[1:], np.nan)
        return unknown[()], unknown[()]
    low = values.mean(axis=0)
    high = low.copy()
    spread = np.ptp(values, axis=0) > 1e-12 * np.abs(values).max(axis=0)
    if spread.any():
        interval = stats.bootstrap(
            (values[:, spread] if values.ndim > 1 else values,), np.mean, axis=0, vectorized=True, batch=200,
            n_resamples=n_resamples, confidence_level=confidence, method="BCa", rng=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
        low, high = np.array(low), np.array(high)
        low[spread], high[spread] = interval.low, interval.high
    return low[()], high[()]


def paired_difference(a: ArrayLike, b: ArrayLike, *, seed: int, confidence: float = 0.95) -> PairedDifference:
    """Mean of a - b, both (n_particles,) in the same order, with the bootstrap interval of that difference.

    What a and b share in each particle cancels, so this interval is narrower than those of a and b suggest.
    Raises TsgError if the numbers of particles differ, and as `bootstrap_interval` does.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or a.ndim != 1:
        raise TsgError(f"paired values of shapes {a.shape} and {b.shape} must be two lists of the same length")
    low, high = bootstrap_interval(a - b, seed=seed, confidence=confidence)
    return PairedDifference(mean=float(np.mean(a - b)), low=float(low), high=float(high), n=len(a))
