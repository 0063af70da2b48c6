"""Small files of microscopes' formats that no library writes, byte by byte: Digital Micrograph and Velox."""

import json
import struct
from pathlib import Path

import h5py
import numpy as np

_DM_TYPES = {"int16": (1, 2), "float32": (2, 6), "int32": (7, 3), "uint16": (10, 4), "float64": (12, 7)}


def write_dm(path: Path, data: np.ndarray, *, axes: list[tuple[float, float, str]], tags: dict | None = None) -> Path:
    """A DM3 or DM4 file, by its suffix: an image of one group, with (origin, scale, unit) of x, y and z, and tags."""
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
    brightness = {"Origin": 0.0, "Scale": 1.0, "Units": ""}
    image = {
        "ImageData": {
            "Calibrations": {"Brightness": brightness, "Dimension": numbered(calibrations)},
            "Data": np.ascontiguousarray(data).ravel(),
            "DataType": _DM_TYPES[data.dtype.name][0],
            "Dimensions": numbered(data.shape[::-1]),
            "PixelDepth": data.dtype.itemsize,
        },
        "ImageTags": tags or {},
        "Name": path.stem,
    }
    root = group({"ImageList": numbered([image])})
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
