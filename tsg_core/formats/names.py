"""Tilt angles in the names of files: which number of each name is the angle, or why none can be taken.

Nothing is guessed. The numbers at one place of all names are a column. A column that is spelt as an angle, by a unit of
degrees, a word like `tilt` or by signs, goes before one that has decimals alone; a number without any of these is no
angle. Where two are spelt alike, the one that steps evenly is taken; where that does not decide, none is.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile

import numpy as np

from ..tools.files import readable_name
from .name_columns import DECIMALS, DEGREES, SIGNS, Column
from .name_numbers import ParsedName, parse_names

_FEW = 6  # kinds of names, and columns, that a message lists


@dataclass(frozen=True)
class AnglesOfNames:
    """What names say about tilt angles.

    tilt_deg  (n,) in the order of the names, with repeats where names repeat an angle; None where none is certain
    example   a number and the name it stands in, for prose
    reason    why there are none
    repeats   how the files of one angle can be told from each other, for prose; empty where nothing tells
    is_plain  whether a unit, a word or signs spell them as angles
    """

    tilt_deg: np.ndarray | None = None
    example: str = ""
    reason: str = ""
    repeats: str = ""
    is_plain: bool = False


def angles_in_names(names: Sequence[str], *, suffix: str = "") -> AnglesOfNames:
    """The angles in degrees that names without their suffix state, like `tilt_-12.0`, `m61.5`, `p12deg`, `12,5neg`."""
    parsed = parse_names(names)
    if kinds := several_kinds(names, suffix=suffix):
        return AnglesOfNames(reason=f"the files are named in {kinds}: choose one of these, or")
    columns = [Column(i + 1, numbers) for i, numbers in enumerate(zip(*(p.numbers for p in parsed), strict=True))]
    chosen, reason = _chosen(columns, parsed)
    if chosen is None:
        return AnglesOfNames(reason=f"{reason}{_described(columns, readable_name(names[0]) + suffix)}")
    i = int(np.argmin(chosen.tilt_deg))
    return AnglesOfNames(
        tilt_deg=chosen.tilt_deg,
        example=f"{chosen.numbers[i].text!r} in {readable_name(names[i])}{suffix} is {chosen.tilt_deg[i]:g} deg",
        repeats=_what_tells_apart(names, columns, chosen, suffix),
        is_plain=chosen.spelling >= SIGNS,
    )


def several_kinds(names: Sequence[str], *, suffix: str = "") -> str:
    """The kinds of names among these that differ in words or in their count of numbers; empty where there is one."""
    groups = {}
    for name, parsed in zip(names, parse_names(names), strict=True):
        groups.setdefault(parsed.words, []).append(name)
    if len(groups) == 1:
        return ""
    return f"{len(groups)} ways, {_listed(list(groups.values()), names, suffix)}"


def _chosen(columns: Sequence[Column], parsed: Sequence[ParsedName]) -> tuple[Column | None, str]:
    """The column of the angle; or None and the beginning of a sentence that says why."""
    pool = [column for column in columns if column.is_candidate]
    best = [column for column in pool if column.spelling == max(c.spelling for c in pool)]
    if len(best) == 1 and (best[0].is_even or best[0].spelling == DEGREES or len(pool) == 1):
        chosen = best[0]
    else:
        even = [c for c in (best if len(best) > 1 else pool) if c.is_even and c.is_mostly_distinct]
        chosen = even[0] if len(even) == 1 else None
    if chosen is None:
        what = f"{len(pool)} numbers that can be" if pool else "no number that is spelt as"
        return None, f"the names of the files hold {what} an angle (like _-12.0_ or -12deg)"
    if chosen.spelling < DEGREES and any(column.is_unsure for column in columns):
        return None, "the names of the files hold numbers that can be an angle, the sign of which is not certain"
    if any(column.steps_better_than(chosen) for column in columns if column is not chosen):
        return None, "the names of the files hold several numbers that can be an angle"
    if chosen.spelling == DECIMALS and not chosen.is_even:
        return None, "the names of the files hold one number that can be an angle, but does not step as angles do"
    if chosen.spelling == DECIMALS and any(column.rivals(chosen) for column in columns):
        return None, "the names of the files hold several numbers with decimals, each of which can be an angle"
    if any(chosen.may_add_up(column) for column in columns):
        return None, "the names of the files hold numbers that grow with the count of frames, as angles and doses do"
    if chosen.has_lost_signs:
        return None, "the names of the files hold every angle twice, as if signs were missing"
    if _decimals_may_follow(chosen, columns, parsed):
        return None, "the names of the files hold angles, the next number of which may be their decimals"
    return chosen, ""


def _decimals_may_follow(chosen: Column, columns: Sequence[Column], parsed: Sequence[ParsedName]) -> bool:
    """Whether, as in `-10_5`, `-9_0`, `-7_5`, whole numbers step evenly only with the next number as decimals."""
    if chosen.has_decimals or chosen is columns[-1]:
        return False
    behind = columns[chosen.place]
    joins = {p.words[chosen.place] + number.run for p, number in zip(parsed, behind.numbers, strict=True)}
    if len(joins) > 1 or behind.is_constant or not all(number.digits.isdecimal() for number in behind.numbers):
        return False
    joined = [
        sign * float(f"{size:g}.{number.digits}")
        for size, number, sign in zip(chosen.sizes, behind.numbers, chosen.signs, strict=True)
    ]
    whole, finer = (np.diff(np.unique(values)) for values in (chosen.tilt_deg, joined))
    return len(finer) > 1 and (len(whole) < len(finer) or np.ptp(finer) < np.ptp(whole) / 2)


def _described(columns: Sequence[Column], example: str) -> str:
    changing = [str(column) for column in columns if not column.is_constant]
    if not changing:
        return f"; no number differs from name to name, as in {example}"
    more = f", and {len(changing) - _FEW} more" if len(changing) > _FEW else ""
    return f": of names like {example}, {'; '.join(changing[:_FEW])}{more}"


def _what_tells_apart(names: Sequence[str], columns: Sequence[Column], chosen: Column, suffix: str) -> str:
    """How to choose one file for each angle, if numbers other than the angle distinguish files of one angle."""
    _, counts = np.unique(chosen.tilt_deg, return_counts=True)
    if (counts > 1).mean() <= 0.5:
        return ""
    few = [c for c in columns if c is not chosen and 1 < len({number.text for number in c.numbers}) <= counts.max()]
    for keys in [*([column] for column in few), few]:
        groups: dict[tuple[str, ...], dict[float, str]] = {}
        for i, name in enumerate(names):
            groups.setdefault(tuple(key.numbers[i].text for key in keys), {})[chosen.tilt_deg[i]] = name
        if keys and sum(map(len, groups.values())) == len(names):  # each angle but once in a group
            return f"{len(groups)} ways, {_listed([list(group.values()) for group in groups.values()], names, suffix)}"
    return ""


def _listed(groups: list[list[str]], names: Sequence[str], suffix: str) -> str:
    """Kinds of names, the most frequent first, each as a pattern that chooses it, or by an example."""
    groups = sorted(groups, key=len, reverse=True)
    listed = [f"{_pattern(group, names, suffix)} ({len(group)})" for group in groups[:_FEW]]
    return ", ".join(listed) + (f", and {len(groups) - _FEW} more" if len(groups) > _FEW else "")


def _pattern(group: Sequence[str], names: Sequence[str], suffix: str) -> str:
    """The pattern that chooses exactly these names, if their beginnings and ends make one; else an example."""
    example = readable_name(group[0]) + suffix
    if len(group) == 1:
        return example
    start = _shared_start(group).rstrip("-+0123456789.")
    end = _shared_start([name[::-1] for name in group])[::-1].lstrip("0123456789.")
    if len(start) + len(end) > len(min(group, key=len)):
        end = ""
    pattern = f"{glob.escape(start)}*{glob.escape(end)}"
    if sum(fnmatchcase(name, pattern) for name in names) == len(group) and readable_name(pattern) == pattern:
        return pattern + suffix
    return f"like {example}"


def _shared_start(names: Sequence[str]) -> str:
    places = zip(*names, strict=False)
    return "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, places))
