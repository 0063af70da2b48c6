"""The vacuum around an object: the level of frames where no electron was scattered, and the noise of pixels about it.

HAADF intensities count electrons. The vacuum therefore lies at zero, apart from the offset of the detector, and noise
scatters pixels to both sides of it. Offsets are judged by the vacuum, never by single dark pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from .tilt_series import TiltSeries

MAD_TO_SIGMA = 1.4826  # for a normal distribution
WIDTH = 1 / 16  # of the border, as a fraction of the shorter side
FEWEST = 6  # pixels in a piece of the border
AT_ONCE = 16  # frames whose borders are kept at a time
N_VACUUM = 4  # of the sixteen pieces of the border count as vacuum
BEYOND_sigma = 5.0  # standard errors of a level that noise does not explain
CLIP_sigma = 4.0  # pixels farther from the median of their piece belong to something else
OFFSET = 0.05  # of the contrast: a vacuum this far from zero has an offset
EVIDENT_sigma = 5.0  # contrast needed for an object to stand out from the vacuum
BRIGHTEST = 0.999  # quantile of the pixels that represents the object
SAMPLE = 2_000_000  # pixels used for quantiles
SOFT_px = 2  # interpolation blurs the edge of a fill
ONE_SIDED = 0.95  # of the pixels beside a fill are all brighter, or all darker, with a gap
CANDIDATES = 3  # most frequent values on the border, one of which may be a fill
ON_BORDER, IN_FRAME, CONVEX = 0.05, 0.5, 0.98  # least fractions: fill on the border, recorded area, its hull
SMALLEST_px = 12  # frames with shorter sides reveal nothing
DARKER = 4.0  # ratio of what lies below the border's level to what lies above it, in bright field
AGREEING, AGREE = 11, 0.25  # pieces of the border that agree in bright field, within this fraction of the contrast
COVERED = 0.005  # of a frame, at least, is darker than the border


@dataclass(frozen=True, eq=False, kw_only=True)
class Vacuum:
    """The vacuum of a series.

    level     (n_tilt,) mean of each frame's vacuum
    error     (n_tilt,) standard error of the level
    sigma     standard deviation of single pixels about the level
    contrast  distance of the brightest thousandth of all pixels from the level
    """

    level: np.ndarray
    error: np.ndarray
    sigma: float
    contrast: float

    @property
    def evident(self) -> bool:
        """Whether anything stands out from the noise about this level."""
        return self.contrast > EVIDENT_sigma * self.sigma

    @property
    def offsets(self) -> np.ndarray:
        """(n_tilt,) levels to subtract: one for all, or one for each frame if they differ by more than noise."""
        common = np.full(len(self.level), np.median(self.level))
        return self.level if self._beyond_noise(np.abs(self.level - common)).any() else common

    @property
    def below_zero(self) -> bool:
        """Whether the vacuum of a frame lies below zero by more than its noise explains."""
        return bool(self._beyond_noise(-self.offsets).any())

    def _beyond_noise(self, distance: np.ndarray) -> np.ndarray:
        return distance > np.maximum(OFFSET * self.contrast, BEYOND_sigma * self.error)

    def __str__(self) -> str:
        low, high = self.level.min(), self.level.max()
        spread = f", from {low:.5g} to {high:.5g} over the frames" if np.ptp(self.offsets) else ""
        return f"{np.median(self.level):.5g} +- {self.sigma:.3g}{spread}"


def vacuum_of(frames: np.ndarray) -> Vacuum:
    """The vacuum of frames (n_tilt, n_y, n_x).

    The border of the recorded area is cut into sixteen pieces. The four that are darkest over the whole series count as
    vacuum, so that an object or a film that leaves the frame on some sides is excluded. The same pieces serve for all
    frames, so that noise does not select them.
    """
    pieces = _levels(frames)
    vacuum = np.argsort(_known_mean(pieces[..., 0], axis=0))[:N_VACUUM]
    level, sigma = _known_mean(pieces[:, vacuum, 0], axis=1), float(np.sqrt(np.nanmean(pieces[:, vacuum, 1] ** 2)))
    error = sigma / np.sqrt(pieces[:, vacuum, 2].sum(axis=1).clip(1))
    contrast = float(np.quantile(sample_of(frames), BRIGHTEST) - np.median(level))
    return Vacuum(level=level, error=error, sigma=sigma, contrast=contrast)


def is_bright_field(frames: np.ndarray) -> bool:
    """Whether the object is darker than surroundings that are alike on all sides."""
    if min(frames.shape[1:]) < SMALLEST_px:
        return False
    levels = _levels(frames)
    sigma = float(np.sqrt(np.nanmean(levels[..., 1] ** 2)))
    border = np.nanmedian(levels[..., 0], axis=1)
    low, high = np.quantile(sample_of(frames), [1 - BRIGHTEST, BRIGHTEST])
    alike = _known_mean(np.abs(levels[..., 0] - border[:, None]), axis=0) < AGREE * (high - low)
    on_sides = alike.reshape(4, 4).sum(axis=1)  # a needle may cross two sides; a vacuum along one is that of HAADF
    if on_sides.sum() < AGREEING or on_sides.min() < 2:
        return False
    below = above = covered = 0.0
    for frame, level in zip(frames, border, strict=True):
        from_level = (frame if (recorded := recorded_in(frame)) is None else frame[recorded]) - level
        dark = -from_level[from_level < -3 * sigma]
        below, covered = below + dark.sum(dtype=float), covered + dark.size / from_level.size
        above += from_level[from_level > 3 * sigma].sum(dtype=float)
    return below > DARKER * above and covered > COVERED * len(frames)


def recorded_in(frame: np.ndarray) -> np.ndarray | None:
    """Mask of the recorded area in a frame that another program aligned; None if it is the whole frame.

    What a shift or a rotation moves into a frame is filled with one number, usually zero: an area of exactly one value
    on the border. The rest of the frame is convex and separated from this value by a step.
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
    """Area of the convex hull of the pixels of a mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = mask[rows].argmax(axis=1), mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = [np.column_stack([rows + edge, column]) for edge in (0, 1) for column in (first, last)]
    return ConvexHull(np.concatenate(corners)).volume


def offset_of(series: TiltSeries) -> Vacuum | None:
    """The vacuum of a series if it has an offset; None if it has not, or if nothing shows it.

    A vacuum below zero always has an offset. One above zero has an offset only if a detector or another program wrote
    the frames, and if it is the same in all of them: a simulated frame may show scattered electrons everywhere, and a
    film changes with the tilt.
    """
    foreign = "source_dtype" in series.metadata
    if not foreign and float(series.frames.min()) >= 0:
        return None
    vacuum = vacuum_of(series.frames)
    if vacuum.below_zero:
        return vacuum
    constant = np.ptp(vacuum.offsets) == 0
    high = foreign and constant and vacuum.evident and np.median(vacuum.level) > OFFSET * vacuum.contrast
    return vacuum if high and not is_bright_field(series.frames) else None


def less_offset(series: TiltSeries, vacuum: Vacuum) -> TiltSeries:
    """The series minus the offset of its vacuum, noted in its history; zero where nothing was recorded."""
    return series.changed(partial(less_level, level=vacuum.offsets.astype(np.float32)), said_of_offset(vacuum))


def less_level(frame: np.ndarray, i: int, *, level: np.ndarray) -> np.ndarray:
    """Frame i of a series minus its level of (n_tilt,); zero where nothing was recorded."""
    less = frame - level[i]
    if (recorded := recorded_in(frame)) is not None:
        less[~recorded] = 0
    return less


def said_of_offset(vacuum: Vacuum) -> str:
    """The sentence that reports a subtracted offset."""
    return f"The vacuum of the frames lies at {vacuum}: this offset was subtracted."


def _levels(frames: Iterable[np.ndarray]) -> np.ndarray:
    """(n_tilt, 16, 3) mean, standard deviation and number of the pixels of each piece of the border.

    Frames may be read from a disk: they are gone through once, and only the borders of a few are kept at a time.
    """
    found, borders = [], ([piece.copy() for piece in _border_pieces(frame)] for frame in frames)
    while few := list(islice(borders, AT_ONCE)):
        found.append(np.stack([_levels_of(pieces) for pieces in zip(*few, strict=True)], axis=1))
    return np.concatenate(found)


def _border_pieces(frame: np.ndarray) -> Iterator[np.ndarray]:
    """Sixteen pieces of the border, four on each side, without pixels that were not recorded."""
    recorded = recorded_in(frame)
    if recorded is not None:
        rows, columns = (np.flatnonzero(recorded.any(axis=axis)) for axis in (1, 0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        frame = np.where(recorded, frame, np.nan)[box]
    for turned in (frame.T, frame):
        width = max(1, int(min(frame.shape) * WIDTH), -(-4 * FEWEST // len(turned)))
        for side in (turned[:, :width], turned[:, -width:]):
            yield from np.array_split(side, 4)


def _levels_of(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """(n, 3): `_level_of` each of n pieces, at once if they are alike, have pixels, and all are finite."""
    if len({piece.shape for piece in pieces}) > 1 or not pieces[0].size or not np.isfinite(pieces).all():
        return np.array([_level_of(piece) for piece in pieces])
    pixels = np.reshape(pieces, (len(pieces), -1)).astype(np.float64)
    away = np.abs(pixels - np.median(pixels, axis=1, keepdims=True))
    sigma = MAD_TO_SIGMA * np.median(away, axis=1, keepdims=True)
    near = away <= CLIP_sigma * np.where(sigma, sigma, pixels.std(axis=1, keepdims=True))
    parts = pixels.mean(axis=1, where=near), pixels.std(axis=1, where=near), near.sum(axis=1)
    return np.stack(parts, axis=1)


def _level_of(piece: np.ndarray) -> tuple[float, float, int]:
    """Mean, standard deviation and number of the pixels of a piece, without those far from its median; NaN if empty."""
    pixels = piece[np.isfinite(piece)].astype(np.float64)
    if not pixels.size:
        return np.nan, np.nan, 0
    middle = np.median(pixels)
    sigma = MAD_TO_SIGMA * np.median(np.abs(pixels - middle)) or pixels.std()
    near = pixels[np.abs(pixels - middle) <= CLIP_sigma * sigma]
    return float(near.mean()), float(near.std()), near.size


def _known_mean(values: np.ndarray, *, axis: int) -> np.ndarray:
    """The mean along an axis of what is not NaN; NaN where nothing is, as for a piece of the border without pixels."""
    return np.ma.masked_invalid(values).mean(axis=axis).filled(np.nan)


def sample_of(frames: np.ndarray) -> np.ndarray:
    """A representative sample of pixels: every n-th, with a stride that does not divide the length of a row."""
    stride = max(1, frames.size // SAMPLE)
    stride += stride > 1 and frames.shape[2] % stride == 0
    n_px = frames.shape[1] * frames.shape[2]
    return np.concatenate([frame.ravel()[-i * n_px % stride :: stride] for i, frame in enumerate(frames)])
