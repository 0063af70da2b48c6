"""Leaving frames out, and changing the sign of the angles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..vacuum import vacuum_of

EMPTY = 0.1  # of the usual light above the vacuum: a frame with less shows nothing
MOSTLY_SHOWING = 0.2  # of the frames, at most, may be empty
NEAR_deg = 0.05  # an angle this close to that of a frame denotes the frame


@dataclass(frozen=True, kw_only=True)
class SelectionReport:
    """The number of remaining frames, and the tilts `excluded_deg` of the others."""

    excluded_deg: tuple[float, ...]
    n_left: int

    def __str__(self) -> str:
        tilts = ", ".join(f"{t:g}" for t in self.excluded_deg)
        return f"Excluded {len(self.excluded_deg)} frames, at {tilts} degrees; {self.n_left} are left."


@dataclass(frozen=True, kw_only=True)
class EmptyReport:
    """The tilts of frames that show nothing."""

    empty_deg: tuple[float, ...]

    def __str__(self) -> str:
        n, tilts = len(self.empty_deg), ", ".join(f"{t:g}" for t in self.empty_deg)
        return (
            f"Left out {n} frame{'s that show' if n > 1 else ' that shows'} nothing, at {tilts} degrees: the beam was "
            "off, or the object out of sight."
        )


@dataclass(frozen=True, kw_only=True)
class FlipReport:
    """The range of the angles after their sign was changed."""

    first_deg: float
    last_deg: float

    def __str__(self) -> str:
        return f"Changed the sign of the angles, which now run from {self.first_deg:g} to {self.last_deg:g} degrees."


def exclude(
    series: TiltSeries, *, indices: Sequence[int] = (), angles_deg: Sequence[float] = ()
) -> tuple[TiltSeries, SelectionReport]:
    """The series without the frames at these indices (from 0, in the order of the angles) or angles.

    Raises TsgError for an index or an angle that no frame has, and if fewer than two frames are left.
    """
    out = {int(i) for i in indices}
    if wrong := [i for i in out if not 0 <= i < len(series)]:
        raise TsgError(f"frame {wrong[0]} cannot be excluded: the frames are numbered from 0 to {len(series) - 1}")
    for angle in angles_deg:
        distance = np.abs(series.tilt_deg - angle)
        if distance.min() > NEAR_deg:
            nearest = series.tilt_deg[distance.argmin()]
            raise TsgError(f"no frame was taken at {angle:g} degrees; the nearest is at {nearest:g}")
        out.add(int(distance.argmin()))
    kept = np.setdiff1d(np.arange(len(series)), sorted(out))
    if len(kept) < 2:
        raise TsgError(f"excluding {len(out)} of {len(series)} frames leaves fewer than two")
    report = SelectionReport(excluded_deg=tuple(series.tilt_deg[sorted(out)].tolist()), n_left=len(kept))
    return series.subset(kept).noted(str(report)), report


def leave_out_empty(series: TiltSeries) -> tuple[TiltSeries, EmptyReport | None]:
    """The series without frames that show almost no light above their vacuum; itself, and None, if there are none.

    If many frames show little, something else is wrong, and all stay.
    """
    vacuum = vacuum_of(series.frames)
    light = np.array([frame.mean(dtype=np.float64) for frame in series.frames]) - vacuum.level
    empty = np.flatnonzero(light < np.maximum(EMPTY * np.median(light), 3 * vacuum.error))
    if not vacuum.evident or not 0 < len(empty) <= MOSTLY_SHOWING * len(series):
        return series, None
    report = EmptyReport(empty_deg=tuple(series.tilt_deg[empty].tolist()))
    return series.subset(np.setdiff1d(np.arange(len(series)), empty)).noted(str(report)), report


def flip_angles(series: TiltSeries) -> tuple[TiltSeries, FlipReport]:
    """The series with the sign of every angle changed; its volume is the mirror image along the beam."""
    backwards = slice(None, None, -1)
    tilt_deg = -series.tilt_deg[backwards]
    report = FlipReport(first_deg=float(tilt_deg[0]), last_deg=float(tilt_deg[-1]))
    changes = {"frames": series.frames[backwards], "tilt_deg": tilt_deg, "measured": series.measured[backwards]}
    return series.noted(str(report), since={"angles": "their signs were changed"}, **changes), report
