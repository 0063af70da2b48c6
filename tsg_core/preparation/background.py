"""The level that a detector reports where there is no object, and its removal."""

from dataclasses import dataclass

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries

MAD_TO_SIGMA = 1.4826  # of a normal distribution
WIDTH = 1 / 16  # of the border, as a part of the shorter side
N_VACUUM = 4  # of the border's sixteen pieces


@dataclass(frozen=True, kw_only=True)
class BackgroundReport:
    """The level (n_tilt,) taken from each frame, and the robust standard deviation of what is left in the vacuum."""

    level: np.ndarray
    sigma: float
    source: str

    def __str__(self) -> str:
        spread = (
            f", from {self.level.min():.5g} to {self.level.max():.5g} over the frames" if np.ptp(self.level) else ""
        )
        level = f"{self.level.mean():.5g} ({self.source}){spread}"
        return f"Subtracted a background of {level}, about which the vacuum varies by {self.sigma:.3g}."


def subtract_background(
    series: TiltSeries, *, level: float | None = None, per_frame: bool = False
) -> tuple[TiltSeries, BackgroundReport]:
    """The series less its background: one level for all frames, or one for each.

    A level that is not given is estimated, see `vacuum_levels`. Values below it become negative, as noise about an
    empty pixel must: clipping them would leave a background again. Raises TsgError for a level that is not finite.
    """
    if level is not None and not np.isfinite(level):
        raise TsgError(f"a background of {level} must be a finite number")
    if level is not None:
        levels, source = np.full(len(series), float(level)), "given"
    else:
        levels, source = vacuum_levels(series.frames), "the vacuum of each frame"
        if not per_frame:
            levels, source = np.full(len(series), np.median(levels)), "the vacuum of the series"
    frames = series.frames - levels.astype(np.float32)[:, None, None]
    below = frames[frames < 0]
    sigma = float(MAD_TO_SIGMA * np.median(-below)) if below.size else 0.0
    report = BackgroundReport(level=levels, sigma=sigma, source=source)
    return series.noted(str(report), frames=frames), report


def vacuum_levels(frames: np.ndarray) -> np.ndarray:
    """(n_tilt,): what each frame shows beside the object.

    The border is cut into sixteen pieces. The four that are darkest over the whole series are taken for vacuum, so that
    an object or a film which leaves the frame on some sides does not count, and the mean of their medians is a frame's
    level. As the same pieces serve for all frames, noise does not decide which they are.
    """
    medians = np.array([[np.median(piece) for piece in _border_pieces(frame)] for frame in frames])
    vacuum = np.argsort(medians.mean(axis=0))[:N_VACUUM]
    return medians[:, vacuum].mean(axis=1)


def _border_pieces(frame: np.ndarray) -> list[np.ndarray]:
    width = max(1, int(min(frame.shape) * WIDTH))
    sides = (frame[:width].T, frame[-width:].T, frame[:, :width], frame[:, -width:])
    return [piece for side in sides for piece in np.array_split(side, 4)]
