"""Frames that are left out, and the sign of the angles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries

NEAR_deg = 0.05  # a frame is meant by an angle this near to its own


@dataclass(frozen=True, kw_only=True)
class SelectionReport:
    """Which frames are left: `excluded_deg` are the tilts of the others."""

    excluded_deg: tuple[float, ...]
    n_left: int

    def __str__(self) -> str:
        tilts = ", ".join(f"{t:g}" for t in self.excluded_deg)
        return f"Excluded {len(self.excluded_deg)} frames, at {tilts} degrees; {self.n_left} are left."


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

    Raises TsgError for an index or an angle that no frame has, and where fewer than two frames are left.
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


def flip_angles(series: TiltSeries) -> tuple[TiltSeries, FlipReport]:
    """The series with every angle's sign changed: its volume is the mirror image, along the beam, of the other one."""
    backwards = slice(None, None, -1)
    tilt_deg = -series.tilt_deg[backwards]
    report = FlipReport(first_deg=float(tilt_deg[0]), last_deg=float(tilt_deg[-1]))
    changes = {"frames": series.frames[backwards], "tilt_deg": tilt_deg, "measured": series.measured[backwards]}
    return series.noted(str(report), **changes), report
