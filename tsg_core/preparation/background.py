"""The level that a detector reports without an object, and its removal."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries, noted_in
from ..vacuum import MAD_TO_SIGMA, less_level, recorded_in, sample_of, vacuum_of


@dataclass(frozen=True, kw_only=True)
class BackgroundReport:
    """The level (n_tilt,) subtracted from each frame, and the robust standard deviation of the remaining vacuum.

    `filled` counts the frames with borders that were not recorded, because another program aligned them.
    """

    level: np.ndarray
    sigma: float
    source: str
    filled: int = 0

    def __str__(self) -> str:
        spread = (
            f", from {self.level.min():.5g} to {self.level.max():.5g} over the frames" if np.ptp(self.level) else ""
        )
        level = f"{self.level.mean():.5g} ({self.source}){spread}"
        filled = f" Borders of {self.filled} frames that were not recorded are taken for vacuum." if self.filled else ""
        return f"Subtracted a background of {level}, about which the vacuum varies by {self.sigma:.3g}.{filled}"


def subtract_background(
    series: TiltSeries, *, level: float | None = None, per_frame: bool = False
) -> tuple[TiltSeries, BackgroundReport]:
    """The series minus its background: one level for all frames, or one for each.

    A level that is not given is estimated; see `vacuum.vacuum_of`. Values below it become negative, as the noise of
    empty pixels must: clipping them would leave a background again. Borders that were not recorded become zero.
    Raises TsgError for a level that is not finite.
    """
    if level is not None and not np.isfinite(level):
        raise TsgError(f"a background of {level} must be a finite number")
    if level is not None:
        levels, source = np.full(len(series), float(level)), "given"
    else:
        levels, source = vacuum_of(series.frames).level, "the vacuum of each frame"
        if not per_frame:
            levels, source = np.full(len(series), np.median(levels)), "the vacuum of the series"
    less = series.changed(partial(less_level, level=levels.astype(np.float32)), "")
    filled = sum(recorded_in(frame) is not None for frame in series.frames)
    below = -sample_of(less.frames).clip(max=0)
    sigma = float(MAD_TO_SIGMA * np.median(below[below > 0])) if below.any() else 0.0
    report = BackgroundReport(level=levels, sigma=sigma, source=source, filled=filled)
    metadata = noted_in(series.metadata, str(report), since={"intensity": "a background was subtracted"})
    return replace(less, metadata=metadata), report
