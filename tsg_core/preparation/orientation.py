"""Whether the tilt axis of a recording lies along y or along x, judged by how well the frames show one object."""

from dataclasses import dataclass

from ..tilt_series import TiltSeries
from .alignment import coarse_residual
from .common_lines import change_of_sums
from .framing import turn

LIKELY = 1.0  # if sums over y change less than this, relative to sums over x, the axis may lie along x
CLEARLY = 0.75  # clear if turned frames have at most this fraction of the reprojection residual as recorded
FEWEST = 5  # frames needed for a judgement


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """Reprojection residuals of the frames as recorded and turned by 90 degrees, each roughly aligned."""

    as_recorded: float
    turned: float

    @property
    def along_x(self) -> bool:
        return self.turned < CLEARLY * self.as_recorded

    @property
    def doubtful(self) -> bool:
        return CLEARLY * self.as_recorded <= self.turned < self.as_recorded

    def __str__(self) -> str:
        found = f"{self.as_recorded:.3f} as recorded and {self.turned:.3f} with the frames turned by 90 degrees"
        if self.along_x:
            return (
                f"The tilt axis lies along x: the reprojection residual is {found}. --no-rotate leaves them; if the "
                "volume is a mirror image, --flip-angles."
            )
        return (
            f"note: the tilt axis may lie along x, which the frames do not tell: the reprojection residual is {found}; "
            "compare the volumes of --rotate and --no-rotate"
        )


def orientation(series: TiltSeries) -> Orientation | None:
    """How well frames show one object about either axis; None if their sums clearly say y, or say nothing."""
    over_y, over_x = (change_of_sums(series.frames, axis=axis) for axis in (1, 2))
    if len(series) < FEWEST or not over_y < LIKELY * over_x < float("inf"):
        return None
    return Orientation(as_recorded=coarse_residual(series), turned=coarse_residual(turn(series)[0]))
