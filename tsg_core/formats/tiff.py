"""TIFF stacks: our own, those of ImageJ, OME and IMOD, and any others with grey-level pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.files import readable
from .calibration import calibrate_tiff
from .choice import ChosenFrames, Picture, chosen_number
from .frames import ALL_ROWS, RawFrames
from .own import from_json, to_json
from .quiet import quiet
from .stack import Stack

SUFFIXES = (".tif", ".tiff")
_RESOLUTION_UNITS = {2: 2.54, 3: 1.0}  # cm; a TIFF file knows inch and centimetre
_DM_SCALES, _DM_UNITS = (65010, 65009), (65004, 65003)  # tags of Digital Micrograph, of y and x
_LARGEST_PIXEL_A = 5e4  # a coarser resolution is meant for printers


class PageFrames:
    """Compressed or scattered pages, decoded one at a time."""

    def __init__(self, path: Path, pages: Sequence[int], shape: tuple[int, int, int], dtype: np.dtype):
        self.path, self.shape, self.dtype, self._pages = path, shape, np.dtype(dtype), pages

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        with quiet("tifffile"):
            return tifffile.imread(self.path, key=self._pages[i])[rows]


@dataclass(frozen=True)
class _Planes:
    """Planes of one series of pages, by their numbers in it, that make one picture or stack."""

    number: int
    series: tifffile.TiffPageSeries
    planes: range


def read_tiff(path: Path, *, image: str | None = None, is_frame: bool = False) -> Stack:
    """The stack of a file, or of a frame's file its one picture; `image` chooses where there are several."""
    with quiet("tifffile"), readable(path), tifffile.TiffFile(path) as file:
        own = next((own for own in file.shaped_metadata or () if "tilt_deg" in own), None)
        if own is None:
            chosen = _chosen(path, file, image, is_frame=is_frame)
        else:
            chosen = _Planes(0, file.series[0], range(_n_planes(file.series[0])))
        frames = _frames(path, file, chosen.series)
        is_all = len(chosen.planes) == frames.shape[0]
        frames = frames if is_all else ChosenFrames(frames, chosen.planes)
        stack = Stack(frames=frames, kind="TIFF file", pixel_size_from="its tags")
        if own is not None:
            stack.tilt_deg, stack.measured = np.array(own["tilt_deg"], float), np.array(own["measured"], bool)
            stack.pixel_size_A, stack.angles_from = float(own["pixel_size_A"]), "the description"
            stack.metadata = from_json(own.get("metadata", "{}"))
            return stack
        _read_pixel_size(stack, file, number=chosen.number)
        calibrate_tiff(stack, file)
        return stack


def _chosen(path: Path, file: tifffile.TiffFile, image: str | None, *, is_frame: bool) -> _Planes:
    """The planes that are meant: all of the only stack, or those of one of several series, or one channel."""
    held: list[_Planes] = []
    pictures: list[Picture] = []
    for number, series in enumerate(_series(file)):
        if "S" in series.axes:
            raise TsgError(
                f"{path} holds {series.axes} of {series.shape}; a tilt series is grey-level pages of one size"
            )
        for name, planes in _parts(series, is_frame=is_frame and image is not None):
            held.append(_Planes(number, series, planes))
            size = " x ".join(map(str, ([len(planes)] if len(planes) > 1 else []) + list(series.shape[-2:])))
            pictures.append(Picture(" ".join(filter(None, (series.name, name))), f"{size} {series.dtype}"))
    return held[chosen_number(path, pictures, image)]


def _series(file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """The series of pages; single pages of one size and type that differ only in how they are stored are one."""
    series = list(file.series)
    kinds = {(tuple(page.shape), page.dtype) for page in file.pages}
    if len(series) > 1 and len(kinds) == 1 and not file.is_ome:
        pages = list(file.pages)
        return [tifffile.TiffPageSeries(pages, (len(pages), *pages[0].shape), pages[0].dtype, "I" + pages[0].axes)]
    return series


def _parts(series: tifffile.TiffPageSeries, *, is_frame: bool) -> list[tuple[str, range]]:
    """What of a series is one picture or stack, by name: a channel, or a slice of any fourth axis; else the whole."""
    leading = [(axis, n) for axis, n in zip(series.axes[:-2], series.shape[:-2], strict=True) if n > 1]
    n_planes = _n_planes(series)
    axes = "".join(axis for axis, _ in leading)
    if is_frame:
        return [(f"plane {i}" if n_planes > 1 else "", range(i, i + 1)) for i in range(n_planes)]
    if len(leading) != 2:  # a lone axis of channels holds frames: software that stacks them calls it so
        return [("", range(n_planes))]
    at = axes.index("C") if "C" in axes else 0
    behind = math.prod(n for _, n in leading[at + 1 :])
    name = "channel" if axes[at] == "C" else f"slice of {axes[at]}"
    stride = leading[at][1] * behind
    if behind == 1:
        return [(f"{name} {i}", range(i, n_planes, stride)) for i in range(stride)]
    return [(f"{name} {i}", range(i * behind, (i + 1) * behind)) for i in range(leading[at][1])]


def _n_planes(series: tifffile.TiffPageSeries) -> int:
    return math.prod(series.shape[:-2])


def _frames(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> RawFrames | PageFrames:
    """All planes of a series as one stack."""
    leading = [n for n in series.shape[:-2] if n > 1]
    if len(leading) > 2:
        raise TsgError(f"{path} holds {series.axes} of {series.shape}; a tilt series is grey-level pages of one size")
    if any(page is not None and page.parent.filehandle.name != file.filehandle.name for page in series.pages):
        raise TsgError(f"{path} is one of several files that share its frames; save them as one file")
    shape = (_n_planes(series), *series.shape[-2:])
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
        if path.stat().st_size < end:
            raise ValueError(f"its pages end at byte {end}, the file at {path.stat().st_size}")
        return RawFrames(path, series.dataoffset, shape, np.dtype(series.dtype).newbyteorder(file.byteorder))
    if len(series.pages) != shape[0] or any(page is None for page in series.pages):
        raise ValueError(f"{shape[0]} frames lie on {len(series.pages)} pages")
    return PageFrames(path, [page.index for page in series.pages], shape, series.dtype)


def _read_pixel_size(stack: Stack, file: tifffile.TiffFile, *, number: int) -> None:
    if file.is_ome:
        images = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        pixels = (images[number] if isinstance(images, list) else images)["Pixels"]
        if "PhysicalSizeX" in pixels:
            sizes = [pixels.get(f"PhysicalSize{axis}", pixels["PhysicalSizeX"]) for axis in "YX"]
            stack.scale_pixels(sizes, [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "YX"])
        return
    tags = file.pages[0].tags
    if _DM_SCALES[0] in tags and _DM_UNITS[0] in tags:
        stack.scale_pixels(*([tags[code].value for code in codes] for codes in (_DM_SCALES, _DM_UNITS)))
        return
    if "XResolution" not in tags or "YResolution" not in tags:
        return
    with np.errstate(all="ignore"):
        y, x = (float(np.divide(*tags[f"{axis}Resolution"].value[::-1])) for axis in "YX")
    if file.is_imagej:
        unit = (file.imagej_metadata or {}).get("unit")
        stack.scale_pixels([y, x], [unit, unit])
    elif tags.valueof("ResolutionUnit") in _RESOLUTION_UNITS:
        y, x = (length * _RESOLUTION_UNITS[tags.valueof("ResolutionUnit")] for length in (y, x))
        if 0 < x * 1e8 < _LARGEST_PIXEL_A:
            stack.scale_pixels([y, x], ["cm", "cm"])


def write_tiff(series: TiltSeries, path: Path) -> None:
    own = {
        "tilt_deg": series.tilt_deg.tolist(),
        "measured": series.measured.tolist(),
        "pixel_size_A": series.pixel_size_A,
        "metadata": to_json(series.metadata),
    }
    tifffile.imwrite(path, series.frames, photometric="minisblack", metadata=own)
