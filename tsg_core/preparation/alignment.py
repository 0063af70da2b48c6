"""Alignment: find where each frame and the tilt axis lie, and move the frames to where they belong."""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import TsgError
from ..geometry import binned_frames
from ..tilt_series import TiltSeries
from .beyond_frames import BeyondFrames, Found
from .common_lines import centre_of_mass_shifts, common_line_shifts
from .correlation import correlation_shifts
from .refinement import best_axis_deg, best_offset_px, refined_shifts, reprojection_residual
from .transformation import axis_offset_px, axis_rotation, border_level, common_field, moved_back, translation_of

STARTS = ("correlation", "centre-of-mass")
METHODS = (*STARTS, "full")
COARSEST_px = 64  # width to which frames are binned for the first search of the axis
WIDE_px = 128  # wider frames take long: they get one round of matching and no search of the axis
FINE_deg = 1.5  # range of the search for the axis at the finer binnings
N_SEARCHES = 8  # for the axis, at most; each continues from the end of the range if the best was there
SURE = 0.95  # of the residual of left-out frames, below which shifts count: wrong ones may reach nearly as much
DOUBTFUL = 0.15  # of the mean intensity: brighter sides of the frames are not empty
NO_FIELD = (
    " No pixel was recorded at every tilt: the frames lie too far apart, or the alignment went wrong; compare what "
    "tsg prepare gives with --align none, with --axis 0 and with --rotate."
)
OFFSET_px = 4.0  # range of the search for the axis across the coarsest frames


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """How the shifts are found.

    method         "correlation": of successive frames; "centre-of-mass": put that of every frame on the tilt axis, and
                   use common lines along y; "full": the better of the two, then axis and shifts by reprojection
    stretch        whether correlation foreshortens frames like those of a flat object
    axis_deg       initial inclination of the tilt axis, positive if it leans to the right as the row index grows
    axis_reach_deg range of the first search around it, which continues if the best value is at an end; 0 keeps
                   axis_deg as it is
    finest_px      wider frames are binned for the search; shifts are found to about 0.05 of a binned pixel
    n_rounds       of projection matching at each binning; only one for frames wider than WIDE_px
    """

    method: str = "full"
    stretch: bool = True
    axis_deg: float = 0.0
    axis_reach_deg: float = 6.0
    finest_px: int = 256
    n_rounds: int = 4

    def __post_init__(self):
        if self.method not in METHODS:
            raise TsgError(f"method={self.method!r} is not known; choose one of {', '.join(METHODS)}")
        if self.n_rounds < 1 or self.finest_px < 16 or self.axis_reach_deg < 0:
            raise TsgError("n_rounds must be at least 1, finest_px at least 16, and axis_reach_deg not negative")


@dataclass(frozen=True, kw_only=True)
class AlignmentReport:
    """Numbers of an alignment.

    start            start of the search: "correlation", "centre-of-mass" or, of an object that goes on outside the
                     frames, "as recorded"
    residual_before  reprojection residual of the frames as recorded; of an object that goes on outside them, that of
                     left-out frames, apart from a translation of the object
    residual_after   and as aligned, both at the coarsest binning and not counting the final centring
    kept             whether the frames were left as recorded, because no shifts or axis lower the residual
    field            rows and columns in which every aligned pixel was recorded at every tilt
    at_sides         mean intensity at the left and right sides of the frames, relative to that of whole frames
    """

    method: str
    start: str
    shift_px: np.ndarray
    axis_deg: float
    axis_offset_px: float
    residual_before: float
    residual_after: float
    kept: bool
    field: tuple[slice, slice]
    at_sides: float

    def __str__(self) -> str:
        rows, columns = self.field
        if self.kept:
            return (
                f"Aligned by {self.method}: the frames are left as recorded, since no shifts or inclination of the "
                f"axis that were found make their reprojection residual clearly lower than {self.residual_before:.3f}."
            )
        doubt = (
            f" The frames' sides are {self.at_sides:.0%} as bright as the frames: an object that reaches beyond them, "
            "or a background, makes shifts and axis less certain."
        )
        return (
            f"Aligned by {self.method}: shifts of {np.hypot(*self.shift_px.T).mean():.2f} pixels on average, tilt axis "
            f"inclined by {self.axis_deg:.2f} degrees and off the middle by {self.axis_offset_px:.2f} pixels; "
            f"reprojection residual {self.residual_before:.3f} before, {self.residual_after:.3f} after; recorded at "
            f"every tilt are rows {rows.start} to {rows.stop - 1} and columns {columns.start} to {columns.stop - 1}."
            + (doubt if abs(self.at_sides) > DOUBTFUL else "")
            + ("" if rows.stop > rows.start and columns.stop > columns.start else NO_FIELD)
            + (" Their residual has risen: this made them worse." if self.residual_after > self.residual_before else "")
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Alignment:
    """An aligned series, and the displacements that were undone.

    series    aligned: the tilt axis is vertical and in the middle, the object's centre of mass near the middle
    shift_px  (n_tilt, 2) displacement (y, x) of each recorded frame in its own pixels, see `transformation`
    axis_deg  inclination of the tilt axis in the recorded frames
    """

    series: TiltSeries
    shift_px: np.ndarray
    axis_deg: float
    report: AlignmentReport

    @property
    def axis_offset_px(self) -> float:
        """The constant part of the shifts across the axis: where the tilt axis was recorded."""
        return self.report.axis_offset_px

    def apply(self, series: TiltSeries) -> TiltSeries:
        """Align another recording of the same frames: unfiltered, or with pixels of another size.

        Raises TsgError if its angles are not those of the aligned series.
        """
        if not np.array_equal(series.tilt_deg, self.series.tilt_deg):
            raise TsgError("an alignment applies to a series with the same angles; exclude the same frames first")
        scale = self.series.pixel_size_A / series.pixel_size_A
        frames = _undone(series.frames, shift_px=scale * self.shift_px, axis_deg=self.axis_deg)
        return series.noted(str(self.report), frames=frames)


def align(series: TiltSeries, *, settings: AlignmentSettings = AlignmentSettings()) -> Alignment:
    """Find the shifts and the tilt axis of a recorded series, and undo them in one resampling.

    Frames should be free of background and hot pixels. If their sides are bright, the object goes on outside them, and
    is aligned as `beyond_frames` says. Otherwise it must lie inside at all tilts. `benchmarks/alignment.py` and
    `benchmarks/alignment_films.py` measure both. Raises TsgError for fewer than three frames.
    """
    if len(series) < 3:
        raise TsgError(f"{len(series)} frames cannot be aligned: three are needed")
    levels, at_sides = _levels(series, finest_px=settings.finest_px), _at_sides(series.frames)
    if settings.method == "full" and at_sides > DOUBTFUL:
        starts = {"correlation": _start(levels[-1], "correlation", settings)}  # centres of mass mean nothing here
        found = BeyondFrames(series).aligned(starts, settings.axis_deg, fit_axis=settings.axis_reach_deg > 0)
        kept = found.residual_after >= SURE * found.residual_before
    else:
        found = _found_inside(levels, settings)
        kept = settings.method == "full" and found.residual_after >= found.residual_before
    if kept:
        found = replace(found, shift_px=0 * found.shift_px, axis_deg=0.0, residual_after=found.residual_before)
    shift_px, axis_deg = found.shift_px, found.axis_deg
    report = AlignmentReport(
        method=settings.method,
        start=found.start,
        shift_px=shift_px,
        axis_deg=axis_deg,
        axis_offset_px=axis_offset_px(shift_px, tilt_deg=series.tilt_deg, axis_deg=axis_deg),
        residual_before=found.residual_before,
        residual_after=found.residual_after,
        kept=kept,
        field=common_field(series.frames.shape[1:], shift_px=shift_px, axis_deg=axis_deg),
        at_sides=at_sides,
    )
    frames = _undone(series.frames, shift_px=shift_px, axis_deg=axis_deg)
    return Alignment(
        series=series.noted(str(report), frames=frames), shift_px=shift_px, axis_deg=axis_deg, report=report
    )


def coarse_residual(series: TiltSeries, *, n_rounds: int = 2) -> float:
    """The reprojection residual of a series at the coarsest binning, roughly aligned about a vertical axis."""
    level = _levels(series, finest_px=COARSEST_px)[0]
    starts = [_start(level, name, AlignmentSettings()) for name in STARTS]
    shift_px = min(starts, key=lambda shift_px: level.residual(shift_px, 0.0))
    return level.residual(level.refined(level.with_offset(shift_px, 0.0), 0.0, n_rounds=n_rounds), 0.0)


def residual_of(series: TiltSeries) -> float:
    """The reprojection residual of a series as it lies, about a vertical middle axis, at the coarsest binning."""
    return _levels(series, finest_px=COARSEST_px)[0].residual(np.zeros((len(series), 2)), 0.0)


def _undone(frames: np.ndarray, *, shift_px: np.ndarray, axis_deg: float) -> np.ndarray:
    """Recorded frames, moved back and clipped at the darkest recorded value: a spline rings around outlying pixels."""
    return np.maximum(moved_back(frames, shift_px=shift_px, axis_deg=axis_deg), frames.min())


@dataclass(frozen=True, eq=False)
class _Level:
    """The series binned by `factor`, with its border at zero; all shifts are in pixels of the series itself."""

    frames: np.ndarray
    tilt_deg: np.ndarray
    factor: int

    def moved_back(self, shift_px: np.ndarray, axis_deg: float) -> np.ndarray:
        return moved_back(self.frames, shift_px=shift_px / self.factor, axis_deg=axis_deg, order=3)

    def residual(self, shift_px: np.ndarray, axis_deg: float) -> float:
        return reprojection_residual(self.moved_back(shift_px, axis_deg), tilt_deg=self.tilt_deg)

    def refined(self, shift_px: np.ndarray, axis_deg: float, *, n_rounds: int) -> np.ndarray:
        return self.factor * refined_shifts(
            self.frames, tilt_deg=self.tilt_deg, shift_px=shift_px / self.factor, axis_deg=axis_deg, n_rounds=n_rounds
        )

    def with_offset(self, shift_px: np.ndarray, axis_deg: float) -> np.ndarray:
        """The shifts plus the best common offset across the axis."""
        scaled_px, trial_px = shift_px / self.factor, np.arange(-OFFSET_px, OFFSET_px + 1)
        offset_px, _ = best_offset_px(
            self.frames, tilt_deg=self.tilt_deg, shift_px=scaled_px, axis_deg=axis_deg, trial_px=trial_px
        )
        return shift_px + self.factor * offset_px * axis_rotation(axis_deg)[:, 1]

    def best_axis_deg(self, shift_px: np.ndarray, trial_deg: np.ndarray) -> float:
        scaled_px = shift_px / self.factor
        return best_axis_deg(self.frames, tilt_deg=self.tilt_deg, shift_px=scaled_px, trial_deg=trial_deg)[0]

    def centred(self, shift_px: np.ndarray, axis_deg: float, *, offset: bool) -> np.ndarray:
        """The shifts that put the mean centre of mass into the middle row and on the tilt axis.

        With `offset`, a displacement of the centres that is common to all tilts counts as the offset of the axis.
        Reprojection determines this offset poorly: with a missing wedge, a volume adapts to a wrong one.
        """
        centre_px = centre_of_mass_shifts(self.moved_back(shift_px, axis_deg)) * self.factor
        return shift_px + translation_of(centre_px, tilt_deg=self.tilt_deg, offset=offset) @ axis_rotation(axis_deg).T


def _levels(series: TiltSeries, *, finest_px: int) -> list[_Level]:
    """The series at binnings that halve, from at most COARSEST_px to at most `finest_px` pixels across."""
    width = max(series.frames.shape[1:])
    factors = [2**k for k in range(int(np.ceil(np.log2(max(1, width / COARSEST_px)))), -1, -1)]
    fine_enough = [f for f in factors if width / f <= max(finest_px, COARSEST_px)]
    levels = [_Level(binned_frames(series.frames, f), series.tilt_deg, f) for f in fine_enough]
    return [replace(level, frames=level.frames - border_level(level.frames)[:, None, None]) for level in levels]


def _start(level: _Level, name: str, settings: AlignmentSettings) -> np.ndarray:
    if name == "correlation":
        shifts = correlation_shifts(level.frames, tilt_deg=level.tilt_deg, stretch=settings.stretch) * level.factor
        return level.centred(shifts, settings.axis_deg, offset=True)
    shifts = centre_of_mass_shifts(level.frames)
    along = common_line_shifts(level.frames)
    shifts[:, 0] = along + shifts[:, 0].mean()
    return shifts * level.factor


def _found_inside(levels: list[_Level], settings: AlignmentSettings) -> Found:
    """The better start, and what reprojection makes of it: the object lies inside the frames."""
    judge, axis_deg = levels[0], settings.axis_deg
    starts = {name: _start(levels[-1], name, settings) for name in STARTS if settings.method in (name, "full")}
    residuals = {name: judge.residual(shift_px, axis_deg) for name, shift_px in starts.items()}
    start = min(residuals, key=residuals.get)
    shift_px, after = starts[start], residuals[start]
    if settings.method == "full":
        of_mass = start == "centre-of-mass"  # it locates the axis; correlation does not
        if not of_mass:
            shift_px = judge.with_offset(shift_px, axis_deg)
        shift_px, axis_deg = _refined(levels, shift_px, settings=settings)
        after = judge.residual(shift_px, axis_deg)
        shift_px = levels[-1].centred(shift_px, axis_deg, offset=of_mass)
    before = judge.residual(np.zeros_like(shift_px), 0.0)
    return Found(start=start, shift_px=shift_px, axis_deg=axis_deg, residual_before=before, residual_after=after)


def _at_sides(frames: np.ndarray) -> float:
    width = max(1, frames.shape[2] // 16)
    sides = (frames[:, :, :width].mean() + frames[:, :, -width:].mean()) / 2
    return float(sides / (frames.mean() or 1.0))


def _refined(levels: list[_Level], shift_px: np.ndarray, *, settings: AlignmentSettings) -> tuple[np.ndarray, float]:
    """Refine shifts and axis in turn, from the coarsest binning to the finest; the shifts come last."""
    axis_deg, reach_deg = settings.axis_deg, settings.axis_reach_deg
    for level in levels:
        wide = max(level.frames.shape[1:]) > WIDE_px
        shift_px = level.refined(shift_px, axis_deg, n_rounds=1 if wide else settings.n_rounds)
        if reach_deg and not wide:
            shift_px, axis_deg = _with_axis(level, shift_px, axis_deg, reach_deg=reach_deg, n_rounds=settings.n_rounds)
            reach_deg = min(reach_deg, FINE_deg)
    return shift_px, axis_deg


def _with_axis(
    level: _Level, shift_px: np.ndarray, axis_deg: float, *, reach_deg: float, n_rounds: int
) -> tuple[np.ndarray, float]:
    """The inclination of the axis and its shifts, searched within `reach_deg`, and beyond if the best is at an end."""
    for _ in range(N_SEARCHES):
        trial_deg = axis_deg + reach_deg * np.linspace(-1, 1, 9)
        axis_deg = level.best_axis_deg(shift_px, trial_deg)
        shift_px = level.refined(shift_px, axis_deg, n_rounds=n_rounds)
        if trial_deg[0] < axis_deg < trial_deg[-1]:
            break
    return shift_px, axis_deg
