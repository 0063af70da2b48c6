"""Extended headers of MRC files: what microscopes note about each frame.

Four layouts are known: FEI1 and FEI2 of Thermo Fisher, which name their fields; the older one of FEI, 1024 records of
128 bytes; the general one of Agard, integers and floats, the first of which is the tilt; and SerialEM's short integers.
https://bio3d.colorado.edu/imod/doc/mrc_format.txt and the appendix on metadata of the MRC2014 standard describe them.
"""

from dataclasses import dataclass

import mrcfile
import numpy as np

_FEI_TYPES = (b"FEI1", b"FEI2")
_AGARD_TYPES = (b"AGAR", b"MRCO", b"\0\0\0\0", b"    ")
_OLD_FEI = (0, 32)  # integers and floats of a record
_OLD_FEI_AXIS, _OLD_FEI_PIXEL = 10, 11
_LARGEST_RECORD = 128
# bytes a frame that each bit of SerialEM's flags adds; the tilt angle, bit 0, comes first
_SERIALEM_BYTES = {1: 2, 2: 6, 4: 4, 8: 2, 16: 2, 32: 4}
_SERIALEM_LAYOUT = (14, 1 | 4 | 8 | 16 | 32)  # bytes a frame, and its flags, as SerialEM 4 writes them
LARGEST_SERIALEM_deg = 327.0  # hundredths of a degree in 16 bits
_METRE_A = 1e10


@dataclass(frozen=True, kw_only=True)
class FrameNotes:
    """Notes on the frames: `tilt_deg` of every filled record, and what the first record says about all frames.

    axis_deg  direction of the tilt axis from the vertical
    """

    layout: str
    tilt_deg: np.ndarray
    pixel_size_A: float | None = None
    axis_deg: float | None = None


def frame_notes(header, extended: bytes) -> FrameNotes | None:
    """The notes of an extended header; None if there are none, or if they have no angles."""
    kind = bytes(header.exttyp).ljust(4, b"\0")
    if kind in _FEI_TYPES:
        return _of_fei(header, extended, kind)
    first, second = (int(number) for number in values(header, bytes(header.extra2)[16:20], "i2"))
    n_frames = int(header.nz)
    is_serialem = second & 1 and first == sum(size for bit, size in _SERIALEM_BYTES.items() if second & bit)
    if is_serialem and kind not in (b"AGAR", b"MRCO"):
        if len(extended) < first * n_frames:
            return None
        records = values(header, extended[: len(extended) // first * first], "i2").reshape(-1, first // 2)
        return FrameNotes(layout="SerialEM", tilt_deg=_filled(records, n_frames)[:, 0] / 100)
    size = 4 * (first + second)
    is_agard = kind in _AGARD_TYPES and first >= 0 and 0 < second and first + second <= _LARGEST_RECORD
    if is_agard and len(extended) >= size * n_frames:
        return _of_agard(header, extended, first, second)
    return None


def serialem_notes(tilt_deg: np.ndarray) -> tuple[bytes, tuple[int, int]]:
    """The angles, rounded to hundredths of a degree, as SerialEM notes them, and what describes their layout."""
    records = np.zeros((len(tilt_deg), _SERIALEM_LAYOUT[0] // 2), np.int16)
    records[:, 0] = np.round(100 * tilt_deg)
    return records.tobytes(), _SERIALEM_LAYOUT


def _of_fei(header, extended: bytes, kind: bytes) -> FrameNotes | None:
    dtype = mrcfile.dtypes.get_ext_header_dtype(kind, header.mode.dtype.byteorder)
    if len(extended) < dtype.itemsize:
        return None
    records = np.frombuffer(extended[: len(extended) // dtype.itemsize * dtype.itemsize], dtype)
    records = records[: _n_filled(records)]
    if not len(records) or records["Metadata size"][0] != dtype.itemsize:
        return None
    first = records[0]
    return FrameNotes(
        layout=kind.decode(),
        tilt_deg=records["Alpha tilt"].astype(float),
        pixel_size_A=_length_A(float(first["Pixel size X"])),
        axis_deg=float(first["Tilt axis angle"]) or None,
    )


def _of_agard(header, extended: bytes, n_integers: int, n_floats: int) -> FrameNotes:
    n_numbers = n_integers + n_floats
    records = values(header, extended[: len(extended) // (4 * n_numbers) * 4 * n_numbers], "f4").reshape(-1, n_numbers)
    floats = _filled(records[:, n_integers:], int(header.nz))
    has_all = n_floats > _OLD_FEI_PIXEL
    axis_deg = float(floats[0, _OLD_FEI_AXIS]) if has_all else 0.0
    return FrameNotes(
        layout="FEI" if (n_integers, n_floats) == _OLD_FEI else "Agard",
        tilt_deg=floats[:, 0].astype(float),
        pixel_size_A=_length_A(float(floats[0, _OLD_FEI_PIXEL])) if has_all else None,
        axis_deg=axis_deg if 0 < abs(axis_deg) <= 360 else None,
    )


def _filled(records: np.ndarray, n_frames: int) -> np.ndarray:
    """The records that are not empty. If records hold only angles, an empty last one states 0 degrees and counts."""
    n_filled = _n_filled(records)
    are_bare = not records[:n_filled, 1:].any()
    return records[:n_frames] if are_bare and n_filled in (0, n_frames - 1) else records[:n_filled]


def _n_filled(records: np.ndarray) -> int:
    """Records up to the last one that is not empty."""
    filled = [any(record.tobytes()) for record in records]
    return len(filled) - filled[::-1].index(True) if any(filled) else 0


def _length_A(metres: float) -> float | None:
    return float(f"{metres * _METRE_A:.7g}") if np.isfinite(metres) and metres > 0 else None


def values(header, content: bytes, kind: str) -> np.ndarray:
    """Numbers in the file's byte order."""
    return np.frombuffer(content, np.dtype(kind).newbyteorder(header.dtype["mode"].byteorder))
