"""The numbers at one place in the names of a series of files: signed values, and how clearly they are angles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .name_numbers import ROW, NameNumber

DEGREES, SIGNS, DECIMALS, NUMBER = 3, 2, 1, 0  # by a unit or a word, by signs, by decimals alone, not at all
_STEEPEST_deg, _TURN_deg, _HALF_TURN_deg = 90, 360, 150
_SMALLEST_SPAN_deg, _SMALLEST_STEP_deg = 2, 0.2  # defoci, shifts and drifts in their usual units are smaller
_UNEVEN = 5  # times the usual step, or a part of it; the scheme of Saxton and lost frames stay below
_ROUGH = 0.25  # range of the steps over the usual one, of angles that a program set
_ENOUGH = 3  # numbers, from which on a counter is known
_MINUS_OF = {"m": "p", "n": "p", "neg": "pos", "negative": "positive", "minus": "plus"}


class Doubtful(ValueError):
    """The sign is uncertain."""


@dataclass(frozen=True)
class Column:
    """The numbers at one place of all names; `place` counts from 1."""

    place: int
    numbers: tuple[NameNumber, ...]

    @cached_property
    def sizes(self) -> np.ndarray | None:
        """The numbers without their signs; None where they are rows of numbers, like 1.2.3 or throughout 01.2, 01.4."""
        if any(number.other == ROW for number in self.numbers) or self._has_one_whole:
            return None
        digits = [number.digits for number in self.numbers]
        if self._has_counter_behind_the_dot:
            digits = [text.partition(".")[0] for text in digits]
        return np.array(digits, float)

    @property
    def _has_one_whole(self) -> bool:
        """As in `s01.20`, `s01.40`: a dot that joins two numbers."""
        parts = [number.digits.partition(".") for number in self.numbers]
        wholes = {whole for whole, _, fraction in parts if fraction}
        if len(parts) <= _ENOUGH or len(wholes) != 1 or len({fraction for _, _, fraction in parts}) < len(parts) / 2:
            return False
        whole = wholes.pop()
        is_padded = len(whole) > 1 and whole[0] == "0"
        return is_padded or not any(number.is_degrees for number in self.numbers)

    @property
    def _has_counter_behind_the_dot(self) -> bool:
        """As in `tilt-60.001`, `tilt-58.002`: no angles run like this."""
        parts = [number.digits.partition(".") for number in self.numbers]
        if len(parts) < _ENOUGH or any(len(fraction) < 2 or not whole for whole, _, fraction in parts):
            return False
        counts = sorted(int(fraction) for _, _, fraction in parts)
        is_one_whole = len({whole for whole, _, _ in parts}) == 1
        return not is_one_whole and counts == list(range(counts[0], counts[0] + len(counts)))

    @cached_property
    def _signs(self) -> tuple[np.ndarray, bool] | None:
        try:
            return _signs(self.numbers, is_angle=self.is_named or self.is_degrees)
        except Doubtful:
            return None

    @cached_property
    def tilt_deg(self) -> np.ndarray | None:
        """The numbers with their signs; None if the signs are uncertain."""
        if self.sizes is None or self._signs is None:
            return None
        return self._signs[0] * self.sizes + 0.0  # + 0.0 so that -0 is 0

    @property
    def is_constant(self) -> bool:
        return len({(number.run, number.word, number.behind, number.digits) for number in self.numbers}) == 1

    @property
    def is_degrees(self) -> bool:
        """Whether all have a unit of degrees, but for zeros."""
        if self.sizes is None:
            return False
        marked = [number.is_degrees for number in self.numbers]
        return any(marked) and all(mark or size == 0 for mark, size in zip(marked, self.sizes, strict=True))

    @property
    def is_unsure(self) -> bool:
        """Whether these are angles by a unit, a word or their steps, but of no certain sign."""
        if self.is_constant or self.tilt_deg is not None or self.sizes is None:
            return False
        if self.is_degrees or (self.is_named and self.has_decimals):
            return True
        steps = np.diff(np.unique(self.sizes))
        is_even = len(steps) > 1 and steps.max() <= _UNEVEN * steps.min() and np.median(steps) >= _SMALLEST_STEP_deg
        return self.has_decimals and is_even and not self.is_counter

    @property
    def is_named(self) -> bool:
        return all(number.is_named for number in self.numbers)

    @property
    def has_decimals(self) -> bool:
        return any("." in number.digits for number in self.numbers) and not self._has_counter_behind_the_dot

    @cached_property
    def spelling(self) -> int:
        """How clearly these are spelt as angles."""
        if self.tilt_deg is None or any(number.other for number in self.numbers):
            return NUMBER
        is_signed = self._signs[1]
        if is_signed and len(self.numbers) > _ENOUGH and self.is_counter and len(set(self.sizes)) == len(self.sizes):
            return NUMBER  # no series has angles of either sign and of sizes that never repeat
        if self.is_degrees or (self.is_named and (self.has_decimals or is_signed or self._may_be_named)):
            return DEGREES
        if is_signed:
            return SIGNS
        return DECIMALS if self.has_decimals or (self.tilt_deg < 0).any() else NUMBER

    @property
    def _may_be_named(self) -> bool:
        """`tilt_0`, `tilt_5`, but not the counters `tilt_1`, `tilt_2` or `tilt_10`, `tilt_20`."""
        return self.is_mostly_distinct and not self.is_counter

    @property
    def is_counter(self) -> bool:
        """Whether these count, by one, or by their first number, as numbers, doses and times do."""
        if len(self.sizes) < 2:
            return False
        steps = np.diff(np.unique(self.sizes))
        first = self.sizes.min()
        by_one = len(steps) > 0 and np.allclose(steps, 1)
        return bool(by_one or (len(steps) > 0 and first > 0 and np.allclose(steps, first, rtol=1e-2)))

    @cached_property
    def is_candidate(self) -> bool:
        """Whether this can be the angle by its spelling and its range."""
        if self.is_constant or self.spelling == NUMBER:
            return False
        span, steepest = np.ptp(self.tilt_deg), np.abs(self.tilt_deg).max()
        if self.is_degrees:
            return steepest <= _TURN_deg
        if not self._signs[1] and self.is_counter and self.tilt_deg.min() > 0:
            return False
        if self.spelling == DEGREES:
            return bool(span >= _SMALLEST_SPAN_deg and steepest <= _TURN_deg and (self.is_even or self._signs[1]))
        is_turn = len(self.tilt_deg) > _ENOUGH and span >= _HALF_TURN_deg and steepest <= _TURN_deg and self.is_even
        return bool(span >= _SMALLEST_SPAN_deg and (steepest <= _STEEPEST_deg or is_turn))

    def rivals(self, other: "Column") -> bool:
        """Whether these have decimals and step as evenly as the other numbers, in the range of angles or not."""
        return self is not other and self.spelling == DECIMALS and self.is_even and self.is_mostly_distinct

    def may_add_up(self, counter: "Column") -> bool:
        """Whether these, of decimals alone, grow with a counter, as a dose does, and end at no half or full turn."""
        if self.spelling != DECIMALS or counter.spelling != NUMBER or counter.tilt_deg is None or counter.is_constant:
            return False
        order, values = np.argsort(counter.tilt_deg), np.unique(self.tilt_deg)
        if values[0] < 0 or not counter.is_counter or (np.diff(self.tilt_deg[order]) < 0).any():
            return False
        last, next_deg = values[-1], 2 * values[-1] - values[-2]
        return not any(np.isclose(end, turn) for end in (last, next_deg) for turn in (_TURN_deg / 2, _TURN_deg))

    @property
    def has_lost_signs(self) -> bool:
        """Whether each number but the smallest stands there twice, and none bears a sign."""
        values, counts = np.unique(self.tilt_deg, return_counts=True)
        return not self._signs[1] and len(values) > _ENOUGH and values[0] >= 0 and bool((counts[1:] == 2).all())

    def steps_better_than(self, chosen: "Column") -> bool:
        """Whether these, however they are spelt, run like angles and not like a counter, and far more evenly."""
        if self.tilt_deg is None or self.is_constant or any(number.other for number in self.numbers):
            return False
        runs = self.is_even and self.is_mostly_distinct and not self.is_counter
        return runs and chosen.roughness > max(_ROUGH, 4 * self.roughness) and not chosen.is_degrees

    @property
    def roughness(self) -> float:
        """Range of the steps over the usual step."""
        steps = np.diff(np.unique(self.tilt_deg))
        return float(np.ptp(steps) / np.median(steps)) if len(steps) else 0.0

    @property
    def signs(self) -> np.ndarray:
        return self._signs[0]

    @property
    def is_mostly_distinct(self) -> bool:
        return len(np.unique(self.tilt_deg)) > len(self.tilt_deg) / 2

    @cached_property
    def is_even(self) -> bool:
        """Whether the numbers step as a scheme of angles does, in whatever order."""
        steps = np.diff(np.unique(self.tilt_deg))
        if len(steps) < 2:
            return True
        usual = np.median(steps)
        return bool(usual >= _SMALLEST_STEP_deg and steps.max() <= _UNEVEN * usual and steps.min() >= usual / _UNEVEN)

    def __str__(self) -> str:
        place = f"number {self.place}"
        if self.tilt_deg is None:
            return f"{place}, {self.numbers[0].text!r} first, whose sign is not certain"
        low, high = self.tilt_deg.min(), self.tilt_deg.max()
        other = next((number.other for number in self.numbers if number.other), "")
        is_count = self.is_counter and not self.has_decimals
        note = f", by {other!r} no angle" if other else ", a counter" if is_count else ""
        return f"{place} from {low:g} to {high:g}{note}"


def _signs(numbers: Sequence[NameNumber], *, is_angle: bool) -> tuple[np.ndarray, bool]:
    """The sign of each number, and whether both signs, or a plus sign, are spelt. Raises Doubtful."""
    runs = [number.run for number in numbers]
    before = _signs_of_words([number.word for number in numbers], is_angle=is_angle)
    if before is not None:
        if set(runs) - {"", "-"}:
            raise Doubtful
        return before, True
    if all(run.startswith("-") for run in runs) and any(len(run) > 1 for run in runs):
        runs = [run[1:] for run in runs]  # one hyphen joins the words of every name
    kinds = set(runs)
    if kinds - {"", "-", "+"} or (kinds == {""} and any(number.is_close for number in numbers)):
        raise Doubtful
    if len(kinds) > 1:
        return np.array([-1.0 if run == "-" else 1.0 for run in runs]), True
    behind = _signs_behind(numbers, is_angle=is_angle)
    is_joined = any(number.is_joined for number in numbers)
    if behind is not None:
        if kinds != {""} and not is_joined:
            raise Doubtful
        return behind, True
    if kinds == {"-"} and is_joined:
        raise Doubtful
    sign = -1.0 if kinds == {"-"} else 1.0
    is_plus = kinds == {"+"} and not is_joined
    return np.full(len(runs), sign), is_plus or {number.behind for number in numbers} == {"+"}


def _signs_behind(numbers: Sequence[NameNumber], *, is_angle: bool) -> np.ndarray | None:
    """The signs that stand behind the numbers; None where none do. Raises Doubtful."""
    behind = [number.behind for number in numbers]
    if set(behind) <= {"", "-", "+"}:
        if len(set(behind)) > 1:
            return np.array([-1.0 if sign == "-" else 1.0 for sign in behind])
        words = None
    else:
        words = _signs_of_words(behind, is_angle=is_angle)
    if words is None and len({number.after for number in numbers}) > 1:
        raise Doubtful  # of `30--01` and `30-02` one may bear a sign
    return words


def _signs_of_words(words: Sequence[str], *, is_angle: bool) -> np.ndarray | None:
    """The signs that words like `m` and `p` say; None where they are no signs. Raises Doubtful."""
    kinds = set(words) - {"", "-", "+"}
    minus = kinds & set(_MINUS_OF)
    if not minus:
        return None
    is_long = all(len(word) > 1 for word in kinds)
    plus = kinds - minus
    is_pair = len(minus) == 1 and (plus == {_MINUS_OF[next(iter(minus))]} or (not plus and "" in words))
    if not (is_pair or is_long or (is_angle and len(minus) == 1 and len(plus) <= 1)):
        raise Doubtful
    return np.array([-1.0 if word in minus else 1.0 for word in words])
