"""MRC files, also those of IMOD (.st, .ali, .rec), SerialEM and FEI or Thermo Fisher, and of before 2000."""

import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import mrcfile
import numpy as np
from mrcfile.mrcfile import MrcFile

from ..errors import TsgError
from ..files import readable
from ..tilt_series import TiltSeries
from .frames import RawFrames
from .mdoc import mdoc_text, read_mdoc
from .stack import Stack

SUFFIXES = (".mrc", ".st", ".ali", ".rec", ".mrcs")
_IMOD_STAMP = 1146047817
# bytes a frame that each bit of SerialEM's flags adds to the extended header; the tilt angle, bit 0, comes first
_SERIALEM_BYTES = {1: 2, 2: 6, 4: 4, 8: 2, 16: 2, 32: 4}
_OLD_FEI_RECORD = 128  # bytes a frame, 1024 frames, little used today
_UPRIGHT = math.sin(math.radians(5))
_NSYMBT_BYTE = 92  # where the header states the length of the extended one
_LABEL_LENGTH, _N_LABELS = 80, 10


def read_mrc(path: Path) -> Stack:
    """Frames as they lie in the file; angles of the extended header; flags and history of an own .mdoc beside it."""
    header, extended, offset = read_header(path)
    dtype = mrcfile.utils.data_dtype_from_header(header)
    if dtype.kind == "i" and dtype.itemsize == 1 and _imod(header)[0] == _IMOD_STAMP and not _imod(header)[1] & 1:
        dtype = np.dtype(np.uint8)  # bytes of IMOD are unsigned unless a flag says otherwise
    shape = tuple(map(int, mrcfile.utils.data_shape_from_header(header)))
    shape = (1, *shape) if len(shape) == 2 else shape
    stack = Stack(frames=RawFrames(path, offset, shape, dtype), kind="MRC file")
    stack.pixel_size_A = edge_A(path, header)
    _read_extended(stack, header, extended)
    if int(header.ispg) != 0 and shape[0] > 1:
        stack.volume = f"its header names the space group {int(header.ispg)}"
    if path.suffix.lower() == ".rec":
        stack.volume = "the suffix .rec is that of reconstructed volumes"
    titles = [b" ".join(header.label.ravel().tolist()).decode("latin-1"), *_read_mdoc_beside(stack, path)]
    if stack.metadata is None:
        stack.remarks += tuple(_doubts(stack, " ".join(titles), path))
    return stack


def _doubts(stack: Stack, titles: str, path: Path) -> Iterator[str]:
    """What the header and the .mdoc leave doubtful, for the history."""
    if stack.pixel_size_A == 1.0:
        yield "The header states pixels of exactly 1 A, which software writes that knows no size; if so, give another."
    stated = re.search(r"Tilt axis angle = *(-?[\d.]+)", titles)  # from the vertical, as SerialEM writes it
    if stated and path.suffix.lower() != ".ali" and abs(math.sin(math.radians(float(stated[1])))) > _UPRIGHT:
        yield f"A title states a tilt axis at {float(stated[1]):g} deg from the vertical; the frames were not turned."


def _read_extended(stack: Stack, header, extended: np.ndarray) -> None:
    n_frames = stack.frames.shape[0]
    names = extended.dtype.names or ()
    if "Alpha tilt" in names:  # FEI1, FEI2
        stack.tilt_deg = np.asarray(extended["Alpha tilt"][:n_frames], float)
        _take_pixel_size(stack, float(extended["Pixel size X"][0]) * 1e10)
        stack.angles_from = "the extended header"
        return
    raw = extended.tobytes()
    n_bytes, flags = _values(header, bytes(header.extra2)[16:20], "i2")
    if (n_bytes, flags) == (0, 32) and len(raw) >= n_frames * _OLD_FEI_RECORD:
        values = _values(header, raw, "f4").reshape(-1, _OLD_FEI_RECORD // 4)
        stack.tilt_deg, stack.angles_from = values[:n_frames, 0].astype(float), "the extended header"
        _take_pixel_size(stack, float(values[0, 11]) * 1e10)
    is_serialem = flags & 1 and n_bytes == sum(size for bit, size in _SERIALEM_BYTES.items() if flags & bit)
    if is_serialem and len(raw) >= n_frames * n_bytes:
        values = _values(header, raw[: n_frames * n_bytes], "i2")
        stack.tilt_deg, stack.angles_from = values.reshape(n_frames, -1)[:, 0] / 100, "the extended header"


def _take_pixel_size(stack: Stack, pixel_size_A: float) -> None:
    """That of the extended header where the header has none, or the 1 A which software writes that knows none."""
    if pixel_size_A > 0 and stack.pixel_size_A in (None, 1.0):
        stack.pixel_size_A = float(f"{pixel_size_A:.7g}")


def _read_mdoc_beside(stack: Stack, path: Path) -> tuple[str, ...]:
    """Pixel size of the stack's .mdoc; flags and history, too, where it was written with the stack. Returns its titles."""
    beside = path.with_name(path.name + ".mdoc")
    if not beside.is_file():
        return ()
    mdoc = read_mdoc(beside)
    if stack.pixel_size_A is None or (mdoc.pixel_size_A and np.isclose(mdoc.pixel_size_A, stack.pixel_size_A, 1e-5)):
        stack.pixel_size_A = mdoc.pixel_size_A
    stack.measured = mdoc.measured
    if stack.measured is not None:
        if len(stack.measured) != stack.frames.shape[0]:
            raise TsgError(f"{beside} lists {len(stack.measured)} frames, {path} has {stack.frames.shape[0]}")
        stack.metadata = {"source_file": path.name, "history": mdoc.titles}
    return mdoc.titles


def read_header(path: Path):
    """Header, extended header and where the data begin; TsgError where the file is too short for what it states."""
    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        _refuse_absurd(path)
        with mrcfile.open(path, header_only=True, permissive=True) as file:
            header = file.header
            is_fei = bytes(header.exttyp) in (b"FEI1", b"FEI2")
            extended = file.indexed_extended_header if is_fei else file.extended_header
        shape = mrcfile.utils.data_shape_from_header(header)
        itemsize = mrcfile.utils.data_dtype_from_header(header).itemsize
        offset = header.nbytes + int(header.nsymbt)
        size = offset + itemsize * math.prod(map(int, shape))
        if min(shape) < 1:
            raise ValueError(f"its header gives the shape {shape}")
        if path.stat().st_size < size:  # a foreign file's header may ask for more memory than there is
            raise ValueError(f"its header asks for {size} bytes, the file has {path.stat().st_size}")
        return header, extended, offset


def _refuse_absurd(path: Path) -> None:
    """Stop at a foreign file whose extended header, in either byte order, would be larger than the file."""
    stated = np.fromfile(path, "i4", count=1, offset=_NSYMBT_BYTE)
    size = path.stat().st_size
    if not len(stated) or not any(0 <= int(number[0]) <= size for number in (stated, stated.byteswap())):
        raise ValueError("its header makes no sense")


def edge_A(path: Path, header) -> float | None:
    """Edge of the square pixels, to the header's single precision; None where the header leaves it empty."""
    counts = np.array([header.mx, header.my], float)
    edges_A = np.array([header.cella.x, header.cella.y], float)
    if (counts < 1).any() or not (edges_A > 0).all():
        return None
    x_A, y_A = edges_A / counts
    if not np.isclose(x_A, y_A, rtol=1e-3):
        raise TsgError(f"{path} has pixels of {x_A:g} x {y_A:g} A; only square ones can be used")
    return float(f"{x_A:.7g}")


def _values(header, content: bytes, kind: str) -> np.ndarray:
    """Numbers in the file's byte order."""
    return np.frombuffer(content, np.dtype(kind).newbyteorder(header.dtype["mode"].byteorder))


def _imod(header) -> np.ndarray:
    """IMOD's stamp and its flags."""
    return _values(header, bytes(header.extra2)[40:48], "i4")


def write_mrc(series: TiltSeries, path: Path) -> None:
    """The frames of a series, with the end of its history in the labels."""
    write_data(series.frames, path, series.pixel_size_A, labels=series.history[-_N_LABELS + 1 :])


def write_mdoc(series: TiltSeries, path: Path, *, stack: Path) -> None:
    path.write_text(mdoc_text(series, image_file=stack.name), encoding="utf-8")


class _FrugalMrcFile(MrcFile):
    """An MRC file that finds the statistics of its header a section at a time, without a copy of the data."""

    def update_header_stats(self) -> None:
        mean = np.mean([section.mean(dtype=np.float64) for section in self.data])
        variance = np.mean([((section - mean) ** 2).mean(dtype=np.float64) for section in self.data])
        header = self.header
        header.dmin, header.dmax, header.dmean, header.rms = self.data.min(), self.data.max(), mean, np.sqrt(variance)


def write_data(data: np.ndarray, path: Path, pixel_size_A: float, *, is_volume: bool = False, labels=()) -> None:
    with _FrugalMrcFile(path, mode="w+") as file:
        file.set_data(np.asarray(data, np.float32))
        file.set_volume() if is_volume else file.set_image_stack()
        file.voxel_size = pixel_size_A
        for label in labels:
            file.add_label(label.encode("ascii", "replace").decode()[:_LABEL_LENGTH])
