"""Binning and cropping frames, and turning them by 90 degrees."""

from dataclasses import dataclass

import numpy as np

from ..errors import TsgError
from ..geometry import binned_frames
from ..tilt_series import TiltSeries


@dataclass(frozen=True, kw_only=True)
class FramingReport:
    """How a step changed the shape (n_y, n_x) of the frames."""

    what: str
    shape_before: tuple[int, int]
    shape_after: tuple[int, int]
    pixel_size_A: float

    def __str__(self) -> str:
        (a, b), (c, d) = self.shape_before, self.shape_after
        return f"{self.what}: {a} x {b} pixels became {c} x {d} of {self.pixel_size_A:.4g} A."


def bin_pixels(series: TiltSeries, *, factor: int) -> tuple[TiltSeries, FramingReport]:
    """Means over squares of `factor` pixels, which are the intensities of the larger ones.

    Where `factor` leaves an odd number of rows or columns over, the middle of the frames moves by half a pixel.
    """
    if not 1 <= factor <= min(series.frames.shape[1:]) // 2:
        raise TsgError(f"a binning of {factor} must lie between 1 and half of the frames' {series.frames.shape[1:]}")
    frames = binned_frames(series.frames, factor)
    since = {"pixel_size": f"{factor} of these became one"}
    return _framed(series, frames, f"Binned by {factor}", pixel_size_A=factor * series.pixel_size_A, since=since)


def crop(
    series: TiltSeries, *, size: int | tuple[int, int] | None = None, box: tuple[int, int, int, int] | None = None
) -> tuple[TiltSeries, FramingReport]:
    """The middle of the frames, `size` (n_y, n_x) or one number for both, or a box (row, column, n_y, n_x).

    Only columns about the middle keep the tilt axis there: crop along x after alignment, or align after cropping.
    A size whose parity differs from the frames' moves the middle by half a pixel.
    """
    if (size is None) == (box is None):
        raise TsgError("give either the size that is to be kept, or a box")
    shape = series.frames.shape[1:]
    if box is None:
        size = (size, size) if np.ndim(size) == 0 else tuple(size)
        box = (*((n - m) // 2 for n, m in zip(shape, size, strict=True)), *size)
    row, column, n_y, n_x = box
    if min(box) < 0 or min(n_y, n_x) < 1 or row + n_y > shape[0] or column + n_x > shape[1]:
        raise TsgError(f"a box of {n_y} x {n_x} pixels at ({row}, {column}) does not lie within frames of {shape}")
    frames = series.frames[:, row : row + n_y, column : column + n_x].copy()
    return _framed(series, frames, f"Cropped to rows from {row} and columns from {column}")


def turn(series: TiltSeries) -> tuple[TiltSeries, FramingReport]:
    """Turn frames by 90 degrees, for recordings with the tilt axis along x: columns become rows.

    The turn is counter-clockwise in a frame drawn with row 0 on top. Turning the other way would rotate frames and
    volume by 180 degrees about the beam, and reverse the sign of the angles; see `flip_angles`.
    """
    frames = np.ascontiguousarray(np.rot90(series.frames, axes=(1, 2)))
    return _framed(series, frames, "Turned by 90 degrees", since={"axis": "the frames were turned by 90 degrees"})


def _framed(series: TiltSeries, frames: np.ndarray, what: str, **changes) -> tuple[TiltSeries, FramingReport]:
    report = FramingReport(
        what=what,
        shape_before=series.frames.shape[1:],
        shape_after=frames.shape[1:],
        pixel_size_A=changes.get("pixel_size_A", series.pixel_size_A),
    )
    return series.noted(str(report), frames=frames, **changes), report
