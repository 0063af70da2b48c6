"""The vacuum about an object: what frames show where no electron was scattered, and how far pixels vary about it.

HAADF intensities count electrons, so that the vacuum lies at zero but for the detector's offset, and noise scatters
pixels about it to both sides. Offsets are judged by the vacuum, never by single dark pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from .tilt_series import TiltSeries

MAD_TO_SIGMA = 1.4826  # of a normal distribution
WIDTH = 1 / 16  # of the border, as a part of the shorter side
FEWEST = 6  # pixels of a piece
N_VACUUM = 4  # of the border's sixteen pieces
BEYOND_sigma = 5.0  # errors of a level that noise does not explain
CLIP_sigma = 4.0  # pixels farther from the median of their piece belong to something else
OFFSET = 0.05  # of the contrast: a vacuum this far from zero stands on an offset
EVIDENT_sigma = 5.0  # contrast without which no object stands out from the vacuum
BRIGHTEST = 0.999  # quantile of the pixels that stands for the object
SAMPLE = 2_000_000  # pixels that quantiles are taken of
SOFT_px = 2  # interpolation blurs the edge of a fill
ONE_SIDED = 0.95  # of the pixels beside a fill are all brighter, or all darker, with a gap
CANDIDATES = 3  # most frequent values on the border, one of which may be a fill
ON_BORDER, IN_FRAME, CONVEX = 0.05, 0.5, 0.98  # least fractions: fill on the border, recorded area, its hull
SMALLEST_px = 12  # frames with shorter sides reveal nothing
DARKER = 4.0  # ratio of what lies below the border's level to what lies above it, in bright field
AGREEING, AGREE = 13, 0.25  # pieces of the border that agree in bright field, within this fraction of the contrast
COVERED = 0.005  # of a frame, at least, is darker than the border


@dataclass(frozen=True, eq=False, kw_only=True)
class Vacuum:
    """The vacuum of a series.

    level     (n_tilt,) mean of each frame's vacuum
    error     (n_tilt,) its standard error
    sigma     standard deviation of single pixels about it
    contrast  how far the brightest thousandth of all pixels stands above it
    """

    level: np.ndarray
    error: np.ndarray
    sigma: float
    contrast: float

    @property
    def evident(self) -> bool:
        """Whether something stands out from the noise about this level at all."""
        return self.contrast > EVIDENT_sigma * self.sigma

    @property
    def offsets(self) -> np.ndarray:
        """(n_tilt,) levels to subtract: one for all, or one for each frame if they differ by more than noise."""
        common = np.full(len(self.level), np.median(self.level))
        return self.level if self._beyond_noise(np.abs(self.level - common)).any() else common

    @property
    def below_zero(self) -> bool:
        """Whether a frame's vacuum lies below zero by more than its noise explains."""
        return bool(self._beyond_noise(-self.offsets).any())

    def _beyond_noise(self, distance: np.ndarray) -> np.ndarray:
        return distance > np.maximum(OFFSET * self.contrast, BEYOND_sigma * self.error)

    def __str__(self) -> str:
        low, high = self.level.min(), self.level.max()
        spread = f", from {low:.5g} to {high:.5g} over the frames" if np.ptp(self.offsets) else ""
        return f"{np.median(self.level):.5g} +- {self.sigma:.3g}{spread}"


def vacuum_of(frames: np.ndarray) -> Vacuum:
    """The vacuum of frames (n_tilt, n_y, n_x).

    The border of what was recorded is cut into sixteen pieces. The four that are darkest over the whole series are
    taken for vacuum, so that an object or a film which leaves the frame on some sides does not count. As the same
    pieces serve for all frames, noise does not decide which they are.
    """
    pieces = np.array([[_level_of(piece) for piece in _border_pieces(frame)] for frame in frames])
    vacuum = np.argsort(np.nanmean(pieces[..., 0], axis=0))[:N_VACUUM]
    level, sigma = np.nanmean(pieces[:, vacuum, 0], axis=1), float(np.sqrt(np.nanmean(pieces[:, vacuum, 1] ** 2)))
    error = sigma / np.sqrt(pieces[:, vacuum, 2].sum(axis=1).clip(1))
    contrast = float(np.quantile(_some(frames), BRIGHTEST) - np.median(level))
    return Vacuum(level=level, error=error, sigma=sigma, contrast=contrast)


def is_bright_field(frames: np.ndarray) -> bool:
    """Whether the object is darker than a surrounding that is alike on all sides."""
    if min(frames.shape[1:]) < SMALLEST_px:
        return False
    levels = np.array([[_level_of(piece) for piece in _border_pieces(frame)] for frame in frames])
    sigma = float(np.sqrt(np.nanmean(levels[..., 1] ** 2)))
    border = np.nanmedian(levels[..., 0], axis=1)
    low, high = np.quantile(_some(frames), [1 - BRIGHTEST, BRIGHTEST])
    alike = np.nanmean(np.abs(levels[..., 0] - border[:, None]), axis=0) < AGREE * (high - low)
    if alike.sum() < AGREEING:
        return False
    below = above = covered = 0.0
    for frame, level in zip(frames, border, strict=True):
        from_level = (frame if (recorded := recorded_in(frame)) is None else frame[recorded]) - level
        dark = -from_level[from_level < -3 * sigma]
        below, covered = below + dark.sum(dtype=float), covered + dark.size / from_level.size
        above += from_level[from_level > 3 * sigma].sum(dtype=float)
    return below > DARKER * above and covered > COVERED * len(frames)


def recorded_in(frame: np.ndarray) -> np.ndarray | None:
    """Mask of what was recorded in a frame that another program aligned; None where that is the whole frame.

    What a shift or a turn moves into a frame is filled with one number, mostly zero: an area of exactly one value on
    the border, beside which the rest is convex and steps away from it.
    """
    border = np.concatenate([frame[0], frame[-1], frame[1:-1, 0], frame[1:-1, -1]])
    values, counts = np.unique(border, return_counts=True)
    frequent = [values[i] for i in np.argsort(-counts)[:CANDIDATES] if counts[i] >= max(2, ON_BORDER * border.size)]
    found = (_beside(frame, fill) for fill in frequent)
    return next((recorded for recorded in found if recorded is not None), None)


def _beside(frame: np.ndarray, fill: float) -> np.ndarray | None:
    """Mask of what lies beside areas of this value on the border, if they can be a fill."""
    areas, _ = ndimage.label(frame == fill)
    on_border = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    large = np.bincount(areas.ravel()) >= min(frame.shape) / 4
    filled = np.isin(areas, [area for area in on_border if area and large[area]])
    recorded = ~filled
    if not filled.any() or recorded.sum() < IN_FRAME * frame.size:
        return None
    if recorded.sum() < CONVEX * _hull_px(recorded):
        return None
    recorded = ~ndimage.binary_dilation(filled, iterations=SOFT_px)
    beside = frame[recorded & ndimage.binary_dilation(filled, iterations=SOFT_px + 2)]
    if not beside.size:
        return None
    one_sided = max(np.mean(beside > fill), np.mean(beside < fill)) > ONE_SIDED
    near, quarter = np.quantile(np.abs(beside - fill), [1 - ONE_SIDED, 0.25])
    return recorded if one_sided and near > quarter - near else None


def _hull_px(mask: np.ndarray) -> float:
    """Area of the convex hull of a mask's pixels."""
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = mask[rows].argmax(axis=1), mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = [np.column_stack([rows + edge, column]) for edge in (0, 1) for column in (first, last)]
    return ConvexHull(np.concatenate(corners)).volume


def offset_of(series: TiltSeries) -> Vacuum | None:
    """The vacuum of a series where it stands on an offset; None where it does not, or where nothing tells.

    Below zero it always is one. Above zero, only in what a detector or another program wrote: a simulated frame may be
    nowhere without scattered electrons.
    """
    foreign = "source_dtype" in series.metadata
    if not foreign and float(series.frames.min()) >= 0:
        return None
    vacuum = vacuum_of(series.frames)
    if vacuum.below_zero:
        return vacuum
    high = foreign and vacuum.evident and np.median(vacuum.level) > OFFSET * vacuum.contrast
    return vacuum if high and not is_bright_field(series.frames) else None


def less_offset(series: TiltSeries, vacuum: Vacuum) -> TiltSeries:
    """The series less the offset of its vacuum, which its history says; zero where nothing was recorded."""
    frames = series.frames - vacuum.offsets.astype(np.float32)[:, None, None]
    for i, frame in enumerate(series.frames):
        if (recorded := recorded_in(frame)) is not None:
            frames[i][~recorded] = 0
    return series.noted(said_of_offset(vacuum), frames=frames)


def said_of_offset(vacuum: Vacuum) -> str:
    """What is said where an offset is subtracted."""
    return f"The vacuum of the frames lies at {vacuum}: this offset was subtracted."


def _border_pieces(frame: np.ndarray) -> Iterator[np.ndarray]:
    """Sixteen pieces, four a side, without what was not recorded."""
    recorded = recorded_in(frame)
    if recorded is not None:
        rows, columns = (np.flatnonzero(recorded.any(axis=axis)) for axis in (1, 0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        frame = np.where(recorded, frame, np.nan)[box]
    for turned in (frame.T, frame):
        width = max(1, int(min(frame.shape) * WIDTH), -(-4 * FEWEST // len(turned)))
        for side in (turned[:, :width], turned[:, -width:]):
            yield from np.array_split(side, 4)


def _level_of(piece: np.ndarray) -> tuple[float, float, int]:
    """Mean, standard deviation and number of a piece's pixels, without those far from its median; NaN where empty."""
    pixels = piece[np.isfinite(piece)].astype(np.float64)
    if not pixels.size:
        return np.nan, np.nan, 0
    middle = np.median(pixels)
    sigma = MAD_TO_SIGMA * np.median(np.abs(pixels - middle)) or pixels.std()
    near = pixels[np.abs(pixels - middle) <= CLIP_sigma * sigma]
    return float(near.mean()), float(near.std()), near.size


def _some(frames: np.ndarray) -> np.ndarray:
    """Pixels that stand for all: every n-th, with a stride that is no divisor of a row's length."""
    stride = max(1, frames.size // SAMPLE)
    return frames.ravel()[:: stride + (stride > 1 and frames.shape[2] % stride == 0)]
