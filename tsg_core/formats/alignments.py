"""Alignments of a recording: .xf of IMOD and .aln of AreTomo, one line a frame, in the order of the frames in its file.

A point (y, x) of an aligned frame was recorded at matrix @ (y, x) + shift, both from the middle of the frame: this is
how `preparation.transformation` describes a recording. Both programs count rows as MRC files do, so y is the row index.

IMOD   a11 a12 a21 a22 dx dy with x' = a11 x + a12 y + dx and y' = a21 x + a22 y + dy, where (x, y) was recorded and
       (x', y') is aligned, both from the middle (manual page of xf2rotmagstr). Lines that move nothing among lines that
       turn the frames are those of frames left out, as AreTomo and RELION have it.
AreTomo  SEC ROT GMAG TX TY ... TILT, with (x, y) = T + rotation by ROT, from x towards y, of (x', y'); frames left out
       are named by `# DarkFrame =` (CSaveAlnFile.cpp and CSaveXF.cpp of AreTomo2, which counts SEC from 0; AreTomo3
       counts from 1).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import TsgError
from ..tools.files import replaced_when_whole
from .texts import read_text

SUFFIXES = (".xf", ".aln")
_MAGNIFICATION = (0.5, 2.0)  # what an alignment may do to lengths; beyond, the file is of something else
_SAME = 1e-6
_ALN_COLUMNS = "# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT"


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredAlignment:
    """What a file states of each frame, in the order of the frames in the file of the recording.

    matrix    (n, 2, 2), shift_px (n, 2): where the points of the aligned frame were recorded; NaN for frames left out
    tilt_deg  (n,) the angles that the file states, also of frames left out; None if it states none
    remarks   sentences on what of the file was passed over
    """

    matrix: np.ndarray
    shift_px: np.ndarray
    tilt_deg: np.ndarray | None = None
    remarks: tuple[str, ...] = ()


def check_alignment_suffix(path: Path) -> None:
    """Raise TsgError unless the suffix names a format of alignments."""
    if path.suffix.lower() not in SUFFIXES:
        raise TsgError(
            f"{path} has the suffix {path.suffix!r}; alignments are {' (IMOD) or '.join(SUFFIXES)} (AreTomo)"
        )


def read_alignment(path: str | Path, *, n_frames: int) -> StoredAlignment:
    """The alignment of a recording of `n_frames` from an .xf or .aln file.

    Raises TsgError for another number of frames, text that is no number, warpings, and transformations that mirror the
    frames or change lengths more than twofold.
    """
    path = Path(path)
    check_alignment_suffix(path)
    stored = _read_xf(path) if path.suffix.lower() == ".xf" else read_aln(path)
    if len(stored.matrix) != n_frames:
        raise TsgError(
            f"{path} aligns {len(stored.matrix)} frames, the recording has {n_frames}; it is that of another stack, or "
            "frames were dropped from this one"
        )
    return stored


def _read_xf(path: Path) -> StoredAlignment:
    lines = [(i, line.split()) for i, line in enumerate(read_text(path).splitlines(), start=1) if line.strip()]
    if lines and any(len(words) != 6 for _, words in lines):
        i, words = next(line for line in lines if len(line[1]) != 6)
        raise TsgError(
            f"{path}, line {i}: {len(words)} numbers, where a linear transformation has six; warpings are not read"
        )
    rows = np.array([_numbers(path, i, words, 6) for i, words in lines]).reshape(-1, 6)
    forward = rows[:, [3, 2, 1, 0]].reshape(-1, 2, 2)  # of (y, x)
    moved = rows[:, [5, 4]]
    _check_magnification(path, forward)
    matrix = np.linalg.inv(forward)
    shift_px = -(matrix @ moved[..., None])[..., 0]
    is_still = np.abs(rows - [1, 0, 0, 1, 0, 0]).max(axis=1, initial=0) < _SAME
    turned = np.abs(forward - np.eye(2)).max(axis=(1, 2), initial=0) > _SAME
    if turned[~is_still].all():  # all frames that are moved are turned as well: the others were left out
        left_out = is_still & ~is_still.all()
        matrix[left_out], shift_px[left_out] = np.nan, np.nan
    return StoredAlignment(matrix=matrix, shift_px=shift_px)


def _check_magnification(path: Path, forward: np.ndarray) -> None:
    for i, determinant in enumerate(np.linalg.det(forward)):
        if determinant <= 0:
            raise TsgError(
                f"{path}: frame {i} would be mirrored or flattened; an alignment turns, stretches and shifts"
            )
        if not _MAGNIFICATION[0] < np.sqrt(determinant) < _MAGNIFICATION[1]:
            raise TsgError(f"{path}: frame {i} would be magnified by {np.sqrt(determinant):.3g}; this is no alignment")


def _numbers(path: Path, line_number: int, words: Sequence[str], n: int) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise TsgError(f"{path}, line {line_number}: {' '.join(words)!r:.60} are no numbers") from None
    if len(numbers) != n or not np.isfinite(numbers).all():
        raise TsgError(f"{path}, line {line_number}: {' '.join(words)!r:.60} are not {n} finite numbers")
    return numbers


def read_aln(path: Path) -> StoredAlignment:
    """The global alignment of AreTomo's file; that of patches is passed over, with a remark."""
    header, rows, n_local, is_global = {}, [], 0, True
    dark = []
    for i, line in enumerate(read_text(path).splitlines(), start=1):
        if stated := re.match(r"#\s*(\w+)\s*=(.*)", line):
            if stated[1] == "DarkFrame":
                dark.append(_numbers(path, i, stated[2].split(), 3))
            header[stated[1]] = stated[2]
        elif line.startswith("#"):
            is_global &= "local alignment" not in line.lower()
        elif line.strip() and is_global:
            rows.append(_numbers(path, i, line.split(), 10))
        elif line.strip():
            n_local += 1
    if not rows:
        raise TsgError(f"{path} holds no line of SEC ROT GMAG TX TY ... TILT")
    rows, dark = np.array(rows), np.array(dark).reshape(-1, 3)
    n_frames = int(_numbers(path, 1, header["RawSize"].split(), 3)[2]) if "RawSize" in header else len(rows) + len(dark)
    sections, dark_sections = _counted_from_zero(path, rows[:, 0], dark[:, 1], n_frames)
    if (np.abs(rows[:, 2] - 1) > _SAME).any():
        raise TsgError(f"{path} states magnifications (GMAG) other than 1, whose meaning AreTomo leaves open")
    matrix, shift_px = np.full((n_frames, 2, 2), np.nan), np.full((n_frames, 2), np.nan)
    tilt_deg = np.empty(n_frames)
    cos, sin = np.cos(np.deg2rad(rows[:, 1])), np.sin(np.deg2rad(rows[:, 1]))
    matrix[sections] = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
    shift_px[sections] = rows[:, [4, 3]]
    tilt_deg[sections], tilt_deg[dark_sections] = rows[:, 9], dark[:, 2]
    remarks = (f"{path.name} also holds an alignment of patches, which was passed over.",) if n_local else ()
    return StoredAlignment(matrix=matrix, shift_px=shift_px, tilt_deg=tilt_deg, remarks=remarks)


def _counted_from_zero(path: Path, sections: np.ndarray, dark: np.ndarray, n_frames: int):
    """Numbers of the frames from 0, of those that are aligned and of those left out."""
    numbers = np.concatenate([sections, dark])
    first = numbers.min()
    if first not in (0, 1) or not np.array_equal(np.sort(numbers), np.arange(n_frames) + first):
        raise TsgError(
            f"{path}: SEC and DarkFrame do not name each of the {n_frames} frames of the recording once; they number "
            f"{len(numbers)} frames, from {first:g} to {numbers.max():g}"
        )
    return (sections - first).astype(int), (dark - first).astype(int)


def write_alignment(
    stored: StoredAlignment, path: str | Path, *, shape: tuple[int, int], overwrite: bool = False
) -> Path:
    """Write an alignment of frames (n_y, n_x) as .xf or, with the angles, as .aln.

    Raises TsgError for an .aln of frames that are not merely turned and shifted.
    """
    path = Path(path)
    check_alignment_suffix(path)
    lines = _xf_lines(stored) if path.suffix.lower() == ".xf" else _aln_lines(stored, path, shape)
    with replaced_when_whole(path, overwrite=overwrite) as (partial,):
        partial.write_text("".join(f"{line}\n" for line in lines))
    return path


def _xf_lines(stored: StoredAlignment) -> list[str]:
    lines = []
    for matrix, shift_px in zip(stored.matrix, stored.shift_px, strict=True):
        is_known = np.isfinite(matrix).all()
        forward = np.linalg.inv(matrix) if is_known else np.eye(2)
        moved = -forward @ shift_px if is_known else np.zeros(2)
        numbers = (*forward[::-1, ::-1].ravel(), *moved[::-1])
        lines.append("{:12.7f}{:12.7f}{:12.7f}{:12.7f}{:12.4f}{:12.4f}".format(*(number + 0.0 for number in numbers)))
    return lines


def _aln_lines(stored: StoredAlignment, path: Path, shape: tuple[int, int]) -> list[str]:
    is_known = np.isfinite(stored.matrix).all(axis=(1, 2))
    known = stored.matrix[is_known]
    if not np.allclose(known @ known.transpose(0, 2, 1), np.eye(2), atol=1e-4):
        raise TsgError(
            f"{path}: AreTomo's files keep rotations and shifts alone, these frames are stretched; write .xf"
        )
    lines = [
        "# AreTomo Alignment / Priims bprmMn",
        f"# RawSize = {shape[1]} {shape[0]} {len(stored.matrix)}",
        "# NumPatches = 0",
    ]
    by_tilt = np.argsort(stored.tilt_deg, kind="stable").tolist()
    lines += [
        f"# DarkFrame =  {place:4d} {i:4d} {stored.tilt_deg[i]:8.2f}"
        for place, i in enumerate(by_tilt)
        if not is_known[i]
    ]
    lines += ["# AlphaOffset =     0.00", "# BetaOffset =     0.00", _ALN_COLUMNS]
    for i in (i for i in by_tilt if is_known[i]):
        rotation_deg = np.rad2deg(np.arctan2(stored.matrix[i, 0, 1], stored.matrix[i, 0, 0]))
        y, x = stored.shift_px[i] + 0.0
        lines.append(
            f"{i:5d}  {rotation_deg:9.4f}  {1:9.5f}  {x:9.3f}  {y:9.3f}  {1:7.2f}  {1:7.2f}  {1:7.2f}  {0:7.2f}  "
            f"{stored.tilt_deg[i]:8.2f}"
        )
    return lines
