"""Tilt angles from a text file, and checks whether angles fit the frames."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import TsgError
from .alignments import read_aln
from .mdoc import read_mdoc
from .texts import number_of, read_text

SAME_EXPOSURE_deg = 1e-3  # stages report finer steps than they hold still
SAME_STAGE_deg = 0.5  # the reading of a goniometer and the requested angle differ by less
_TURN_deg = 360
_MANY = 4  # frames of one angle that a message lists


def read_angles(path: str | Path) -> np.ndarray:
    """Tilt angles in degrees, in file order, from a .mdoc, AreTomo's .aln, or a text file with one angle per line.

    In text # starts a comment. Understands UTF-8, UTF-16 (with or without a byte-order mark) and Latin-1, any minus
    sign, a decimal comma, a unit of degrees and a heading. Raises TsgError if a line holds anything but one angle.
    """
    path = Path(path)
    if path.suffix.lower() == ".mdoc":
        return read_mdoc(path).tilt_deg
    if path.suffix.lower() == ".aln":
        return read_aln(path).tilt_deg
    lines = [
        (number, line.split("#")[0].strip().rstrip(",;").strip())
        for number, line in enumerate(read_text(path).splitlines(), start=1)
    ]
    lines = [(number, line) for number, line in lines if line and not re.match(r"[;%!]|//", line)]
    if lines and not re.search(r"\d", lines[0][1]) and len(lines) > 1:
        if re.search("radian|[^a-z]rad[^a-z]", f" {lines[0][1]} ", re.IGNORECASE):
            raise TsgError(f"{path}, line {lines[0][0]}: {lines[0][1]!r} are no degrees; multiply them by 180/pi")
        if re.search("tilt|angle|deg|alpha|°", lines[0][1], re.IGNORECASE):
            number, heading = lines.pop(0)
            if re.search("[,;\t]", heading):
                raise TsgError(f"{path}, line {number}: {heading!r} heads several columns; keep the angles alone")
    _refuse_two_columns(path, [line for _, line in lines])
    return np.array([_angle(path, number, line) for number, line in lines])


def _angle(path: Path, number: int, line: str) -> float:
    try:
        return number_of(line)
    except ValueError:
        held = len(re.findall(r"[+-]?\d+(?:\.\d+)?", line))
        hint = f": it holds {held} numbers, where one angle a line is read" if held > 1 else ""
        raise TsgError(f"{path}, line {number}: {line!r:.60} is not a tilt angle in degrees{hint}") from None


def _refuse_two_columns(path: Path, lines: Sequence[str]) -> None:
    """Refuse `0,0`, `1,3`, `2,6`: numbers with a decimal comma, or a counter and an angle."""
    parts = [re.fullmatch(r"(\d+),(0|[1-9]\d*)", line) for line in lines]
    if len(lines) < 2 or None in parts:
        return
    counts = np.array([int(part[1]) for part in parts])
    is_counter = (np.diff(counts) == 1).all() and (counts[0] in (0, 1) or len(counts) > 2)
    if is_counter and len({part[2] for part in parts}) > 1:
        raise TsgError(f"{path}: {lines[1]!r} may be one number or two; write one angle a line, with a decimal dot")


def disagreement(first_deg: np.ndarray, other_deg: np.ndarray, *, may_be_offset: bool = True) -> str:
    """How two lists give frames different angles, as the end of a sentence; empty if they do not.

    A common offset does not count if one list may be a refined one.
    """
    offset_deg = np.median(other_deg - first_deg) if may_be_offset else 0.0
    apart = np.abs(other_deg - first_deg - offset_deg)
    steps = np.diff(np.unique(first_deg))
    if not len(steps) or apart.max() <= max(SAME_STAGE_deg, np.median(steps) / 2):
        return ""
    i = int(np.argmax(np.abs(other_deg - first_deg)))
    return f"of frame {i} they say {first_deg[i]:g} and {other_deg[i]:g} deg"


def check_angles(
    tilt_deg: np.ndarray,
    n_frames: int,
    source: str,
    *,
    kept: np.ndarray,
    same_deg: float = 0,
    names: Sequence[str] = (),
    repeats: str = "",
) -> None:
    """Raise TsgError if the angles cannot be those of so many frames, some of which, by number, are kept.

    Angles no farther than `same_deg` apart repeat. `names` are the files of the frames, `repeats` says how one of each
    angle can be chosen.
    """
    if tilt_deg.shape != (n_frames,):
        raise TsgError(f"{source}: {tilt_deg.size} tilt angles for {n_frames} frames")
    order = kept[np.argsort(tilt_deg[kept], kind="stable")]
    ascending = tilt_deg[order]
    wrong = ascending[~(np.abs(ascending) <= _TURN_deg)]
    if len(wrong):
        raise TsgError(f"{source}: the tilt angle {wrong[0]:g} does not lie within a full turn, {_TURN_deg} degrees")
    steps = np.diff(ascending)
    if (steps <= same_deg).any():
        raise TsgError(f"{source}: {_repeated(ascending, order, same_deg, names, repeats)}")
    span = ascending[-1] - ascending[0] if len(ascending) else 0
    if span > _TURN_deg:
        raise TsgError(f"{source}: angles from {ascending[0]:g} to {ascending[-1]:g} are more than a full turn")
    if len(ascending) > 2 and 0.5 < span <= np.pi + 1e-3 and np.median(steps) < 0.5:
        raise TsgError(
            f"{source}: angles from {ascending[0]:g} to {ascending[-1]:g} look like radians; write them in degrees"
        )


def _repeated(ascending: np.ndarray, order: np.ndarray, same_deg: float, names: Sequence[str], repeats: str) -> str:
    """Which angle repeats, where, how many others do, and what helps."""
    groups = np.split(np.arange(len(ascending)), np.flatnonzero(np.diff(ascending) > same_deg) + 1)
    several = [group for group in groups if len(group) > 1]
    frames = sorted(order[several[0]].tolist())
    listed = [f"{names[i]} (frame {i})" if names else str(i) for i in frames[:_MANY]]
    more = f" and {len(frames) - _MANY} more" if len(frames) > _MANY else ""
    where = f"{', '.join(listed[:-1])} and {listed[-1]}" if not more else ", ".join(listed) + more
    told = f"the tilt angle {ascending[several[0][0]]:g} deg more than once, at {'' if names else 'frames '}{where}"
    told += "" if names else " of the file"
    told += f"; so do {len(several) - 1} other angles" if len(several) > 1 else ""
    if repeats:
        return f"{told}; the files are named in {repeats}: choose one of these"
    told += ", as in dual-axis recordings, whose axes are read one by one" if len(several) > len(groups) / 2 else ""
    extra = [str(i) for group in several for i in sorted(order[group].tolist())[1:]]
    return f"{told}; leave out all but one (--exclude {','.join(extra)}), or average them first"
