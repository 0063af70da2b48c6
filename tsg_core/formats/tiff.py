"""TIFF stacks: own ones, those of ImageJ, OME and IMOD, and any other with grey-level pages."""

from pathlib import Path

import numpy as np
import tifffile

from ..errors import TsgError
from ..files import readable
from ..tilt_series import TiltSeries
from .frames import ALL_ROWS, RawFrames
from .own import from_json, to_json
from .quiet import quiet
from .stack import Stack

SUFFIXES = (".tif", ".tiff")
_RESOLUTION_UNITS = {2: 2.54, 3: 1.0}  # cm; a TIFF file knows inch and centimetre
_DM_SCALES, _DM_UNITS = (65010, 65009), (65004, 65003)  # tags of Digital Micrograph, of y and x
_LARGEST_PIXEL_A = 5e4  # a coarser resolution is one for printers


class PageFrames:
    """Pages that are compressed or scattered, decoded one at a time."""

    def __init__(self, path: Path, series: tifffile.TiffPageSeries, shape: tuple[int, int, int]):
        self.path, self.shape, self.dtype = path, shape, np.dtype(series.dtype)
        self._pages = [page.index for page in series.pages]

    def read(self, i: int, rows: slice = ALL_ROWS) -> np.ndarray:
        with quiet("tifffile"):
            return tifffile.imread(self.path, key=self._pages[i])[rows]


def read_tiff(path: Path) -> Stack:
    with quiet("tifffile"), readable(path), tifffile.TiffFile(path) as file:
        series = file.series[0]
        shape = tuple(length for length in series.shape if length > 1 or len(series.shape) <= 3)
        shape = (1, *shape) if len(shape) == 2 else shape
        if len(shape) != 3 or "S" in series.axes:
            raise TsgError(
                f"{path} holds {series.axes} of {series.shape}; a tilt series is grey-level pages of one size"
            )
        stack = Stack(frames=_frames(path, file, series, shape), kind="TIFF file")
        for own in file.shaped_metadata or ():
            if "tilt_deg" in own:
                stack.tilt_deg, stack.measured = np.array(own["tilt_deg"], float), np.array(own["measured"], bool)
                stack.pixel_size_A, stack.angles_from = float(own["pixel_size_A"]), "the description"
                stack.metadata = from_json(own.get("metadata", "{}"))
                return stack
        _read_pixel_size(stack, file)
        return stack


def _frames(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries, shape):
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
        if path.stat().st_size < end:
            raise ValueError(f"its pages end at byte {end}, the file at {path.stat().st_size}")
        return RawFrames(path, series.dataoffset, shape, np.dtype(series.dtype).newbyteorder(file.byteorder))
    if len(series.pages) != shape[0] or any(page is None for page in series.pages):
        raise ValueError(f"{shape[0]} frames lie on {len(series.pages)} pages")
    return PageFrames(path, series, shape)


def _read_pixel_size(stack: Stack, file: tifffile.TiffFile) -> None:
    if file.is_ome:
        pixels = _first(tifffile.xml2dict(file.ome_metadata)["OME"]["Image"])["Pixels"]
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


def _first(value):
    return value[0] if isinstance(value, list) else value


def write_tiff(series: TiltSeries, path: Path) -> None:
    own = {
        "tilt_deg": series.tilt_deg.tolist(),
        "measured": series.measured.tolist(),
        "pixel_size_A": series.pixel_size_A,
        "metadata": to_json(series.metadata),
    }
    tifffile.imwrite(path, series.frames, photometric="minisblack", metadata=own)
