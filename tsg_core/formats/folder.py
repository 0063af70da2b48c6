"""A tilt series as a folder of single frames, one file each."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import TsgError
from ..files import existing
from .frames import ALL_ROWS
from .mdoc import read_mdoc
from .mrc import SUFFIXES as MRC_SUFFIXES
from .mrc import read_mrc
from .names import angles_in_names
from .own import read_npy
from .rosetta import SUFFIXES as ROSETTA_SUFFIXES
from .rosetta import read_rosetta
from .stack import Stack
from .tiff import SUFFIXES as TIFF_SUFFIXES
from .tiff import read_tiff

_FRAME_SUFFIXES = (*MRC_SUFFIXES, *TIFF_SUFFIXES, *ROSETTA_SUFFIXES, ".npy")


@dataclass(frozen=True)
class FileFrames:
    """One frame a file; each is opened when it is read, so that hundreds are not open at once."""

    paths: Sequence[Path]
    shape: tuple[int, int, int]
    dtype: np.dtype

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        return _read_frame(self.paths[i]).frames.read(0, rows)


def read_folder(path: Path) -> Stack:
    """The frames of a folder, or those whose names match the last part of a path with `*`, in natural order."""
    folder, pattern = (path, "*") if path.is_dir() else (existing(path.parent), path.name)
    files = sorted(
        (file for file in folder.glob(pattern) if file.suffix.lower() in _FRAME_SUFFIXES and file.name[0] != "."),
        key=_natural,
    )
    kinds = Counter(file.suffix.lower() for file in files)
    if not files:
        raise TsgError(f"{path} holds no frames; the suffixes known are {', '.join(_FRAME_SUFFIXES)}")
    if len(kinds) > 1:
        held = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
        raise TsgError(f"{path} holds files of several kinds ({held}); choose one as {folder / '*'}{files[0].suffix}")
    return _joined(path, files)


def read_frames_of_mdoc(path: Path) -> Stack:
    """The stack that a .mdoc names, or the single frames that its sections name, looked for beside it."""
    mdoc = read_mdoc(path)
    names = [section.get("SubFramePath") for section in mdoc.sections]
    named = path.with_name(_last_part(mdoc.stated.get("ImageFile", path.name)))
    image_files = [named, path.with_suffix(""), path.with_suffix(".mrc"), path.with_suffix(".st")]
    image_file = next((file for file in image_files if file.is_file() and file != path), None)
    if image_file is not None:
        stack = read_mrc(image_file)
    elif None not in names:
        stack = _joined(path, [existing(path.with_name(_last_part(name))) for name in names])
    else:
        raise TsgError(f"{path} names neither single frames nor a stack that lies beside it ({named.name})")
    stack.tilt_deg, stack.angles_from = mdoc.tilt_deg, "the sections"
    stack.pixel_size_A = mdoc.pixel_size_A or stack.pixel_size_A
    return stack


def _joined(path: Path, files: Sequence[Path]) -> Stack:
    frames = [_read_frame(file) for file in files]
    shapes = Counter(frame.frames.shape[1:] for frame in frames)
    if len(shapes) > 1:
        usual = shapes.most_common(1)[0][0]
        odd = next(file for file, frame in zip(files, frames, strict=True) if frame.frames.shape[1:] != usual)
        sizes = ", ".join(f"{n_y} x {n_x}" for n_y, n_x in shapes)
        raise TsgError(f"{path} holds frames of several sizes ({sizes}); {odd.name} is one that differs")
    sizes_A = {frame.pixel_size_A for frame in frames} - {None}
    if sizes_A and not np.isclose(min(sizes_A), max(sizes_A), rtol=1e-3):
        raise TsgError(f"{path} holds frames with pixels of {min(sizes_A):g} to {max(sizes_A):g} A; give one size only")
    dtype = np.result_type(*{frame.frames.dtype for frame in frames})
    shape = (len(files), *frames[0].frames.shape[1:])
    stack = Stack(frames=FileFrames(files, shape, dtype), kind=f"{files[0].suffix} files of")
    stack.pixel_size_A, stack.no_pixel_size = frames[0].pixel_size_A, frames[0].no_pixel_size
    _find_angles(stack, files, frames)
    return stack


def _find_angles(stack: Stack, files: Sequence[Path], frames: Sequence[Stack]) -> None:
    """From each file's own metadata, where they say so and differ; else from the names; else from one text file."""
    stated = [frame.tilt_deg for frame in frames]
    if all(angles is not None for angles in stated):
        angles = np.concatenate(stated)
        if len(np.unique(angles)) > 1 or len(files) == 1:
            stack.tilt_deg, stack.angles_from = angles, "the metadata of the frames"
            return
    angles, reason = angles_in_names([file.stem for file in files])
    if angles is not None:
        stack.tilt_deg, stack.angles_from = angles, "the names of the files"
        return
    has_all = all(angles is not None for angles in stated)
    own = "the frames' own metadata all state the same angle" if has_all else "not every frame states its own"
    stack.no_angles = f"{own}, and {reason}"


def _read_frame(path: Path) -> Stack:
    suffix = path.suffix.lower()
    if suffix in ROSETTA_SUFFIXES:
        return read_rosetta(path, n_dimensions=2)
    readers = dict.fromkeys(MRC_SUFFIXES, read_mrc) | dict.fromkeys(TIFF_SUFFIXES, read_tiff) | {".npy": read_npy}
    if suffix not in readers:
        raise TsgError(f"{path} has the suffix {path.suffix!r}; those of frames are {', '.join(_FRAME_SUFFIXES)}")
    frame = readers[suffix](path)
    if frame.frames.shape[0] != 1:
        raise TsgError(f"{path} holds {frame.frames.shape[0]} frames; align and sum them to one frame first")
    mdoc = path.with_name(path.name + ".mdoc")
    if mdoc.is_file() and frame.tilt_deg is None:
        frame.tilt_deg = read_mdoc(mdoc).tilt_deg
    return frame


def _natural(path: Path) -> list:
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def _last_part(name: str) -> str:
    """The file's name in a path of Windows or Unix."""
    return re.split(r"[\\/]", name)[-1]
