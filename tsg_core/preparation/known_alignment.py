"""An alignment that is known, as of another program: applied to a recording, or told of one that was aligned here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import TsgError
from ..geometry import axis_rotation
from ..tilt_series import TiltSeries
from .alignment import Alignment, residual_of
from .transformation import recorded_field, resampled

TURNED = np.array([[0.0, 1.0], [-1.0, 0.0]])  # recorded from turned (y, x), by `framing.turn`
STRETCHED = 1e-3  # changes of length below this are not worth a word


@dataclass(frozen=True, eq=False, kw_only=True)
class KnownAlignment:
    """Where the frames of a recording lie: a point (y, x) of an aligned one was recorded at matrix @ (y, x) + shift.

    Both points are from the middle of the frame, in pixels of the recording.

    tilt_deg      (n_tilt,) of the recording, ascending
    matrix        (n_tilt, 2, 2), shift_px (n_tilt, 2); NaN for frames that the alignment leaves out
    shape         (n_y, n_x) of the recorded frames
    pixel_size_A  of the recording; a series binned since has larger ones
    source        where it comes from, for prose
    """

    tilt_deg: np.ndarray
    matrix: np.ndarray
    shift_px: np.ndarray
    shape: tuple[int, int]
    pixel_size_A: float
    source: str

    def __post_init__(self):
        n = len(self.tilt_deg)
        if np.shape(self.matrix) != (n, 2, 2) or np.shape(self.shift_px) != (n, 2):
            raise TsgError(
                f"an alignment of {n} frames has a matrix (n_tilt, 2, 2) and shift_px (n_tilt, 2), these are "
                f"{np.shape(self.matrix)} and {np.shape(self.shift_px)}"
            )

    @property
    def is_known(self) -> np.ndarray:
        """(n_tilt,) False for frames that the alignment leaves out."""
        return np.isfinite(self.matrix).all(axis=(1, 2)) & np.isfinite(self.shift_px).all(axis=1)


@dataclass(frozen=True, kw_only=True)
class KnownAlignmentReport:
    """Numbers of an alignment that was given; residuals and `field` are those of `AlignmentReport`."""

    source: str
    mean_shift_px: float
    axis_deg: float
    stretch: float
    residual_before: float
    residual_after: float
    field: tuple[slice, slice]
    left_out_deg: tuple[float, ...]

    def __str__(self) -> str:
        rows, columns = self.field
        tilts = ", ".join(f"{tilt:g}" for tilt in self.left_out_deg)
        return (
            f"Aligned as {self.source} says: shifts of {self.mean_shift_px:.2f} pixels on average, tilt axis "
            f"inclined by {self.axis_deg:.2f} degrees"
            + (f", lengths changed by up to {self.stretch:.2%}" if self.stretch > STRETCHED else "")
            + f"; reprojection residual {self.residual_before:.3f} before, {self.residual_after:.3f} after; recorded "
            f"at every tilt are rows {rows.start} to {rows.stop - 1} and columns {columns.start} to {columns.stop - 1}."
            + (f" It leaves out the frames at {tilts} degrees, and so were they here." if tilts else "")
            + (
                " Their residual has risen: the alignment may be that of another stack, of frames in another order, or "
                "count rows from the other side."
                if self.residual_after > self.residual_before
                else ""
            )
        )


def align_as_known(
    series: TiltSeries, known: KnownAlignment, *, are_angles_flipped: bool = False
) -> tuple[TiltSeries, KnownAlignmentReport]:
    """Frames moved to where the alignment has them, in one resampling; frames that it leaves out are left out.

    `series` is the recording, or some of its frames, binned or not. Raises TsgError where it has frames of another size
    or angles that the recording has not.
    """
    binning = round(series.pixel_size_A / known.pixel_size_A)
    if series.frames.shape[1:] != tuple(n // binning for n in known.shape):
        raise TsgError(
            f"{known.source} aligns frames of {known.shape[0]} x {known.shape[1]} pixels, these have "
            f"{series.frames.shape[1]} x {series.frames.shape[2]}; align before turning or cropping"
        )
    recorded_deg = -series.tilt_deg if are_angles_flipped else series.tilt_deg
    frames = _places(recorded_deg, known)
    is_left = known.is_known[frames]
    if np.count_nonzero(is_left) < 2:
        raise TsgError(f"{known.source} leaves fewer than two of the frames")
    before, frames = series if is_left.all() else series.subset(is_left), frames[is_left]
    matrix = known.matrix[frames]
    shift_px = (known.shift_px[frames] + _cut_off(known.shape, binning)) / binning
    moved = resampled(before.frames, matrix=matrix, shift_px=shift_px)
    after = TiltSeries(np.maximum(moved, before.frames.min()), before.tilt_deg, before.pixel_size_A)
    report = KnownAlignmentReport(
        source=known.source,
        mean_shift_px=float(np.hypot(*shift_px.T).mean()),
        axis_deg=float(np.rad2deg(np.arctan2(*_sine_and_cosine(matrix)))),
        stretch=float(np.abs(np.linalg.svd(matrix, compute_uv=False) - 1).max()),
        residual_before=residual_of(before),
        residual_after=residual_of(after),
        field=recorded_field(before.frames.shape[1:], matrix=matrix, shift_px=shift_px),
        left_out_deg=tuple(series.tilt_deg[~is_left].tolist()),
    )
    return before.noted(str(report), frames=after.frames), report


def as_recorded(
    alignment: Alignment, *, recording: TiltSeries, binning: int = 1, is_turned: bool = False, are_angles_flipped=False
) -> KnownAlignment:
    """The alignment that was found, told in the pixels of the recording before it was turned and binned.

    Frames of the recording that were left out since have NaN.
    """
    aligned_deg = alignment.series.tilt_deg
    shape = recording.frames.shape[1:]
    matrix, shift_px = axis_rotation(alignment.axis_deg), binning * alignment.shift_px
    shift_px = shift_px - _cut_off(shape[::-1] if is_turned else shape, binning)
    if is_turned:
        matrix, shift_px = TURNED @ matrix, shift_px @ TURNED.T
    known = KnownAlignment(
        tilt_deg=recording.tilt_deg,
        matrix=np.full((len(recording), 2, 2), np.nan),
        shift_px=np.full((len(recording), 2), np.nan),
        shape=shape,
        pixel_size_A=recording.pixel_size_A,
        source="the alignment found here",
    )
    frames = _places(-aligned_deg if are_angles_flipped else aligned_deg, known)
    known.matrix[frames], known.shift_px[frames] = matrix, shift_px
    return known


def _places(tilt_deg: Sequence[float], known: KnownAlignment) -> np.ndarray:
    """Which frames of the recording have these angles."""
    places = {tilt: i for i, tilt in enumerate(known.tilt_deg.tolist())}
    strange = [tilt for tilt in np.asarray(tilt_deg).tolist() if tilt not in places]
    if strange:
        raise TsgError(f"{known.source} aligns a recording that has no frame at {strange[0]:g} degrees")
    return np.array([places[tilt] for tilt in np.asarray(tilt_deg).tolist()])


def _cut_off(shape: Sequence[int], binning: int) -> np.ndarray:
    """How far (y, x) the middle of frames lies behind that of their part that binning keeps, in pixels."""
    return np.array(shape) % binning % 2 / 2


def _sine_and_cosine(matrix: np.ndarray) -> tuple[float, float]:
    """Of the mean rotation of matrices (n, 2, 2), in any scale."""
    (yy, yx), (xy, xx) = matrix.mean(axis=0)
    return xy - yx, yy + xx
