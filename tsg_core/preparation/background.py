"""The level that a detector reports without an object, and its removal."""

from dataclasses import dataclass

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..vacuum import MAD_TO_SIGMA, recorded_in, vacuum_of


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
    frames = series.frames - levels.astype(np.float32)[:, None, None]
    filled = 0
    for frame, subtracted in zip(series.frames, frames, strict=True):
        if (recorded := recorded_in(frame)) is not None:
            subtracted[~recorded] = 0
            filled += 1
    below = frames[frames < 0]
    sigma = float(MAD_TO_SIGMA * np.median(-below)) if below.size else 0.0
    report = BackgroundReport(level=levels, sigma=sigma, source=source, filled=filled)
    return series.noted(str(report), frames=frames, since={"intensity": "a background was subtracted"}), report
