"""Hot pixels and X-rays on the detector: single pixels far brighter or darker than all their neighbours."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter, median_filter, minimum_filter

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..vacuum import MAD_TO_SIGMA

NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
N_LEVELS = 24  # classes of brightness, each with its own spread
SAMPLE = 2_000_000  # pixels from which the spreads are learnt
TAIL = 0.99  # quantile that widens the spread of a class if few electrons make it skewed
FLOOR = 1e-3  # of the brightest pixels: lower limit of the spread, for frames without noise


@dataclass(frozen=True, kw_only=True)
class HotPixelReport:
    """Where pixels were replaced: (n, 3) of frame, row and column."""

    replaced: np.ndarray
    n_pixels: int
    threshold_sigma: float

    def __str__(self) -> str:
        n = len(self.replaced)
        frames = len(np.unique(self.replaced[:, 0]))
        return (
            f"Replaced {n} outlying pixels ({1e6 * n / self.n_pixels:.0f} of a million) in {frames} frames, "
            f"more than {self.threshold_sigma:g} sigma beyond all their neighbours."
        )


def replace_hot_pixels(series: TiltSeries, *, threshold_sigma: float = 8.0) -> tuple[TiltSeries, HotPixelReport]:
    """Replace every pixel that lies `threshold_sigma` above or below all eight neighbours by their median.

    Sigma is the robust spread of pixels about the median of their neighbours, over all pixels of the series that are
    equally bright. It includes the noise and the atoms at that brightness. For bright pixels, the brightness is that of
    the brightest neighbour, the flank of an atom. Atoms that cover more than one pixel therefore stay, and so do pairs
    of hot pixels. Apply this before binning.
    Raises TsgError for a threshold below 3, which noise exceeds.
    """
    if not 3 <= threshold_sigma < np.inf:
        raise TsgError(f"threshold_sigma={threshold_sigma} must be at least 3: noise exceeds less")
    spread = _spread_by_level(series.frames)
    frames, replaced = series.frames.copy(), []
    for i, frame in enumerate(series.frames):
        median = median_filter(frame, footprint=NEIGHBOURS)
        brightest = maximum_filter(frame, footprint=NEIGHBOURS)
        above = frame > brightest + threshold_sigma * spread(brightest)
        below = frame < minimum_filter(frame, footprint=NEIGHBOURS) - threshold_sigma * spread(median)
        found = np.argwhere(above | below)
        frames[i][tuple(found.T)] = median[tuple(found.T)]
        replaced.append(np.column_stack([np.full(len(found), i), found]))
    report = HotPixelReport(
        replaced=np.concatenate(replaced), n_pixels=series.frames.size, threshold_sigma=threshold_sigma
    )
    return series.noted(str(report), frames=frames), report


def _spread_by_level(frames: np.ndarray):
    """A function that gives, for a level, how far pixels lie from the median of their neighbours at this level."""
    some = frames[:: max(1, frames.size // SAMPLE)]
    level = np.stack([median_filter(frame, footprint=NEIGHBOURS) for frame in some]).ravel()
    distance = np.abs(some.ravel() - level)
    classes = np.array_split(np.argsort(level, kind="stable"), N_LEVELS)
    classes = [c for c in classes if len(c)]
    floor = FLOOR * float(np.ptp(np.quantile(level, [0.01, 0.999])))
    widths = [max(MAD_TO_SIGMA * np.median(distance[c]), np.quantile(distance[c], TAIL) / 2.58, floor) for c in classes]
    levels = [level[c].mean() for c in classes]
    return lambda level: np.interp(level, levels, np.maximum.accumulate(widths))
