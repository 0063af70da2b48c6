"""All steps of preparation, in one fixed order.

The order is: invert bright-field contrast; turn the frames and flip the angles, since later steps refer to rows,
columns and angles; exclude frames, also those that show nothing; replace hot pixels while they are still single pixels;
subtract the background, then bin, since alignment needs both; align; even the gains in the field that all aligned
frames share; crop.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
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
from .known_alignment import KnownAlignment, align_as_known
from .orientation import orientation
from .selection import exclude, flip_angles, leave_out_empty


@dataclass(frozen=True, kw_only=True)
class PreparationSettings:
    """The steps to run; by default the background is subtracted and the frames are aligned.

    invert             invert the contrast, for bright field; None refuses frames that look like bright field
    turn               for a recording with the tilt axis along x; None turns the frames if alignment clearly shows it
    flip_angles        for angles of the opposite sign
    exclude, exclude_deg  frames to leave out, by index from 0 or by angle
    hot_pixels         replace single outlying pixels
    background         "auto" estimates the level; a number is the level; None leaves the background
    binning            number of pixels, along each direction, that become one
    alignment          how it is found, or a known one of the recording; None leaves the frames where they are
    gain               remove the trend of the frames' totals
    crop_px            edge of the square to keep around the middle
    """

    invert: bool | None = None
    turn: bool | None = None
    flip_angles: bool = False
    exclude: tuple[int, ...] = ()
    exclude_deg: tuple[float, ...] = ()
    hot_pixels: bool = False
    background: str | float | None = "auto"
    binning: int = 1
    alignment: AlignmentSettings | KnownAlignment | None = field(default_factory=AlignmentSettings)
    gain: bool = False
    crop_px: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One step: its name, its report, and the series before and after."""

    name: str
    report: Any
    before: TiltSeries
    after: TiltSeries


@dataclass(frozen=True, eq=False, kw_only=True)
class Preparation:
    """The prepared series, its steps in order, and the alignment, if one was found."""

    series: TiltSeries
    steps: tuple[Step, ...]
    alignment: Alignment | None


def prepare(
    series: TiltSeries,
    *,
    settings: PreparationSettings = PreparationSettings(),
    say: Callable[[str], None] = lambda sentence: None,
) -> Preparation:
    """Run the steps that the settings name; `say` gets the sentence of each report when its step is done.

    Raises TsgError as the steps do.
    """
    steps, alignment, shared = [], None, None
    known = settings.alignment if isinstance(settings.alignment, KnownAlignment) else None
    if known and settings.turn:
        raise TsgError(f"{known.source} turns the frames itself, from how they were recorded: leave out --rotate")

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
    searched = isinstance(settings.alignment, AlignmentSettings) and settings.alignment.axis_reach_deg > 0
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
    if known:
        done("known alignment", *align_as_known(series, known, are_angles_flipped=settings.flip_angles))
        shared = steps[-1].report.field
    elif settings.alignment is not None:
        alignment = align(series, settings=settings.alignment)
        done("align", alignment.series, alignment.report)
        shared = alignment.report.field
    if settings.gain:
        done("gain", *even_gain(series, field=shared))
    if settings.crop_px is not None:
        done("crop", *crop(series, size=settings.crop_px))
    return Preparation(series=series, steps=tuple(steps), alignment=alignment)


def _along_x(series: TiltSeries, settings: PreparationSettings, say: Callable[[str], None]) -> bool:
    """Whether the tilt axis clearly lies along x, judged without the frames that will be left out; says so."""
    judged = flip_angles(series)[0] if settings.flip_angles else series
    if settings.exclude or settings.exclude_deg:
        judged, _ = exclude(judged, indices=settings.exclude, angles_deg=settings.exclude_deg)
    found = orientation(leave_out_empty(judged)[0])
    if found is not None and (found.along_x or found.doubtful):
        say(str(found))
    return found is not None and found.along_x
