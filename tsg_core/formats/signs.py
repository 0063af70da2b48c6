"""Whether integers of 8 or 16 bits have a sign, where a file's word for it may be wrong.

Software stores unsigned counts in signed types and vice versa. The numbers are the same modulo 2^bits either way, but
they are cut at different places. In the wrong reading, neighbouring pixels jump across the whole range where they
continue smoothly in the right one. Evidence is used in this order: the pixels, a flag of the file (IMOD's for signed
bytes), the least and greatest number that the header states, the type.
"""

from dataclasses import dataclass

import numpy as np

from .frames import Frames, RawFrames, recast
from .stack import Stack

_SAMPLE = 2**22  # pixels that are looked at
_FEWEST_PAIRS = 20
_CLEARLY = 10  # times as many pairs for one reading as for the other
_SMALL_STEPS = 0.9  # share of the steps between neighbouring pixels that count as small
_FEWEST_VALUES, _COMMONEST = 3, 0.9  # at the cut: fewer values, or one that is commoner, are saturated pixels

_Evidence = tuple[bool, str]  # that the numbers are signed, and what says so


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How to read integers, why, and the evidence against it."""

    dtype: np.dtype
    why: str = "so says their type"
    against: str = ""


def settle_signs(stack: Stack) -> None:
    """Read integers of 8 or 16 bits with or without a sign, by the evidence, and say if the type was wrong."""
    frames = stack.frames
    if frames.dtype.kind not in "iu" or frames.dtype.itemsize > 2 or 0 in frames.shape:
        return
    reading = read_signs(frames, stated=stack.stated_range, is_flagged_signed=stack.is_flagged_signed)
    against = f", although {reading.against}" if reading.against else ""
    how = "as they are stored"
    if reading.dtype.kind != frames.dtype.kind:
        stack.frames, how = recast(frames, reading.dtype), f"read as {reading.dtype.name}"
        said = f"Integers of {frames.dtype.name} were {how}"
        stack.remarks += (f"{said}: {reading.why}{against}.",)
    elif against:
        stack.remarks += (f"Integers were read as {reading.dtype.name}: {reading.why}{against}.",)
    if not stack.intensity_from:
        stack.intensity_from = f"integers of {frames.dtype.name}, {how}: {reading.why}{against}"


def read_signs(
    frames: Frames, *, stated: tuple[float, float] | None = None, is_flagged_signed: bool | None = None
) -> Reading:
    """The reading of the integers in `frames`, of 8 or 16 bits, that the evidence supports.

    stated             least and greatest number as the header gives them
    is_flagged_signed  what the file's flag says; None without one
    """
    sample = _sample(frames)
    signed, unsigned = (sample.view(f"{kind}{sample.itemsize}") for kind in "iu")
    found = [_of_pixels(sample), _of_flag(is_flagged_signed), _of_header(stated, signed, unsigned)]
    found = [evidence for evidence in found if evidence is not None]
    is_signed, why = found[0] if found else (frames.dtype.kind == "i", "so says their type")
    against = [sentence for vote, sentence in found if vote != is_signed]
    dtype = np.dtype(f"{'i' if is_signed else 'u'}{sample.itemsize}").newbyteorder(frames.dtype.byteorder)
    return Reading(dtype=dtype, why=why, against=" and ".join(against))


def _sample(frames: Frames) -> np.ndarray:
    """Pixels (n, rows, n_x), unsigned, in this machine's byte order: rows about the middle of all frames, or frames."""
    n_frames, n_y, n_x = frames.shape
    if isinstance(frames, RawFrames):
        n_rows = max(1, min(n_y, _SAMPLE // (n_frames * n_x)))
        rows = slice((n_y - n_rows) // 2, (n_y - n_rows) // 2 + n_rows)
        chosen = range(n_frames)
    else:  # to read a part of a frame may mean to decode all of it
        rows, count = slice(None), max(1, min(n_frames, 8, _SAMPLE // (n_y * n_x)))
        chosen = np.unique(np.linspace(0, n_frames - 1, count).round().astype(int)).tolist()
    pixels = np.stack([frames.read(i, rows) for i in chosen])
    return pixels.astype(pixels.dtype.newbyteorder("=")).view(f"u{pixels.dtype.itemsize}")


def _of_pixels(sample: np.ndarray) -> _Evidence | None:
    """Signed where neighbouring pixels go on smoothly from -1 to 0, unsigned where they do from the middle upwards.

    The steps are taken modulo the range, so that they are the same in both readings.
    """
    at_zero, at_half = _smooth_pairs(sample)
    if max(at_zero, at_half) < _FEWEST_PAIRS or max(at_zero, at_half) < _CLEARLY * min(at_zero, at_half):
        return None
    half = 2 ** (8 * sample.itemsize - 1)
    cut = "-1 to 0" if at_zero > at_half else f"{half - 1} to {half}"
    return at_zero > at_half, f"{max(at_zero, at_half)} pairs of neighbouring pixels go on smoothly from {cut}"


def _smooth_pairs(sample: np.ndarray) -> tuple[int, int]:
    """Pairs of neighbours, a small step apart, on both sides of zero and on both sides of half the range."""
    bits = 8 * sample.itemsize
    half = 2 ** (bits - 1)
    left, right = sample[..., :-1], sample[..., 1:]
    is_upper = sample >= half
    if not left.size or is_upper.all() or not is_upper.any():
        return 0, 0
    steps = np.abs((right - left).view(f"i{sample.itemsize}").astype(np.int32))
    small = np.clip(np.quantile(steps[steps > 0], _SMALL_STEPS) if steps.any() else 1, 1, half // 8)
    crossing = (is_upper[..., :-1] != is_upper[..., 1:]) & (steps <= small)
    lower, upper = (side(left[crossing], right[crossing]).astype(np.int64) for side in (np.minimum, np.maximum))
    is_half = upper - lower < half
    at_half = _counted(half - 1 - lower[is_half], upper[is_half] - half)
    at_zero = _counted(lower[~is_half], 2 * half - 1 - upper[~is_half])
    return at_zero, at_half


def _counted(*sides: np.ndarray) -> int:
    """Pairs, by how far their pixels lie from the cut; none where those of one side are but a number or two."""
    for side in sides:
        _, counts = np.unique(side, return_counts=True)
        if len(counts) < _FEWEST_VALUES or counts.max() > _COMMONEST * counts.sum():
            return 0
    return len(sides[0])


def _of_flag(is_flagged_signed: bool | None) -> _Evidence | None:
    if is_flagged_signed is None:
        return None
    return is_flagged_signed, f"IMOD's flag says that bytes are {'signed' if is_flagged_signed else 'unsigned'}"


def _of_header(stated: tuple[float, float] | None, signed: np.ndarray, unsigned: np.ndarray) -> _Evidence | None:
    """The reading whose numbers lie inside the stated range, if those of the other do not."""
    # software that does not count them writes low >= high
    if stated is None or not np.isfinite(stated).all() or stated[0] >= stated[1]:
        return None
    low, high = stated
    tolerance = 0.5 + 1e-6 * (high - low)
    fits = []
    for numbers in (signed, unsigned):
        limits = np.iinfo(numbers.dtype)
        can_hold = limits.min - tolerance <= low and high <= limits.max + tolerance
        fits.append(can_hold and low - tolerance <= numbers.min() and numbers.max() <= high + tolerance)
    return (fits[0], f"the header states numbers from {low:g} to {high:g}") if fits[0] != fits[1] else None
