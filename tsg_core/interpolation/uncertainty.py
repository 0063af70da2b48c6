"""Standard deviations of predicted pixels, learnt from left-out frames, and how often intervals contain the truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from .nonnegative import lowest_quadratic

LEVELS = (0.5, 0.9, 0.95)
CALIBRATED_AT = 0.9  # the interval that contains this fraction of the left-out pixels sets the scale
SMOOTH_px = 1.5  # squared differences are averaged over this distance
DRAWN_px = 20_000  # at most this many pixels of a frame set the scale


@dataclass(frozen=True, kw_only=True)
class PixelErrors:
    """Where errors lie in a frame: shares that are even, follow brightness, follow disagreement; and their scale."""

    shares: tuple[float, ...]
    scale: float

    def sigma(self, frames: np.ndarray, spread: np.ndarray, *, mse: np.ndarray) -> np.ndarray:
        """Standard deviations (n, n_y, n_x) of predicted frames.

        `spread` (n, n_y, n_x) is the variance between the methods, `mse` (n,) the expected error of each frame.
        """
        shape = np.tensordot(self.shares, _features(frames, spread), axes=1)
        return (self.scale * np.sqrt(shape * mse[:, None, None])).astype(np.float32)


def learn_pixel_errors(frames: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, float]]) -> PixelErrors:
    """Learn pixel errors from left-out frames.

    Each frame comes with the truth, its prediction and the variance between the methods, (n_y, n_x) each, and its
    expected mean squared error. The squared error of a pixel, relative to that of its frame, is modelled as a sum of
    three parts with shares >= 0 (least squares). The scale makes the 90 % normal interval that follows from the
    expected error contain 90 % of the left-out pixels, or of an even selection if frames are large. It thereby allows
    for frames that are worse than expected, for example along zone axes.
    """
    gram, moment, drawn = np.zeros((3, 3)), np.zeros(3), []
    for truth, predicted, spread, expected in frames:
        squared = (truth.astype(np.float64) - predicted).ravel() ** 2
        relative = squared / squared.mean() if squared.any() else squared
        features = _features(predicted[None], spread[None]).reshape(3, -1)
        gram += features @ features.T
        moment += features @ relative
        every = -(-relative.size // DRAWN_px)
        drawn.append(np.vstack([features[:, ::every], squared[::every] / max(expected, np.finfo(float).tiny)]))
    *features, relative = np.concatenate(drawn, axis=1)
    shares = lowest_quadratic(gram, moment)
    shares = shares / shares.sum() if shares.sum() > 0 else np.array([1.0, 0.0, 0.0])
    shares = 0.95 * shares + 0.05 * np.array([1.0, 0.0, 0.0])  # no pixel is certain
    quantile = float(np.quantile(np.sqrt(relative / (shares @ features)), CALIBRATED_AT)) if relative.any() else 1.0
    return PixelErrors(shares=tuple(shares.tolist()), scale=quantile / norm.ppf((1 + CALIBRATED_AT) / 2))


def coverage(
    predicted: np.ndarray, sigma: np.ndarray, truth: np.ndarray, *, levels: Sequence[float] = LEVELS
) -> dict[float, float]:
    """Fraction of pixels whose truth lies inside the normal interval of each level around the prediction.

    All arrays have one shape. If intervals are calibrated, the fraction equals the level: 0.5 at 50 %.
    """
    distance = np.abs(np.asarray(truth, np.float64) - predicted)
    return {level: float(np.mean(distance <= norm.ppf((1 + level) / 2) * sigma)) for level in levels}


def _features(frames: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(3, n, n_y, n_x), each with mean 1 in a frame: even, brightness, and the methods' disagreement nearby."""
    smooth = (0, SMOOTH_px, SMOOTH_px)
    parts = [np.ones_like(frames), gaussian_filter(frames.clip(0), smooth), gaussian_filter(spread, smooth)]
    means = [part.mean(axis=(1, 2), keepdims=True) for part in parts]
    return np.stack(
        [np.divide(p, m, out=np.ones_like(p), where=m > 0) for p, m in zip(parts, means, strict=True)]
    ).astype(np.float64)
