"""Broken and hostile files, made byte by byte: archives that expand, headers that claim much, code in pickles."""

import json
import pickle
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import tifffile
from microscope_files import write_dm, write_mrc, write_velox

from tsg_core.formats import write_volume
from tsg_core.tilt_series import TiltSeries

FRAMES = np.random.default_rng(0).random((5, 8, 8), dtype=np.float32)
TILT_deg = np.arange(-20.0, 21.0, 10.0)
EXECUTED = "executed"  # the file that appears where a payload was run
_MANY_GB = 6 * 2**30


def series_file(folder: Path, suffix: str) -> Path:
    """A good series with its angles in it or beside it, in any format that is read."""
    path = folder / f"in{suffix}"
    nm = (0.0, 0.2, "nm")
    if suffix in (".dm3", ".dm4"):
        return write_dm(path, FRAMES, axes=[nm, nm, (-20.0, 10.0, "deg")])
    if suffix == ".emd":
        return write_velox(path, {"HAADF": FRAMES}, tilt_deg=TILT_deg, pixel_size_m=2e-10)
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("frames", data=FRAMES, chunks=(1, 8, 8), compression="gzip")
            file["tilts"] = TILT_deg
        return path
    if suffix == ".npy":
        np.save(path, FRAMES)
        path.with_suffix(".rawtlt").write_text("".join(f"{angle}\n" for angle in TILT_deg))
        return path
    series = TiltSeries(FRAMES, TILT_deg, 2.0)
    if suffix == ".zspy in a zip":
        stored = series.write(folder / "folder.zspy")
        archive = shutil.make_archive(str(folder / "packed"), "zip", stored)
        shutil.rmtree(stored)
        return Path(archive).rename(folder / "in.zspy")
    return series.write(path)


def truncated(path: Path, share: float) -> Path:
    """The first part of a file; in a folder, of its largest file."""
    largest = max((p for p in (path, *path.rglob("*")) if p.is_file()), key=lambda p: p.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: int(share * len(content))])
    return path


class _Payload:
    """An object that writes the file EXECUTED when it is unpickled."""

    def __init__(self, folder: Path):
        self.target = str(folder / EXECUTED)

    def __reduce__(self):
        return open, (self.target, "w")


def pickled(path: Path) -> Path:
    path.write_bytes(pickle.dumps(_Payload(path.parent)))
    return path


def bundle(path: Path) -> Path:
    """A trajectory of ASE in a folder, whose description is a pickle."""
    path.mkdir()
    (path / "metadata").write_bytes(pickle.dumps(_Payload(path.parent)))
    (path / "frames").write_text("1")
    (path / "F0").mkdir()
    return path


def npz(path: Path, **changed) -> Path:
    """An archive like those of ours, with some arrays changed."""
    arrays = {"frames": FRAMES, "tilt_deg": TILT_deg, "pixel_size_A": 2.0, "measured": np.ones(5, bool)}
    np.savez(path, **arrays | changed)
    return path


def npy_header(shape, dtype: str = "<f4") -> bytes:
    text = str({"descr": dtype, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def bomb(path: Path, name: str, header: bytes = b"", *, beside: Path | None = None) -> Path:
    """An archive whose member `name` is some megabytes of deflated zeros that expand to 6 GB; `beside` gives others."""
    block = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = block.compress(header) + block.flush(zlib.Z_FULL_FLUSH)
    zeros = block.compress(bytes(2**24)) + block.flush(zlib.Z_FULL_FLUSH)  # stands by itself, so it may be repeated
    n = _MANY_GB // 2**24
    with zipfile.ZipFile(path, "w") as archive:
        for other in sorted(p for p in beside.rglob("*") if p.is_file()) if beside else ():
            archive.write(other, other.relative_to(beside))
        archive.writestr(name, start + n * zeros + block.flush())
        info = archive.getinfo(name)
        info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, len(header) + n * 2**24
    return path


def frames_bomb(path: Path) -> Path:
    return bomb(path, "frames.npy", npy_header((5, _MANY_GB // 20, 1)), beside=_own_arrays(path.parent))


def metadata_bomb(path: Path) -> Path:
    return bomb(path, "metadata.npy", npy_header((), f"<U{_MANY_GB // 4}"), beside=_own_arrays(path.parent, "frames"))


def _own_arrays(folder: Path, *more: str) -> Path:
    place = folder / "arrays"
    place.mkdir()
    for name, array in {"tilt_deg": TILT_deg, "pixel_size_A": np.float64(2), "frames": FRAMES}.items():
        if name != "frames" or more:
            np.save(place / f"{name}.npy", array)
    return place


def zspy_bomb(path: Path) -> Path:
    folder = TiltSeries(FRAMES, TILT_deg, 2.0).write(path.parent / "folder.zspy")
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.unlink()
    return bomb(path, largest.relative_to(folder).as_posix(), beside=folder)


def claiming_mrc(path: Path, *, n_extended: int = 0, **counts: int) -> Path:
    write_mrc(path, FRAMES)
    content = bytearray(path.read_bytes())
    for name, at in (("nx", 0), ("ny", 4), ("nz", 8)):
        content[at : at + 4] = struct.pack("<i", counts.get(name, 8))
    content[92:96] = struct.pack("<i", n_extended)
    path.write_bytes(content)
    return path


def claiming_tiff(path: Path, *, compression: str | None) -> Path:
    """Pages of 2^31 pixels along each edge, with the data of 8 x 8."""
    tifffile.imwrite(path, FRAMES, photometric="minisblack", compression=compression, metadata=None)
    path.with_suffix(".rawtlt").write_text("".join(f"{angle}\n" for angle in TILT_deg))
    with tifffile.TiffFile(path) as file:
        places = [tag.valueoffset for page in file.pages for name in ("ImageWidth", "ImageLength", "RowsPerStrip")
                  for tag in [page.tags[name]]]  # fmt: skip
        kinds = [tag.dtype for page in file.pages for name in ("ImageWidth", "ImageLength", "RowsPerStrip")
                 for tag in [page.tags[name]]]  # fmt: skip
    content = bytearray(path.read_bytes())
    for place, kind in zip(places, kinds, strict=True):
        size, value = ("<H", 2**16 - 1) if kind == 3 else ("<I", 2**31 - 1)
        content[place : place + struct.calcsize(size)] = struct.pack(size, value)
    path.write_bytes(content)
    return path


def looping_tiff(path: Path) -> Path:
    """The last page names the first one as the next."""
    tifffile.imwrite(path, FRAMES, photometric="minisblack", metadata=None)
    path.with_suffix(".rawtlt").write_text("".join(f"{angle}\n" for angle in TILT_deg))
    with tifffile.TiffFile(path) as file:
        last, first = file.pages[-1], file.pages[0].offset
    content = bytearray(path.read_bytes())
    place = last.offset + 2 + 12 * len(last.tags)
    content[place : place + 4] = struct.pack("<I", first)
    path.write_bytes(content)
    return path


def claiming_h5(path: Path, *, shape=(1_000_000, 100_000, 100_000), n_angles: int | None = None) -> Path:
    """A stack of which nothing was ever written."""
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", shape, "f4", chunks=tuple(min(n, 1000) for n in (1, *shape[1:])))
        file.create_dataset("tilts", (shape[0] if n_angles is None else n_angles,), "f8", chunks=(5,))
    return path


def claiming_velox(path: Path) -> Path:
    write_velox(path, {"HAADF": FRAMES}, tilt_deg=TILT_deg, pixel_size_m=2e-10)
    with h5py.File(path, "a") as file:
        (group,) = file["Data/Image"].values()
        del group["Data"]
        group.create_dataset("Data", (200_000, 200_000, 5), "f4", chunks=(1000, 1000, 1))
    return path


def claiming_hspy(path: Path) -> Path:
    TiltSeries(FRAMES, TILT_deg, 2.0).write(path)
    with h5py.File(path, "a") as file:
        (group,) = file["Experiments"].values()
        del group["data"]
        group.create_dataset("data", (5, 400_000, 400_000), "f4", chunks=(1, 1000, 1000))
    return path


def claiming_zarr(path: Path, *, chunk) -> Path:
    TiltSeries(FRAMES, TILT_deg, 2.0).write(path)
    description = path / "frames" / "zarr.json"
    content = json.loads(description.read_text())
    content["shape"] = [5, 400_000, 400_000]
    content["chunk_grid"]["configuration"]["chunk_shape"] = list(chunk)
    description.write_text(json.dumps(content))
    return path


def claiming_volume(path: Path) -> Path:
    """A volume of terabytes, of which nothing, or one chunk, was ever written."""
    write_volume(FRAMES, path, voxel_size_A=2.0)
    n = 40_000
    if path.suffix == ".zarr":
        description = path / "0" / "zarr.json"
        content = json.loads(description.read_text())
        content["shape"] = content["chunk_grid"]["configuration"]["chunk_shape"] = [n, n, n]
        description.write_text(json.dumps(content))
    else:
        with h5py.File(path, "a") as file:
            del file["data/tomography/data"]
            file["data/tomography"].create_dataset("data", (n, n, n), "f4", chunks=(1000, 1000, 1000))
    return path


def claiming_dm(path: Path) -> Path:
    """The data array says that it has 2^31 - 1 members."""
    write_dm(path, FRAMES, axes=[(0.0, 0.2, "nm")] * 2 + [(-20.0, 10.0, "deg")])
    content = path.read_bytes()
    size = struct.pack(">l" if path.suffix == ".dm3" else ">q", FRAMES.size)
    at = content.rindex(size, 0, content.index(FRAMES.tobytes()))
    path.write_bytes(
        content[:at] + size.replace(struct.pack(">l", FRAMES.size), b"\x7f\xff\xff\xff") + content[at + len(size) :]
    )
    return path


def safetensors(path: Path, *, tensors: dict | None = None, metadata: dict | None = None, length: int | None = None):
    """A file with a header as it is wanted; `tensors` maps names to arrays."""
    tensors, header, data = tensors or {}, {}, b""
    for name, array in tensors.items():
        array = np.asarray(array, np.float32)
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    if metadata is not None:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path
