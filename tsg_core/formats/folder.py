"""A tilt series as a folder of single frames, one file for each."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import TsgError
from ..tools.files import existing
from .angles import disagreement, read_angles
from .frames import ALL_ROWS
from .mdoc import Mdoc, read_mdoc
from .mrc import SUFFIXES as MRC_SUFFIXES
from .mrc import read_mrc
from .names import angles_in_names, several_kinds
from .own import read_npy
from .rosetta import SUFFIXES as ROSETTA_SUFFIXES
from .rosetta import read_rosetta
from .stack import Stack
from .tiff import SUFFIXES as TIFF_SUFFIXES
from .tiff import read_tiff

_FRAME_SUFFIXES = (*MRC_SUFFIXES, *TIFF_SUFFIXES, *ROSETTA_SUFFIXES, ".npy")
_LIST_SUFFIXES = (".mdoc", ".rawtlt", ".tlt")


@dataclass(frozen=True)
class FileFrames:
    """One frame per file; each file is opened only to read it, so that hundreds are not open at once."""

    paths: Sequence[Path]
    shape: tuple[int, int, int]
    dtype: np.dtype
    image: str | None = None

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        return _read_frame(self.paths[i], self.image).frames.read(0, rows)


def read_folder(path: Path, *, image: str | None = None) -> Stack:
    """The frames of a folder, or those whose names match the last part of a path with `*`, in natural order.

    `image` chooses one picture of each file, where files hold several.
    """
    folder, pattern = (path, "*") if path.is_dir() else (existing(path.parent), path.name)
    files = sorted(
        (file for file in folder.glob(pattern) if file.suffix.lower() in _FRAME_SUFFIXES and file.name[0] != "."),
        key=_natural,
    )
    kinds = Counter(file.suffix.lower() for file in files)
    if not files:
        raise TsgError(f"{path} holds no frames; the suffixes known are {', '.join(_FRAME_SUFFIXES)}")
    if len(kinds) > 1:
        usual = kinds.most_common(1)[0][0]
        held = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
        raise TsgError(f"{path} holds files of several kinds ({held}); choose one as {folder / '*'}{usual}")
    stack, frames = _joined(path, files, image)
    _find_angles(stack, folder, files, frames)
    return stack


def read_frames_of_mdoc(path: Path) -> Stack:
    """The stack that a .mdoc names, or the single frames that its sections name, looked for beside it."""
    mdoc = read_mdoc(path)
    named = path.with_name(_last_part(mdoc.stated.get("ImageFile", path.name)))
    image_files = [named, path.with_suffix(""), path.with_suffix(".mrc"), path.with_suffix(".st")]
    image_file = next((file for file in image_files if file.is_file() and file != path), None)
    if image_file is not None:
        stack = read_mrc(image_file)
    elif all("SubFramePath" in section for section in mdoc.sections):
        files = [existing(_frame_file(path, section["SubFramePath"])) for section in mdoc.sections]
        twice = next((file for file in files if files.count(file) > 1), None)
        if twice is not None:
            raise TsgError(f"{path} names {twice.name} in {files.count(twice)} sections; a frame has one angle")
        stack, _ = _joined(path, files)
    else:
        raise TsgError(f"{path} names neither single frames nor a stack that lies beside it ({named.name})")
    stack.tilt_deg, stack.angles_from = mdoc.tilt_deg, "the sections"
    stack.pixel_size_A = mdoc.pixel_size_A or stack.pixel_size_A
    return stack


def _frame_file(mdoc: Path, name: str) -> Path:
    """The frame that a section names, or a converted one: the file with the same name and another known suffix."""
    file = mdoc.with_name(_last_part(name))
    others = [file.with_suffix(suffix) for suffix in _FRAME_SUFFIXES]
    found = [other for other in others if other.is_file()]
    return file if (file.is_file() and file.suffix.lower() in _FRAME_SUFFIXES) or len(found) != 1 else found[0]


def _joined(path: Path, files: Sequence[Path], image: str | None = None) -> tuple[Stack, list[Stack]]:
    """The frames of these files as one stack, with what each file says."""
    frames = [_read_frame(file, image) for file in files]
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
    stack = Stack(frames=FileFrames(files, shape, dtype, image), kind=f"{files[0].suffix} files of")
    stack.pixel_size_A, stack.no_pixel_size = frames[0].pixel_size_A, frames[0].no_pixel_size
    stack.pixel_size_from, stack.intensity_from = "the first frame", frames[0].intensity_from
    stack.axis_deg, stack.axis_from = frames[0].axis_deg, frames[0].axis_from
    ranges = [frame.stated_range for frame in frames]
    if None not in ranges:
        lows, highs = zip(*ranges, strict=True)
        stack.stated_range = (min(lows), max(highs))
    flags = {frame.is_flagged_signed for frame in frames}
    stack.is_flagged_signed = flags.pop() if len(flags) == 1 else None
    stack.remarks = tuple(dict.fromkeys(remark for frame in frames for remark in frame.remarks))
    stack.frame_names = tuple(file.name for file in files)
    return stack, frames


def _find_angles(stack: Stack, folder: Path, files: Sequence[Path], frames: Sequence[Stack]) -> None:
    """Find angles in each file's own metadata, if they differ; else in the names; else in one text file.

    Sources that disagree about the angles of frames are refused, not ranked.
    """
    names, suffix = [file.stem for file in files], files[0].suffix
    named = angles_in_names(names, suffix=suffix)
    stated = [frame.tilt_deg for frame in frames]
    own_deg = None if any(angles is None for angles in stated) else np.concatenate(stated)
    found = []
    if own_deg is not None and (len(np.unique(own_deg)) > 1 or len(files) == 1):
        found.append((own_deg, "the metadata of the frames"))
    if named.tilt_deg is not None and (named.is_plain or not found):
        found.append((named.tilt_deg, f"the names of the files ({named.example})"))
    found += _listed_angles(stack, folder, files)
    if not found:
        is_same = "the frames' own metadata all state the same angle"
        own = "not every frame states its own" if own_deg is None else is_same
        stack.no_angles = f"{own}, and {named.reason}"
        return
    first_deg, first = found[0]
    for other_deg, other in found[1:]:
        if clash := disagreement(first_deg, other_deg, may_be_offset=False):
            stack.no_angles = f"{first} and {other} disagree, {clash} ({files[_worst(first_deg, other_deg)].name})"
            return
    stack.tilt_deg, stack.angles_from = first_deg, first
    stack.repeats = named.repeats or several_kinds(names, suffix=suffix)


def _worst(first_deg: np.ndarray, other_deg: np.ndarray) -> int:
    return int(np.argmax(np.abs(other_deg - first_deg)))


def _listed_angles(stack: Stack, folder: Path, files: Sequence[Path]) -> list[tuple[np.ndarray, str]]:
    """Angles in a text file in the folder, or beside it under its name.

    Those of a .mdoc that names the files go by name, others by the order of the names. A list that lies beside a stack
    of its own name belongs to that.
    """
    inside = sorted(file for file in folder.iterdir() if file.suffix.lower() in _LIST_SUFFIXES and file.name[0] != ".")
    place = folder.resolve()
    beside = [place.with_name(place.name + suffix) for suffix in _LIST_SUFFIXES]
    found = []
    for file in [*inside, *(f for f in beside if f.is_file())]:
        try:
            by_name = _angles_by_name(read_mdoc(file), files) if file.suffix.lower() == ".mdoc" else None
            if by_name is None and (file.with_suffix("").is_file() or any(map(Path.is_file, _stacks_of(file)))):
                continue
            tilt_deg = read_angles(file) if by_name is None else by_name
        except TsgError as error:
            stack.remarks += (f"{error}: passed over.",)
            continue
        if tilt_deg.shape != (len(files),):
            stack.remarks += (f"{file.name} holds {tilt_deg.size} angles for {len(files)} frames and was passed over.",)
            continue
        how = "by the frames' names" if by_name is not None else f"in the order of the names, {files[0].name} first"
        found.append((tilt_deg, f"{file.name} ({how})"))
    return found


def _stacks_of(file: Path) -> list[Path]:
    return [file.with_suffix(suffix) for suffix in _FRAME_SUFFIXES]


def _angles_by_name(mdoc: Mdoc, files: Sequence[Path]) -> np.ndarray | None:
    """The angle of each file that a section names; None unless all are named."""
    if any("SubFramePath" not in section for section in mdoc.sections):
        return None
    stems = [Path(_last_part(section["SubFramePath"])).stem for section in mdoc.sections]
    if len(set(stems)) < len(stems) or not {file.stem for file in files} <= set(stems):
        return None
    angles = dict(zip(stems, mdoc.tilt_deg.tolist(), strict=True))
    return np.array([angles[file.stem] for file in files])


def _read_frame(path: Path, image: str | None = None) -> Stack:
    suffix = path.suffix.lower()
    if suffix in ROSETTA_SUFFIXES:
        return read_rosetta(path, n_dimensions=2, dataset=image)
    if suffix in TIFF_SUFFIXES:
        frame = read_tiff(path, image=image, is_frame=True)
    elif suffix in MRC_SUFFIXES or suffix == ".npy":
        frame = read_npy(path) if suffix == ".npy" else read_mrc(path)
        if image is not None:
            raise TsgError(f"{path} holds no pictures to choose of by --image; leave the option out")
    else:
        raise TsgError(f"{path} has the suffix {path.suffix!r}; those of frames are {', '.join(_FRAME_SUFFIXES)}")
    if frame.frames.shape[0] != 1:
        raise TsgError(
            f"{path} holds {frame.frames.shape[0]} frames: name this file alone if it is a series; align and sum them "
            "to one frame first if they are a movie; or choose one picture of each file by --image N"
        )
    mdoc = path.with_name(path.name + ".mdoc")
    if mdoc.is_file() and frame.tilt_deg is None:
        frame.tilt_deg = read_mdoc(mdoc).tilt_deg
    return frame


def _natural(path: Path) -> list:
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", path.name)]


def _last_part(name: str) -> str:
    """The file name in a Windows or Unix path."""
    return re.split(r"[\\/]", name)[-1]
