"""Small files that no library writes, byte by byte: MRC of all kinds, Digital Micrograph, Velox."""

import json
import struct
from pathlib import Path

import h5py
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE, get_ext_header_dtype

_DM_TYPES = {"int16": (1, 2), "float32": (2, 6), "int32": (7, 3), "uint16": (10, 4), "float64": (12, 7)}


_MRC_MODES = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}


def write_mrc(
    path: Path,
    frames: np.ndarray,
    *,
    mode: int | None = None,
    order: str = "<",
    extended: bytes = b"",
    kind: bytes = b"",
    layout: tuple[int, int] = (0, 0),
    imod_flags: int | None = None,
    pixel_size_A: float = 2.0,
    axes: tuple[int, int, int] = (1, 2, 3),
    stated: tuple[float, float] = (0, -1),
    labels: tuple[str, ...] = (),
    is_stamped: bool = True,
    version: int = 0,
) -> Path:
    """An MRC file with every part of its header as it is wanted.

    frames  as they lie in the file, (sections, rows, columns); `axes` says which of x, y, z (1, 2, 3) columns, rows
            and sections lie along
    layout  the two numbers that describe a record of the extended header: its bytes and SerialEM's flags, or its
            integers and floats
    stated  least and greatest number; the first above the second says that they were not counted
    """
    header = np.zeros((), HEADER_DTYPE.newbyteorder(order))
    header["nz"], header["ny"], header["nx"] = frames.shape
    lengths = dict(zip(axes, frames.shape[::-1], strict=True))
    for axis, name in enumerate("xyz", start=1):
        header[f"m{name}"], header["cella"][name] = lengths[axis], lengths[axis] * pixel_size_A
    header["mode"] = _MRC_MODES[frames.dtype.str[1:]] if mode is None else mode
    header["mapc"], header["mapr"], header["maps"] = axes
    header["nsymbt"], header["exttyp"] = len(extended), kind
    header["dmin"], header["dmax"], header["dmean"], header["rms"] = *stated, float(min(stated)) - 1, -1
    extra = bytearray(header["extra2"].tobytes())
    extra[16:20] = np.array(layout, f"{order}i2").tobytes()
    if imod_flags is not None:
        extra[40:48] = np.array([1146047817, imod_flags], f"{order}i4").tobytes()
    header["extra2"] = np.void(bytes(extra))
    if is_stamped:
        header["map"], header["machst"] = b"MAP ", [0x44, 0x44, 0, 0] if order == "<" else [0x11, 0x11, 0, 0]
    header["nlabl"], header["nversion"] = len(labels), version
    header["label"][: len(labels)] = [label.encode() for label in labels]
    path.write_bytes(header.tobytes() + extended + frames.astype(frames.dtype.newbyteorder(order)).tobytes())
    return path


def serialem_records(tilt_deg, *, order: str = "<") -> tuple[bytes, tuple[int, int]]:
    """Extended header of SerialEM, seven short integers a frame, hundredths of a degree first; and its layout."""
    values = np.full((len(tilt_deg), 7), 3, f"{order}i2")
    values[:, 0] = np.round(np.multiply(tilt_deg, 100))
    return values.tobytes(), (14, 1 | 4 | 8 | 16 | 32)


def float_records(
    tilt_deg,
    *,
    order: str = "<",
    n_integers: int = 0,
    n_floats: int = 32,
    n_records: int = 1024,
    pixel_size_m: float = 0.0,
    axis_deg: float = 0.0,
) -> tuple[bytes, tuple[int, int]]:
    """Extended header of FEI before 2010 (32 floats), or of Agard's general layout: the tilt is the first float."""
    records = np.zeros((max(n_records, len(tilt_deg)), n_integers + n_floats), f"{order}f4")
    records[: len(tilt_deg), n_integers] = tilt_deg
    if n_floats > 11:
        filled = records[: len(tilt_deg), n_integers:]
        filled[:, 9], filled[:, 10], filled[:, 11] = 1000, axis_deg, pixel_size_m
    return records.tobytes(), (n_integers, n_floats)


def fei_records(
    tilt_deg, *, kind: bytes = b"FEI1", order: str = "<", pixel_size_m: float = 0.0, axis_deg: float = 0.0
) -> bytes:
    """Extended header FEI1 or FEI2."""
    records = np.zeros(len(tilt_deg), get_ext_header_dtype(kind, order))
    records["Metadata size"], records["Alpha tilt"] = records.dtype.itemsize, tilt_deg
    records["Pixel size X"] = records["Pixel size Y"] = pixel_size_m
    records["Tilt axis angle"] = axis_deg
    return records.tobytes()


def write_dm(
    path: Path,
    *data: np.ndarray,
    axes: list[tuple[float, float, str]],
    tags: dict | None = None,
    brightness: tuple[float, float] = (0.0, 1.0),
) -> Path:
    """A DM3 or DM4 file, by its suffix: images with the same (origin, scale, unit) of x, y and z, and tags.

    brightness  origin and scale of the numbers
    """
    is_dm4 = path.suffix == ".dm4"
    length = "q" if is_dm4 else "l"

    def number(value: int) -> bytes:
        return struct.pack(f">{length}", value)

    def group(content: dict) -> bytes:
        body = b"".join(tag(name, value) for name, value in content.items())
        return b"\1\0" + (number(len(body)) if is_dm4 else b"") + number(len(content)) + body

    def tag(name: str, value) -> bytes:
        name = "" if name.startswith("#") else name  # members of a list have none
        is_group = isinstance(value, dict)
        body = group(value) if is_group else leaf(value)
        size = number(len(body)) if is_dm4 and not is_group else b""  # a group states it behind its two flags
        return bytes([20 if is_group else 21]) + struct.pack(">h", len(name)) + name.encode() + size + body

    def leaf(value) -> bytes:
        if isinstance(value, np.ndarray):
            code = _DM_TYPES[value.dtype.name][1]
            return b"%%%%" + b"".join(map(number, (3, 20, code, value.size))) + value.tobytes()
        if isinstance(value, str):
            text = value.encode("utf-16-le")
            return b"%%%%" + b"".join(map(number, (3, 20, 4, len(value)))) + text
        if isinstance(value, float):
            return b"%%%%" + number(1) + number(7) + struct.pack("<d", value)
        return b"%%%%" + number(1) + number(5) + struct.pack("<L", value)

    def numbered(items) -> dict:
        return {f"#{i}": item for i, item in enumerate(items)}

    calibrations = [{"Origin": origin, "Scale": scale, "Units": unit} for origin, scale, unit in axes]
    origin, scale = brightness
    images = [
        {
            "ImageData": {
                "Calibrations": {
                    "Brightness": {"Origin": origin, "Scale": scale, "Units": ""},
                    "Dimension": numbered(calibrations),
                },
                "Data": np.ascontiguousarray(image).ravel(),
                "DataType": _DM_TYPES[image.dtype.name][0],
                "Dimensions": numbered(image.shape[::-1]),
                "PixelDepth": image.dtype.itemsize,
            },
            "ImageTags": tags or {},
            "Name": path.stem,
        }
        for image in data
    ]
    root = group({"ImageList": numbered(images)})
    if is_dm4:  # the outermost group does not state its length
        root = root[:2] + root[10:]
    path.write_bytes(struct.pack(">l", 4 if is_dm4 else 3) + number(len(root)) + struct.pack(">l", 1) + root)
    return path


def write_velox(path: Path, images: dict[str, np.ndarray], *, tilt_deg, pixel_size_m: float) -> Path:
    """An EMD file of Velox: detectors' images (n, n_y, n_x), with the stage's angle, in radians, at every frame."""

    def note(alpha_deg: float, detector: int) -> bytes:
        return json.dumps(
            {
                "BinaryResult": {
                    "PixelSize": {"width": str(pixel_size_m), "height": str(pixel_size_m)},
                    "PixelUnitX": "m",
                    "DetectorIndex": str(detector),
                },
                "Detectors": {f"Detector-{i}": {"DetectorName": name} for i, name in enumerate(images)},
                "Scan": {"FrameTime": "1.0"},
                "Stage": {"AlphaTilt": str(np.radians(alpha_deg))},
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1500000000"}},
            }
        ).encode()

    with h5py.File(path, "w") as file:
        file["Version"] = np.array([json.dumps({"format": "Velox", "version": "11"}).encode()])
        for i, frames in enumerate(images.values()):
            group = file.create_group(f"Data/Image/{i:032x}")
            group.create_dataset("Data", data=frames.transpose(1, 2, 0), chunks=(*frames.shape[1:], 1))
            notes = [note(angle, i).ljust(2000, b"\0") for angle in np.resize(tilt_deg, len(frames))]
            group["Metadata"] = np.array([list(text) for text in notes], np.uint8).T
        for name in ("Displays", "SharedProperties", "Features"):
            file.create_group(name)
    return path
