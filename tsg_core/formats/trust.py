"""Which source of the tilt angles and of the pixel size is trusted if a file has several.

Angles are taken, in this order, from: those given; the refined ones of an aligned stack (.ali with .tlt); the file; a
text file beside it (.rawtlt, .tlt); a .mdoc beside it. A source that cannot be right is skipped and named; so is one
that differs by an offset. If two sources give a frame different angles, by another order or sign, neither is trusted.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import TsgError
from .angles import SAME_STAGE_deg, disagreement, read_angles
from .stack import Stack

_SAME_deg = 1e-3
_FULL_TURN_deg = 360
_SAME_SIZE = 0.01
_POSSIBLE_A = (0.01, 5e4)
_OF_NO_MEANING_A = 1.0  # written by software that knows no size


@dataclass(frozen=True)
class _Source:
    """Angles, in the order of the frames in the file, and why they cannot be right."""

    where: str
    name: str
    tilt_deg: np.ndarray
    fault: str = ""


def find_angles(
    stack: Stack,
    path: Path,
    *,
    tilts: str | Path | Sequence[float] | None,
    check: Callable[[np.ndarray, str], None],
) -> tuple[np.ndarray, str]:
    """The angles and where they were found; what speaks against them becomes a remark of the stack.

    `check` raises where angles, from a place that it is told, cannot be those of the frames.
    `tilts` may name the stack itself: its own angles are taken then. Raises TsgError where there are none, none that
    can be right, or where two sources give a frame different angles.
    """
    given = _given(stack, path, tilts)
    if given is not None:
        check(*given)
        return given
    if stack.no_angles and stack.tilt_deg is None:
        why = stack.no_angles + ("" if stack.no_angles.endswith(", or") else ";")
        raise TsgError(f"{path} comes without certain tilt angles: {why} name a file of them by --tilts")
    sources = _sources(stack, path)
    usable = [source for source in sources if not source.fault]
    if not usable:
        raise _nothing_usable(stack, path, sources)
    taken = usable[0]
    check(taken.tilt_deg, taken.where)
    for other in sources:
        if other is not taken and stack.metadata is None:  # beside an own stack angles may be edited by hand
            _compare(stack, path, taken, other)
    return taken.tilt_deg, taken.where


def _given(stack: Stack, path: Path, tilts: str | Path | Sequence[float] | None) -> tuple[np.ndarray, str] | None:
    if tilts is None:
        return None
    is_file = isinstance(tilts, str | Path)
    if is_file and stack.tilt_deg is not None and _names_itself(tilts, path):
        return np.asarray(stack.tilt_deg, float), f"{stack.angles_from} of {path}"
    given_deg = read_angles(tilts) if is_file else np.asarray(tilts, float)
    where = str(tilts) if is_file else "the list of tilts"
    if not stack.frame_names:
        return given_deg, where
    _refuse_misordered(stack, given_deg, where)
    return given_deg, f"{where} (in the order of the names, {stack.frame_names[0]} first)"


def _refuse_misordered(stack: Stack, given_deg: np.ndarray, where: str) -> None:
    """TsgError where a list has the angles of single frames, but not in the order of their names."""
    if stack.tilt_deg is None or given_deg.shape != np.shape(stack.tilt_deg):
        return
    own_deg = np.asarray(stack.tilt_deg, float)
    has_the_same = np.abs(np.sort(own_deg) - np.sort(given_deg)).max() <= SAME_STAGE_deg
    if has_the_same and disagreement(own_deg, given_deg, may_be_offset=False):
        i = int(np.argmax(np.abs(own_deg - given_deg)))
        raise TsgError(
            f"{where} has the angles of the frames in another order: {given_deg[i]:g} deg for {stack.frame_names[i]}, "
            f"which is {own_deg[i]:g} deg by {stack.angles_from.split(' (')[0]}; leave --tilts out, or list the angles "
            f"in the natural order of the names, {stack.frame_names[0]} first"
        )


def _names_itself(tilts: str | Path, path: Path) -> bool:
    """Whether the stack's own angles were chosen."""
    return path.exists() and Path(tilts).exists() and os.path.samefile(tilts, path)


def _sources(stack: Stack, path: Path) -> list[_Source]:
    n_frames, refined = stack.frames.shape[0], path.with_suffix(".tlt")
    plain = [] if path.suffix.lower() == ".rec" else [path.with_suffix(".rawtlt"), refined]
    beside = [*plain, path.with_name(path.name + ".mdoc"), path.with_suffix(".mdoc")]
    found = [source for file in beside if file.is_file() and file != path for source in _of_file(file, n_frames)]
    if stack.tilt_deg is not None:
        own_deg, where = np.asarray(stack.tilt_deg, float), f"{stack.angles_from} of {path}"
        own = _Source(where, stack.angles_from, own_deg, fault_of(own_deg, n_frames))
        if stack.metadata is not None and not own.fault:
            return [own]  # a format that keeps everything says itself what its angles are
        found.insert(0, own)
    if path.suffix.lower() == ".ali":
        found.sort(key=lambda source: source.where != str(refined))
    return found


def _of_file(file: Path, n_frames: int) -> list[_Source]:
    try:
        tilt_deg = read_angles(file)
    except TsgError as error:
        return [_Source(str(file), file.name, np.array([]), str(error).replace(f"{file.parent}{os.sep}", ""))]
    return [_Source(str(file), file.name, tilt_deg, fault_of(tilt_deg, n_frames))]


def fault_of(tilt_deg: np.ndarray, n_frames: int) -> str:
    """Why these cannot be the angles; empty if they can."""
    if tilt_deg.shape != (n_frames,):
        return f"{tilt_deg.size} tilt angles for {n_frames} frames"
    if not np.isfinite(tilt_deg).all() or np.abs(tilt_deg).max(initial=0) > _FULL_TURN_deg:
        wrong = tilt_deg[~(np.abs(tilt_deg) <= _FULL_TURN_deg)][0]
        return f"{wrong:g} is no angle in degrees"
    if n_frames > 1 and np.ptp(tilt_deg) < _SAME_deg:
        return f"{tilt_deg[0]:g} deg for every frame"
    return ""


def _nothing_usable(stack: Stack, path: Path, sources: list[_Source]) -> TsgError:
    if sources:
        faults = " and ".join(f"{source.where}: {source.fault}" for source in sources)
        looks = f" ({path} looks like a volume: {stack.volume})" if stack.volume else ""
        return TsgError(f"{faults}; name a file with the angle of each frame by --tilts{looks}")
    if stack.volume:
        return TsgError(f"{path} looks like a volume, not a tilt series: {stack.volume}; if it is one, give --tilts")
    stem, name = path.stem, path.name
    names = ", ".join((f"{stem}.rawtlt", f"{stem}.tlt", f"{name}.mdoc", f"{stem}.mdoc"))
    return TsgError(
        f"{path} comes without tilt angles: none in the file, and beside it none of {names}; name a file by --tilts"
    )


def _compare(stack: Stack, path: Path, taken: _Source, other: _Source) -> None:
    """A remark where the other source says something else; TsgError where frames would get other angles."""
    start = f"{other.name[0].upper()}{other.name[1:]}" if other.name.startswith("the ") else other.name
    if other.fault:
        stack.remarks += (f"{start} was not used: {other.fault}.",)
        return
    if clash := disagreement(taken.tilt_deg, other.tilt_deg):
        itself = f", {path.name} itself" if taken.where.endswith(f" of {path}") else ""
        first = taken.where.replace(f"{path.parent}{os.sep}", "")
        said = f"{path}: {first} and {other.name} disagree, {clash}"
        raise TsgError(f"{said}; name the right one by --tilts{itself} or a file of angles")
    if (shift_deg := np.abs(other.tilt_deg - taken.tilt_deg).max()) > SAME_STAGE_deg:
        said = f"{start} gives angles that differ by up to {shift_deg:.2g} deg and was not used"
        stack.remarks += (f"{said}; name it by --tilts to use it.",)


def find_pixel_size(stack: Stack, stated: Sequence[tuple[str, float | None]]) -> None:
    """Take the pixel size (A) of the first place that states a possible one, and tell of those that disagree.

    The first place is the header. One of exactly 1 A there means nothing where another place states a size, and one
    that is a tenth of another's is in nm.
    """
    known = [(where, size_A) for where, size_A in stated if size_A]
    possible = [(where, size_A) for where, size_A in known if _POSSIBLE_A[0] <= size_A <= _POSSIBLE_A[1]]
    for where, size_A in known:
        if (where, size_A) not in possible:
            stack.no_pixel_size = f"states pixels of {size_A:g} A in {where}, which cannot be"
            stack.remarks += (f"{where[0].upper()}{where[1:]} states pixels of {size_A:g} A, which cannot be.",)
    if not possible:
        return
    taken = next((place for place in possible if not np.isclose(place[1], _OF_NO_MEANING_A)), possible[0])
    in_nm = [place for place in possible if np.isclose(place[1], 10 * taken[1], rtol=_SAME_SIZE)]
    taken = in_nm[0] if in_nm else taken
    stack.pixel_size_from, stack.pixel_size_A = taken
    for where, size_A in possible:
        if not np.isclose(size_A, taken[1], rtol=_SAME_SIZE):
            unit = ", as if it were in nm" if (where, size_A) != taken and in_nm else ""
            said = f"{where[0].upper()}{where[1:]} states pixels of {size_A:g} A{unit}"
            stack.remarks += (f"{said}, {taken[0]} {taken[1]:g} A, which was taken; give another if it is wrong.",)
