"""Extended objects, which go on outside the frame (films, lamellae, needles, supports): found, and given a fitting box.

What a frame shows at its sides changes with the tilt, since rays there pass through matter that other frames do not
show. A box as wide as all rays reach, and no thicker than the object, has room for it (extended objects: Yuan et al.,
Nature Materials 21, 95, 2022). Left-out frames reveal how thick the object is and how noisy the frames are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import make_interp_spline

from ..errors import TsgError
from ..geometry import binned_frames
from ..optics.probe import probe_radius_A
from ..tilt_series import TiltSeries, microscope_of
from ..tools.progress import hidden
from ..tools.threads import in_threads
from .algebraic import around_even, deviations, even_densities
from .expectation_maximisation import os_em
from .linear_system import volume_of
from .projection import Box, frame_columns, project, row_blocks, system_matrix
from .projector import MatrixProjector

BRIGHT_SIDES = 0.15  # of a frame's brightest column: darker sides mean an object that lies inside the frame
SIDE = 0.03  # of the columns, on either side
WIDEST = 4  # times the width of the frame: few rays cross what lies farther out
FEWEST = 5  # frames needed to learn a thickness
THICKNESSES = (0.15, 0.22, 0.32, 0.46, 0.6, 0.78, 1.0, 1.3, 1.7)  # tried first, in widths of the frame
FINER = (0.93, 1.07)
PATH = (4, 8, 16, 32)  # iterations after which predictions are judged
NOISE = (1e-3, 1e-2, 0.1, 0.4, 1.5)  # trial ratios of a pixel's noise variance to its signal variance
SEARCHED_px, SEARCHED_ROWS = 96, 16  # for the search, frames are binned to about this width; number of rows used
WIDE_PROBE_px = 2.0  # if the radius that contains half of the probe is larger, its halo alone may light the sides
SURE = 0.9  # an extended object must reduce the lowest error of a contained one to this fraction
CONTRADICTED = 1.26  # times the lowest error, 1 dB


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How far an extended object reaches.

    thickness_A  along z
    width_A      along x; None for as far as the rays reach, or `WIDEST` frames
    noise        variance of a pixel's noise, relative to that of its signal about an even object's
    remark       objection of left-out frames to a given thickness, else empty
    """

    thickness_A: float
    width_A: float | None = None
    noise: float = 0.1
    remark: str = ""

    def box(self, series: TiltSeries) -> Box:
        """Voxels of the size of the series' pixels."""
        n_px, n_z = series.frames.shape[2], max(1, round(self.thickness_A / series.pixel_size_A))
        if self.width_A is not None:
            return Box(n_z, max(n_px, round(self.width_A / series.pixel_size_A)))
        tilt_rad = np.deg2rad(np.abs(series.tilt_deg).max())
        reach = (n_px + n_z * np.sin(tilt_rad)) / max(np.cos(tilt_rad), 1e-6)
        return Box(n_z, int(np.ceil(min(reach, WIDEST * n_px))))

    def damping(self, series: TiltSeries) -> float:
        """The damping for `algebraic.around_even`: the noise over the variance of a voxel."""
        return self.noise * self.box(series).n_z

    @property
    def n_iterations(self) -> int:
        """Iterations after which conjugate gradients have converged, or nearly so if there is no noise."""
        return int(np.clip(6 / np.sqrt(self.noise), 8, 60))

    def __str__(self) -> str:
        width = "as wide as rays reach" if self.width_A is None else f"{self.width_A:.4g} A wide"
        return f"the object goes on outside the frames: taken for {self.thickness_A:.3g} A thick and {width}"


def with_extent(series: TiltSeries, *, thickness_A: float | None = None, width_A: float | None = None) -> TiltSeries:
    """The series with the result of `find_extent` in its metadata, where it and its subsets find it again.

    Returns the series itself if the object lies inside the frames and nothing is given.
    """
    if thickness_A is None and width_A is None:
        return _with_found(series)
    extent = find_extent(series, thickness_A=thickness_A, width_A=width_A)
    return replace(series, metadata={**series.metadata, "extent": extent})


def extent_of(series: TiltSeries) -> Extent | None:
    """How far the object reaches, from the metadata or as found; None if it lies inside the frames."""
    found = with_extent(series).metadata.get("extent")
    return Extent(**found) if isinstance(found, Mapping) else found  # a mapping if the series was written and read


def _with_found(series: TiltSeries) -> TiltSeries:
    if "extent" in series.metadata or not bright_sides(series) or _wide_probe(series):
        return series
    return replace(series, metadata={**series.metadata, "extent": find_extent(series)})


def find_extent(series: TiltSeries, *, thickness_A: float | None = None, width_A: float | None = None) -> Extent | None:
    """How far the object reaches, judged by the prediction of left-out frames; None if it lies inside the frames.

    Given values are kept. Raises TsgError for a thickness below a pixel, or a width below that of the frames.
    """
    _check_given(series, thickness_A, width_A)
    given = thickness_A is not None or width_A is not None
    if not given and (len(series) < FEWEST or not bright_sides(series) or _wide_probe(series)):
        return None
    if len(series) < FEWEST:
        n_px = series.frames.shape[2]
        return Extent(thickness_A=thickness_A or n_px * series.pixel_size_A, width_A=width_A)
    search = _Search.of(series, width_A=width_A)
    best, least = search.best_thickness_A() if thickness_A is None else (thickness_A, search.error(thickness_A))
    if not given and least > SURE * search.error_inside():
        return None
    remark = ""
    if thickness_A is not None:
        nearer_A, error = search.best_thickness_A()
        if least > CONTRADICTED * error:
            remark = (
                f"left-out frames speak against a thickness of {thickness_A:.3g} A: with {nearer_A:.3g} A they are "
                f"predicted {10 * np.log10(least / error):.1f} dB better"
            )
    return search.with_noise(Extent(thickness_A=best, width_A=width_A, remark=remark))


def likely_extent(series: TiltSeries) -> Extent | None:
    """How far the object reaches if it reaches beyond the frames, as their bright sides suggest; None otherwise.

    Left-out frames choose the thickness, but do not decide whether the object is extended: misaligned ones cannot.
    """
    if len(series) < FEWEST or not bright_sides(series) or _wide_probe(series):
        return None
    search = _Search.of(series, width_A=None)
    return search.with_noise(Extent(thickness_A=search.best_thickness_A()[0]))


def supposed_extent(series: TiltSeries) -> Extent | None:
    """The extent that is found, or else the likely one, which misaligned frames or few of them cannot confirm."""
    return extent_of(series) or likely_extent(series)


def bright_sides(series: TiltSeries) -> bool:
    """Whether frames are bright at their left and right sides, as they are if the object goes on outside."""
    n_side = max(1, round(SIDE * series.frames.shape[2]))
    profiles = np.array([frame.mean(axis=0, dtype=np.float64) for frame in series.frames])
    sides = np.minimum(profiles[:, :n_side].mean(axis=1), profiles[:, -n_side:].mean(axis=1))
    return bool(np.median(sides) > BRIGHT_SIDES * np.median(profiles.max(axis=1)) > 0)


def damped_volume(series: TiltSeries, extent: Extent) -> np.ndarray:
    """Volume (n_y, n_z, n_x) of `algebraic.around_even` in the box of an extent."""
    box, damping = extent.box(series), extent.damping(series)
    A = MatrixProjector(system_matrix(tilt_deg=series.tilt_deg, n_x=series.frames.shape[2], box=box))

    def solve(rows: slice) -> np.ndarray:
        return around_even(A, frame_columns(series.frames[:, rows]), n_iterations=extent.n_iterations, damping=damping)

    rows = row_blocks(series.frames.shape[1])
    return volume_of(in_threads(solve, rows), rows, box)


def cropped(volume: np.ndarray, *, n_x: int) -> np.ndarray:
    """The part of a volume (n_y, n_z, wide) inside the n_x columns of the untilted frame, where all frames cross.

    Farther out ever fewer frames see the volume, and what they see piles up at the sides of the box.
    """
    first = (volume.shape[2] - n_x) // 2
    return volume[..., first : first + n_x]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    """Every third frame, from the `first` on, is left out and predicted from the others by an object in a box."""

    series: TiltSeries
    width_A: float | None
    first: int = 1

    @classmethod
    def of(cls, series: TiltSeries, *, width_A: float | None) -> "_Search":
        """A search in binned frames, with some of their rows."""
        times = max(1, series.frames.shape[2] // SEARCHED_px)
        rows = np.unique(np.linspace(0, series.frames.shape[1] // times - 1, SEARCHED_ROWS).round().astype(int))
        frames = np.stack([binned_frames(frame, times)[rows] for frame in series.frames])
        pixel_size_A = times * series.pixel_size_A
        binned = TiltSeries(frames, series.tilt_deg, pixel_size_A, series.measured, series.metadata)
        return cls(series=binned, width_A=width_A)

    def best_thickness_A(self) -> tuple[float, float]:
        """The thickness with the lowest error, and that error."""
        frame_A = self.series.frames.shape[2] * self.series.pixel_size_A
        errors = {share * frame_A: self.error(share * frame_A) for share in THICKNESSES}
        for _ in range(2):
            coarse = min(errors, key=errors.get)
            errors |= {coarse * times: self.error(coarse * times) for times in FINER}
        best = min(errors, key=errors.get)
        return best, errors[best]

    def error(self, thickness_A: float) -> float:
        return self.error_of(Extent(thickness_A=thickness_A, width_A=self.width_A).box(self.series))

    def error_of(self, box: Box) -> float:
        """The lowest error after any of the iterations: stopping early regularises like damping."""
        return self._mean(lambda fold: min(fold._errors(box, damping=0.0, judged=PATH)))

    def error_inside(self) -> float:
        """The lowest error without an extended object: one inside the frame, non-negative or free, or none."""
        n_px = self.series.frames.shape[2]
        return min(
            self.error_of(Box(n_px, n_px)), self._mean(_Search._error_non_negative), self._mean(_Search._error_linear)
        )

    def with_noise(self, extent: Extent) -> Extent:
        """The extent with the noise that gives the lowest error."""
        noise = min(NOISE, key=lambda noise: self.error_with(replace(extent, noise=noise)))
        return replace(extent, noise=noise)

    def error_with(self, extent: Extent) -> float:
        box, damping, judged = extent.box(self.series), extent.damping(self.series), (extent.n_iterations,)
        return self._mean(lambda fold: min(fold._errors(box, damping=damping, judged=judged)))

    def _mean(self, error_of_fold: Callable[["_Search"], float]) -> float:
        """Geometric mean over three folds, in which every inner frame is left out once."""
        folds = [replace(self, first=first) for first in (1, 2, 3) if first < len(self.series) - 1]

        def log_error(fold: "_Search") -> float:
            with hidden():  # progress can only be shown of one loop at a time
                return float(np.log(error_of_fold(fold)))

        return float(np.exp(np.mean(in_threads(log_error, folds))))

    def _error_non_negative(self) -> float:
        kept, out = self._parts()
        known = self.series.subset(kept)
        drawn = project(os_em(known, microscope=None, allow_negative=True), tilt_deg=self.series.tilt_deg)
        return self._error(self._carried(known.frames - drawn[kept]) + drawn[out] - self.series.frames[out])

    def _error_linear(self) -> float:
        kept, out = self._parts()
        return self._error(self._carried(self.series.frames[kept]) - self.series.frames[out])

    def _errors(self, box: Box, *, damping: float, judged: tuple[int, ...]) -> Iterator[float]:
        """Errors after the numbers of iterations in `PATH`."""
        frames, tilt_deg, (kept, out) = self.series.frames, self.series.tilt_deg, self._parts()
        n_y, n_x = frames.shape[1:]
        A, B = (MatrixProjector(system_matrix(tilt_deg=tilt_deg[of], n_x=n_x, box=box)) for of in (kept, out))
        b = frame_columns(frames[kept])
        missed = frame_columns(frames[out]) - B.ray_sums * even_densities(A, b)
        path = deviations(A, b, n_iterations=judged[-1], damping=damping)
        for k, (x, residual) in enumerate(path, start=1):
            if k in judged:
                carried = self._carried(residual.reshape(len(kept), -1))
                yield self._error(B(x) + carried.reshape(-1, n_y) - missed)

    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices to keep, and indices to leave out."""
        out = np.arange(self.first, len(self.series) - 1, 3)
        return np.setdiff1d(np.arange(len(self.series)), out), out

    def _carried(self, residual: np.ndarray) -> np.ndarray:
        """Linear interpolation over the angle, from the kept frames to those left out."""
        kept, out = self._parts()
        return make_interp_spline(self.series.tilt_deg[kept], residual, k=1)(self.series.tilt_deg[out])

    def _error(self, error: np.ndarray) -> float:
        """Geometric mean of the mean squared errors of the left-out frames."""
        mse = (error.reshape(len(self._parts()[1]), -1).astype(np.float64) ** 2).mean(axis=1)
        return float(np.exp(np.log(mse + 1e-30).mean()))


def _wide_probe(series: TiltSeries) -> bool:
    """Whether the microscope in the metadata has a probe with a wide halo."""
    if not series.metadata.get("microscope"):
        return False
    return probe_radius_A(microscope_of(series), fraction=0.5) > WIDE_PROBE_px * series.pixel_size_A


def _check_given(series: TiltSeries, thickness_A: float | None, width_A: float | None) -> None:
    frame_A = series.frames.shape[2] * series.pixel_size_A
    if thickness_A is not None and not series.pixel_size_A <= thickness_A < np.inf:
        raise TsgError(
            f"a thickness of {thickness_A:g} A is less than a pixel, {series.pixel_size_A:.4g} A; give it in angstrom"
        )
    if width_A is not None and not frame_A * 0.999 <= width_A < np.inf:
        raise TsgError(
            f"an object {width_A:g} A wide is narrower than the frames, which show {frame_A:.4g} A; give its whole "
            "width in angstrom, or none"
        )
