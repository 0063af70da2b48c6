"""All steps of preparation, in one fixed order.

The order: the contrast of bright field is turned; the frames are turned and their angles flipped, since later steps
speak of rows, columns and angles; frames are excluded, and those that show nothing left out; hot pixels are replaced while they are single pixels; the background is subtracted, binning averages what
is left, alignment needs both; gains are evened within the field that all aligned frames share; cropping comes last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..vacuum import is_bright_field
from .alignment import Alignment, AlignmentSettings, align
from .background import subtract_background
from .contrast import invert
from .framing import bin_pixels, crop, turn
from .gain import even_gain
from .hot_pixels import replace_hot_pixels
from .orientation import orientation
from .selection import exclude, flip_angles, leave_out_empty


@dataclass(frozen=True, kw_only=True)
class PreparationSettings:
    """Which steps are done; by default the background is subtracted and the frames are aligned.

    invert             turn the contrast, for bright field; None refuses frames that look like it
    turn               for a recording with the tilt axis along x; None turns where frames are aligned and clearly show it
    flip_angles        for angles of the other sign
    exclude, exclude_deg  frames to leave out, by index from 0 or by angle
    hot_pixels         replace single outlying pixels
    background         "auto" estimates the level, a number is one, None leaves it
    binning            pixels that become one, along each direction
    alignment          None leaves the frames where they are
    gain               even the trend of the frames' totals
    crop_px            edge of the square about the middle that is kept
    """

    invert: bool | None = None
    turn: bool | None = None
    flip_angles: bool = False
    exclude: tuple[int, ...] = ()
    exclude_deg: tuple[float, ...] = ()
    hot_pixels: bool = False
    background: str | float | None = "auto"
    binning: int = 1
    alignment: AlignmentSettings | None = AlignmentSettings()
    gain: bool = False
    crop_px: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One step: its name, its report, and the series before and after it."""

    name: str
    report: Any
    before: TiltSeries
    after: TiltSeries


@dataclass(frozen=True, eq=False, kw_only=True)
class Preparation:
    """The prepared series, the steps that led to it in order, and the alignment where there was one."""

    series: TiltSeries
    steps: tuple[Step, ...]
    alignment: Alignment | None


def prepare(
    series: TiltSeries,
    *,
    settings: PreparationSettings = PreparationSettings(),
    say: Callable[[str], None] = lambda sentence: None,
) -> Preparation:
    """The series after the steps that the settings name; `say` is told each report's sentence as the step is done.

    Raises TsgError as the steps do.
    """
    steps, alignment = [], None

    def done(name: str, after: TiltSeries, report: Any) -> None:
        nonlocal series
        steps.append(Step(name=name, report=report, before=series, after=after))
        series = after
        say(str(report))

    if settings.invert is None and is_bright_field(series.frames):
        raise TsgError(
            "the object is darker than what is about it, as in bright field: say --invert, or --no-invert if these are "
            "HAADF frames (invert=True or False in Python)"
        )
    if settings.invert:
        done("invert", *invert(series))
    searched = settings.alignment is not None and settings.alignment.axis_reach_deg > 0
    if settings.turn or (settings.turn is None and searched and _along_x(series, settings, say)):
        done("turn", *turn(series))
    if settings.flip_angles:
        done("flip angles", *flip_angles(series))
    if settings.exclude or settings.exclude_deg:
        done("exclude", *exclude(series, indices=settings.exclude, angles_deg=settings.exclude_deg))
    left, report = leave_out_empty(series)
    if report is not None:
        done("leave out empty frames", left, report)
    if settings.hot_pixels:
        done("hot pixels", *replace_hot_pixels(series))
    if settings.background is not None:
        level = None if settings.background == "auto" else settings.background
        done("background", *subtract_background(series, level=level))
    if settings.binning > 1:
        done("bin", *bin_pixels(series, factor=settings.binning))
    if settings.alignment is not None:
        alignment = align(series, settings=settings.alignment)
        done("align", alignment.series, alignment.report)
    if settings.gain:
        done("gain", *even_gain(series, field=alignment and alignment.report.field))
    if settings.crop_px is not None:
        done("crop", *crop(series, size=settings.crop_px))
    return Preparation(series=series, steps=tuple(steps), alignment=alignment)


def _along_x(series: TiltSeries, settings: PreparationSettings, say: Callable[[str], None]) -> bool:
    """Whether the tilt axis clearly lies along x; judged without the frames that will be left out, and said."""
    judged = flip_angles(series)[0] if settings.flip_angles else series
    if settings.exclude or settings.exclude_deg:
        judged, _ = exclude(judged, indices=settings.exclude, angles_deg=settings.exclude_deg)
    found = orientation(leave_out_empty(judged)[0])
    if found is not None and (found.along_x or found.doubtful):
        say(str(found))
    return found is not None and found.along_x
