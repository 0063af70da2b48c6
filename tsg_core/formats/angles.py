"""Tilt angles: from a text file, from beside a stack, and whether they can be right."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import TsgError
from ..files import existing
from .mdoc import read_mdoc
from .stack import Stack

SAME_EXPOSURE_deg = 1e-3  # stages read out finer than they stand still
_SAME_STAGE_deg = 0.5  # a goniometer's reading and the angle that was asked for differ by less


def read_angles(path: str | Path) -> np.ndarray:
    """Tilt angles in degrees, in file order, from a text file with one a line (# starts a comment) or a .mdoc."""
    path = existing(path)
    if path.suffix.lower() == ".mdoc":
        return read_mdoc(path).tilt_deg
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        raise TsgError(f"{path} is not a text file of tilt angles") from None
    angles = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("#")[0].strip().rstrip(",")
        if line:
            try:
                angles.append(float(line))
            except ValueError:
                raise TsgError(f"{path}, line {number}: {line!r} is not a tilt angle in degrees") from None
    return np.array(angles)


def find_angles(stack: Stack, path: Path, *, tilts: str | Path | Sequence[float] | None) -> tuple[np.ndarray, str]:
    """The angles and where they were found: those given, else those in the file, else those in a file beside it.

    Aligned stacks (.ali) go with the refined angles (.tlt) before those of their header.
    """
    if isinstance(tilts, str | Path):
        return read_angles(tilts), str(tilts)
    if tilts is not None:
        return np.asarray(tilts, float), "the list of tilts"
    refined = path.with_suffix(".tlt")
    if path.suffix.lower() == ".ali" and refined.is_file():
        return read_angles(refined), str(refined)
    plain = [] if path.suffix.lower() == ".rec" else [path.with_suffix(".rawtlt"), refined]
    if stack.tilt_deg is not None:
        _remark_on_others(stack, [candidate for candidate in plain if candidate.is_file()])
        return np.asarray(stack.tilt_deg, float), f"{stack.angles_from} of {path}"
    if stack.no_angles:
        raise TsgError(f"{path} comes without tilt angles: {stack.no_angles}; name a file of angles by tilts")
    candidates = [*plain, path.with_name(path.name + ".mdoc"), path.with_suffix(".mdoc")]
    for candidate in candidates:
        if candidate.is_file():
            return read_angles(candidate), str(candidate)
    if stack.volume:
        raise TsgError(f"{path} looks like a volume, not a tilt series: {stack.volume}; if it is one, give tilts")
    names = ", ".join(candidate.name for candidate in candidates)
    raise TsgError(
        f"{path} comes without tilt angles: none in the file, and beside it none of {names}; name a file by tilts"
    )


def _remark_on_others(stack: Stack, candidates: list[Path]) -> None:
    """Angles beside the stack that say something else may be the ones that were meant: their sign turned, say."""
    for candidate in candidates:
        other_deg = read_angles(candidate)
        if other_deg.shape != np.shape(stack.tilt_deg) or np.abs(other_deg - stack.tilt_deg).max() > _SAME_STAGE_deg:
            stack.remarks += (f"{candidate.name} gives other angles and was not used; name it by tilts to use it.",)


def check_angles(tilt_deg: np.ndarray, n_frames: int, source: str, *, kept: np.ndarray, same_deg: float = 0) -> None:
    """TsgError where the angles cannot be those of so many frames, of which some, by number, are kept.

    Angles no farther than `same_deg` apart repeat.
    """
    if tilt_deg.shape != (n_frames,):
        raise TsgError(f"{source}: {tilt_deg.size} tilt angles for {n_frames} frames")
    order = kept[np.argsort(tilt_deg[kept], kind="stable")]
    ascending = tilt_deg[order]
    if not np.isfinite(ascending).all() or (np.abs(ascending) > 180).any():
        wrong = ascending[~(np.abs(ascending) <= 180)][0]
        raise TsgError(f"{source}: the tilt angle {wrong:g} is no angle in degrees")
    steps = np.diff(ascending)
    if (steps <= same_deg).any():
        i = int(np.argmin(steps))
        first, second = sorted(order[[i, i + 1]].tolist())
        raise TsgError(
            f"{source}: the tilt angle {ascending[i]:g} deg more than once, at frames {first} and {second} of the file; "
            "leave one out, or average them first"
        )
    span = ascending[-1] - ascending[0] if len(ascending) else 0
    if len(ascending) > 2 and 0.5 < span <= np.pi + 1e-3 and np.median(steps) < 0.5:
        raise TsgError(
            f"{source}: angles from {ascending[0]:g} to {ascending[-1]:g} look like radians; write them in degrees"
        )
