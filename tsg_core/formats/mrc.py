"""MRC files, also those of IMOD (.st, .ali, .rec), SerialEM and FEI or Thermo Fisher, and those from before 2000."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import mrcfile
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.mrcfile import MrcFile

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.files import readable
from .extended_header import FrameNotes, LARGEST_SERIALEM_deg, frame_notes, serialem_notes, values
from .frames import RawFrames, TurnedFrames
from .mdoc import Mdoc, mdoc_text, read_mdoc
from .stack import Stack
from .trust import find_pixel_size

SUFFIXES = (".mrc", ".st", ".ali", ".rec", ".mrcs")
_IMOD_STAMP = 1146047817
_VERSION_OF_SIGNED_BYTES = 20140  # MRC2014: before, programs did not agree, and most took bytes without a sign
_UPRIGHT = math.sin(math.radians(5))
_LABEL_LENGTH, _N_LABELS = 80, 10
_ROUNDED = "tsg: angles in this header are rounded; those of .rawtlt are not"  # and so they are passed over here
_UNREAD_MODES = {3: "complex integers", 16: "colours", 101: "half-bytes"}


def read_mrc(path: Path) -> Stack:
    """Frames turned by the axis map; angles from the extended header; flags and history from an own .mdoc beside it."""
    header, extended, offset = read_header(path)
    dtype = mrcfile.utils.data_dtype_from_header(header)
    if dtype == np.int8 and int(header.nversion) < _VERSION_OF_SIGNED_BYTES:
        dtype = np.dtype(np.uint8)
    shape = tuple(map(int, mrcfile.utils.data_shape_from_header(header)))
    shape = (1, *shape) if len(shape) == 2 else shape
    stack = Stack(frames=RawFrames(path, offset, shape, dtype), kind="MRC file")
    _tell_of_more(stack, path, offset)
    _turn(stack, header)
    stack.stated_range = (float(header.dmin), float(header.dmax))
    stamp, flags = values(header, bytes(header.extra2)[40:48], "i4")
    if stamp == _IMOD_STAMP and dtype.itemsize == 1:
        stack.is_flagged_signed = bool(flags & 1)
    labels = b" ".join(header.label.ravel().tolist()).decode("latin-1")
    notes = None if _ROUNDED in labels else frame_notes(header, extended)
    if notes is not None:
        stack.tilt_deg, stack.angles_from = notes.tilt_deg, "the extended header"
    if int(header.ispg) != 0 and shape[0] > 1:
        stack.volume = f"its header names the space group {int(header.ispg)}"
    if path.suffix.lower() == ".rec":
        stack.volume = "the suffix .rec is that of reconstructed volumes"
    beside = path.with_name(path.name + ".mdoc")
    mdoc = read_mdoc(beside) if beside.is_file() else None
    _take_pixel_size(stack, edge_A(path, header), notes, mdoc or _other_mdoc(path))
    if mdoc is not None:
        _take_flags(stack, mdoc, path)
    if stack.metadata is None:
        _take_axis(stack, notes, " ".join([labels, *(mdoc.titles if mdoc else ())]), path)
    return stack


def _tell_of_more(stack: Stack, path: Path, offset: int) -> None:
    """A remark on bytes that the header does not know of: frames that were added without it, say."""
    frame = math.prod(stack.frames.shape[1:]) * stack.frames.dtype.itemsize
    more = path.stat().st_size - offset - stack.frames.shape[0] * frame
    if more > 0:
        what = f"{more // frame} more frames" if more % frame == 0 else f"{more} more bytes"
        stack.remarks += (f"The file holds {what} than its header says, which were not read.",)


def _turn(stack: Stack, header) -> None:
    """Turn frames to (z, y, x) if the axis map of the header says that they lie otherwise."""
    stored = [int(header[name]) for name in ("maps", "mapr", "mapc")]  # axes 1, 2, 3 are x, y, z
    if stored in ([3, 2, 1], [0, 0, 0]):
        return
    if sorted(stored) != [1, 2, 3]:
        stack.remarks += (f"The axis map {stored[::-1]} of the header makes no sense and was passed over.",)
        return
    stack.frames = TurnedFrames(stack.frames, tuple(stored.index(axis) for axis in (3, 2, 1)))
    lying = "".join("xyz"[axis - 1] for axis in reversed(stored))
    stack.remarks += (f"Columns, rows and sections lie along {', '.join(lying)} by the axis map; they were turned.",)


def _other_mdoc(path: Path) -> Mdoc | None:
    """The .mdoc that is named without the suffix of the stack, as SerialEM writes it for single frames."""
    other = path.with_suffix(".mdoc")
    try:
        return read_mdoc(other) if other.is_file() else None
    except TsgError:
        return None


def _take_pixel_size(stack: Stack, header_A: float | None, notes: FrameNotes | None, mdoc: Mdoc | None) -> None:
    noted_A, mdoc_A = notes and notes.pixel_size_A, mdoc and mdoc.pixel_size_A
    stated = [("the header", header_A), ("the extended header", noted_A), ("the .mdoc", mdoc_A)]
    find_pixel_size(stack, stated)
    if mdoc_A and stack.pixel_size_A and np.isclose(mdoc_A, stack.pixel_size_A, 1e-5):
        stack.pixel_size_A = mdoc_A  # to more digits than the header has
    doubtful = stack.pixel_size_A == 1.0 and not (mdoc is not None and mdoc.measured is not None)
    if doubtful:
        stack.remarks += (
            "The header states pixels of exactly 1 A, which software writes that knows no size; if so, give another.",
        )


def _take_axis(stack: Stack, notes: FrameNotes | None, titles: str, path: Path) -> None:
    """The direction of the tilt axis that the notes or a title state, from the vertical, as SerialEM writes it."""
    if title := re.search(r"Tilt axis (?:rotation )?angle = *(-?[\d.]+)", titles):
        stack.axis_deg, stack.axis_from = float(title[1]), "a title"
    elif notes is not None and notes.axis_deg is not None:
        stack.axis_deg, stack.axis_from = notes.axis_deg, "the extended header"
    if stack.axis_deg is None or path.suffix.lower() == ".ali":  # alignment turns the frames and keeps the label
        return
    if abs(math.sin(math.radians(stack.axis_deg))) > _UPRIGHT:
        stack.remarks += (
            f"{stack.axis_from[0].upper()}{stack.axis_from[1:]} states a tilt axis at {stack.axis_deg:g} deg from the "
            "vertical; the frames were not turned.",
        )


def _take_flags(stack: Stack, mdoc: Mdoc, path: Path) -> None:
    """Flags and history of a .mdoc that was written with the stack."""
    stack.measured = mdoc.measured
    if stack.measured is not None:
        if len(stack.measured) != stack.frames.shape[0]:
            raise TsgError(f"{mdoc.path} lists {len(stack.measured)} frames, {path} has {stack.frames.shape[0]}")
        stack.metadata = {"source_file": path.name, "history": mdoc.titles, "sources": {}}


def read_header(path: Path):
    """Header, extended header (bytes) and where the data begin; TsgError where the file is too short for them."""
    with readable(path):
        size = path.stat().st_size
        header = _parsed(path, size)
        if int(header.mode) in _UNREAD_MODES:
            kind = _UNREAD_MODES[int(header.mode)]
            raise TsgError(f"{path} holds {kind} (mode {int(header.mode)}), which no tilt series has")
        if not 0 <= int(header.nsymbt) <= size:
            raise ValueError("its header makes no sense")
        shape = mrcfile.utils.data_shape_from_header(header)
        itemsize = mrcfile.utils.data_dtype_from_header(header).itemsize
        offset = header.nbytes + int(header.nsymbt)
        wanted = offset + itemsize * math.prod(map(int, shape))
        if min(shape) < 1:
            raise ValueError(f"its header gives the shape {shape}")
        if size < wanted:  # the header of a foreign file may ask for more memory than there is
            raise ValueError(f"its header asks for {wanted} bytes, the file has {size}")
        return header, np.fromfile(path, np.uint8, int(header.nsymbt), offset=header.nbytes).tobytes(), offset


def _parsed(path: Path, size: int) -> np.recarray:
    """The header in the byte order in which it makes sense: that of its stamp, which old and careless software leaves
    empty or wrong, or else the other."""
    raw = np.fromfile(path, np.uint8, HEADER_DTYPE.itemsize)
    if len(raw) < HEADER_DTYPE.itemsize:
        raise ValueError(f"its header has {len(raw)} of {HEADER_DTYPE.itemsize} bytes")
    orders = "><" if raw[212] == 0x11 else "<>"
    headers = [raw.view(HEADER_DTYPE.newbyteorder(order)).reshape(()).view(np.recarray) for order in orders]
    return next((header for header in headers if _makes_sense(header, size)), headers[0])


def _makes_sense(header, size: int) -> bool:
    shape = [int(header[name]) for name in ("nz", "ny", "nx")]
    try:
        itemsize = mrcfile.utils.dtype_from_mode(int(header.mode)).itemsize
    except ValueError:
        return int(header.mode) in _UNREAD_MODES
    n_extended = int(header.nsymbt)
    return min(shape) > 0 and 0 <= n_extended and header.nbytes + n_extended + itemsize * math.prod(shape) <= size


def edge_A(path: Path, header) -> float | None:
    """Edge of the square pixels, to the header's single precision; None if the header leaves it empty."""
    counts = np.array([header.mx, header.my], float)
    edges_A = np.array([header.cella.x, header.cella.y], float)
    if (counts < 1).any() or not (edges_A > 0).all():
        return None
    x_A, y_A = edges_A / counts
    if not np.isclose(x_A, y_A, rtol=1e-3):
        raise TsgError(f"{path} has pixels of {x_A:g} x {y_A:g} A; only square ones can be used")
    return float(f"{x_A:.7g}")


def write_mrc(series: TiltSeries, path: Path) -> None:
    """Write the frames of a series, with the end of its history in the labels and rounded angles for other programs."""
    labels = series.history[-_N_LABELS + 2 :]
    write_data(series.frames, path, series.pixel_size_A, labels=(_ROUNDED, *labels), tilt_deg=series.tilt_deg)


def write_mdoc(series: TiltSeries, path: Path, *, stack: Path) -> None:
    path.write_text(mdoc_text(series, image_file=stack.name), encoding="utf-8")


class _FrugalMrcFile(MrcFile):
    """An MRC file that computes the statistics of its header section by section, without a copy of the data."""

    def update_header_stats(self) -> None:
        mean = np.mean([section.mean(dtype=np.float64) for section in self.data])
        variance = np.mean([((section - mean) ** 2).mean(dtype=np.float64) for section in self.data])
        header = self.header
        header.dmin, header.dmax, header.dmean, header.rms = self.data.min(), self.data.max(), mean, np.sqrt(variance)


def write_data(
    data: np.ndarray,
    path: Path,
    pixel_size_A: float,
    *,
    is_volume: bool = False,
    labels: Sequence[str] = (),
    tilt_deg: np.ndarray | None = None,
) -> None:
    with _FrugalMrcFile(path, mode="w+") as file:
        file.set_data(np.asarray(data, np.float32))
        file.set_volume() if is_volume else file.set_image_stack()
        file.voxel_size = pixel_size_A
        if tilt_deg is not None:
            _write_notes(file, tilt_deg)
        for label in labels:
            file.add_label(label.encode("ascii", "replace").decode()[:_LABEL_LENGTH])


def _write_notes(file: MrcFile, tilt_deg: np.ndarray) -> None:
    """Write the angles like SerialEM into an extended header, if they fit."""
    if np.abs(tilt_deg).max() > LARGEST_SERIALEM_deg:
        return
    notes, layout = serialem_notes(tilt_deg)
    file.set_extended_header(np.frombuffer(notes, "V1"))
    extra = bytearray(file.header.extra2.tobytes())
    extra[16:20] = np.array(layout, "i2").tobytes()
    file.header.extra2, file.header.exttyp = np.void(bytes(extra)), b"SERI"
