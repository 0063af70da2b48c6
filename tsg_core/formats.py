"""Tilt series and volumes as files; the suffix names the format.

A series is a stack of frames (n_tilt, n_y, n_x), the row index running along the tilt axis y. Stacks whose tilt axis
lies elsewhere must be turned first (`newstack -rotate` in IMOD, or np.rot90). A positive tilt moves what lies nearer to
the electron source (larger z) to larger x; where a microscope counts the other way, change the sign of the angles, or
the volume is its mirror image.

suffix                  frames              tilt angles                                pixel size
.npz, .zarr             float32, lossless   inside                                     inside
.mrc, .st, .ali, .rec   modes 0, 1, 2, 6,   FEI extended header, or a text file         header
                        12 of MRC2014
.tif, .tiff             grey-level pages    inside (own files), or a text file          inside (own and ImageJ files)

The text file is given by `tilts` or lies beside the stack under the same name: .rawtlt or .tlt (one angle a line, in
degrees), or .mdoc (SerialEM).
"""

import dataclasses
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import tifffile
import zarr

from .errors import TsgError
from .files import existing, readable, replaced_when_whole
from .tilt_series import TiltSeries

MRC_SUFFIXES = (".mrc", ".st", ".ali", ".rec")
TIFF_SUFFIXES = (".tif", ".tiff")
_ZARR_CHUNK_BYTES = 4 * 2**20
_LENGTH_UNITS_A = {"A": 1.0, "angstrom": 1.0, "\u00c5": 1.0, "nm": 10.0, "um": 1e4, "\u00b5m": 1e4, "micron": 1e4}


@dataclasses.dataclass(kw_only=True)
class _Stack:
    """What a file holds, before angles are looked for and checked. None: the file does not say."""

    frames: np.ndarray
    tilt_deg: np.ndarray | None = None
    pixel_size_A: float | None = None
    measured: np.ndarray | None = None
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)


def read_series(
    path: str | Path, *, tilts: str | Path | None = None, pixel_size_A: float | None = None
) -> TiltSeries:
    """The tilt series in a file; integer frames become float32 with the same values.

    `tilts` (a text file of angles in degrees) and `pixel_size_A` take precedence over what the file says. Frames are
    sorted by angle. Raises TsgError for a missing, truncated or foreign file, an unknown suffix, angles that are
    nowhere to be found, repeat, are radians or do not match the frame count, and a pixel size that is nowhere stated.
    """
    path = existing(path)
    stack = _read_stack(path)
    if stack.frames.ndim != 3:
        raise TsgError(f"{path} holds an array of shape {stack.frames.shape}; a tilt series is (n_tilt, n_y, n_x)")
    tilt_deg, source = _find_angles(path, stack, tilts)
    _check_angles(tilt_deg, len(stack.frames), source)
    pixel_size_A = stack.pixel_size_A if pixel_size_A is None else pixel_size_A
    if pixel_size_A is None:
        raise TsgError(f"{path} does not state its pixel size; give it as pixel_size_A")
    order = np.argsort(tilt_deg, kind="stable")
    if (order == np.arange(len(order))).all():
        order = slice(None)  # no copy of the frames
    measured = None if stack.measured is None else stack.measured[order]
    try:
        return TiltSeries(stack.frames[order], tilt_deg[order], pixel_size_A, measured, stack.metadata)
    except TsgError as error:
        raise TsgError(f"{path}: {error}") from None


def write_series(series: TiltSeries, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a series whole or not at all, in the format that the suffix names; MRC and TIFF get a .rawtlt beside.

    .npz and .zarr keep everything (metadata as JSON, so tuples return as lists); TIFF keeps all but the metadata; MRC
    keeps frames, angles and the pixel size. Raises TsgError where the file exists (unless `overwrite`), the folder does
    not, or the disk is full.
    """
    path = Path(path)
    write = _writer(_SERIES_WRITERS, path)
    if path.suffix.lower() not in MRC_SUFFIXES + TIFF_SUFFIXES:
        with replaced_when_whole(path, overwrite=overwrite) as (partial,):
            write(series, partial)
        return path
    # the stack last: once it stands, its angles do too
    with replaced_when_whole(path.with_suffix(".rawtlt"), path, overwrite=overwrite) as (angles, partial):
        angles.write_text("".join(f"{angle!r}\n" for angle in series.tilt_deg.tolist()))
        write(series, partial)
    return path


def read_volume(path: str | Path) -> tuple[np.ndarray, float]:
    """A volume (n_y, n_z, n_x) float32 and the edge of its cubic voxels in angstrom, from .mrc (.rec) or .npz.

    MRC files hold (z, y, x) as viewers expect; the axes are turned here, following the header's axis map.
    """
    path = existing(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with readable(path), np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays["volume"], np.float32), float(arrays["voxel_size_A"])
    if suffix not in MRC_SUFFIXES:
        raise _unknown_suffix(path, (".npz", *MRC_SUFFIXES))
    header, _, data = _read_mrc_file(path)
    if data.ndim != 3:
        raise TsgError(f"{path} holds an array of shape {data.shape}, not a volume")
    axis_of_dimension = [int(header[name]) or default for name, default in (("maps", 3), ("mapr", 2), ("mapc", 1))]
    if sorted(axis_of_dimension) != [1, 2, 3]:
        raise TsgError(f"{path} has the axis map {axis_of_dimension}, which names an axis twice")
    volume = data.transpose([axis_of_dimension.index(axis) for axis in (2, 3, 1)])
    return np.ascontiguousarray(volume, np.float32), _voxel_size_A(path, header)


def write_volume(volume: np.ndarray, path: str | Path, *, voxel_size_A: float, overwrite: bool = False) -> Path:
    """Write a volume (n_y, n_z, n_x) as .mrc or .rec (axes z, y, x in the file; voxel size in the header) or .npz."""
    path, volume = Path(path), np.asarray(volume, np.float32)
    if volume.ndim != 3:
        raise TsgError(f"a volume of shape {volume.shape} must have the axes (n_y, n_z, n_x)")
    suffix = path.suffix.lower()
    if suffix != ".npz" and suffix not in MRC_SUFFIXES:
        raise _unknown_suffix(path, (".npz", *MRC_SUFFIXES))
    with replaced_when_whole(path, overwrite=overwrite) as (partial,):
        if suffix == ".npz":
            np.savez(partial, volume=volume, voxel_size_A=voxel_size_A)
        else:
            _write_mrc_file(np.ascontiguousarray(volume.transpose(1, 0, 2)), partial, voxel_size_A, is_volume=True)
    return path


# --- tilt angles -------------------------------------------------------------------------------------------------


def read_angles(path: str | Path) -> np.ndarray:
    """Tilt angles in degrees, in file order, from a text file with one a line (# starts a comment) or a .mdoc."""
    path = existing(path)
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        raise TsgError(f"{path} is not a text file of tilt angles") from None
    if path.suffix.lower() == ".mdoc":
        return np.array(re.findall(r"^\s*TiltAngle\s*=\s*(\S+)\s*$", text, re.MULTILINE), float)
    angles = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("#")[0].strip().rstrip(",")
        if line:
            try:
                angles.append(float(line))
            except ValueError:
                raise TsgError(f"{path}, line {number}: {line!r} is not a tilt angle in degrees") from None
    return np.array(angles)


def _find_angles(path: Path, stack: _Stack, tilts: str | Path | None) -> tuple[np.ndarray, str]:
    """The angles and where they were found."""
    if tilts is not None:
        return read_angles(tilts), str(tilts)
    if stack.tilt_deg is not None:
        return np.asarray(stack.tilt_deg, float), str(path)
    plain = [path.with_suffix(".rawtlt"), path.with_suffix(".tlt")]
    if path.suffix.lower() == ".ali":  # aligned stacks go with the refined angles
        plain.reverse()
    candidates = [*plain, path.with_name(path.name + ".mdoc"), path.with_suffix(".mdoc")]
    for candidate in candidates:
        if candidate.is_file():
            return read_angles(candidate), str(candidate)
    names = ", ".join(candidate.name for candidate in candidates)
    raise TsgError(
        f"{path} comes without tilt angles: none in the file, and beside it none of {names}; name a file by tilts"
    )


def _check_angles(tilt_deg: np.ndarray, n_frames: int, source: str) -> None:
    if len(tilt_deg) != n_frames:
        raise TsgError(f"{source} gives {len(tilt_deg)} tilt angles for {n_frames} frames")
    if not np.isfinite(tilt_deg).all() or (np.abs(tilt_deg) > 180).any():
        wrong = tilt_deg[~(np.abs(tilt_deg) <= 180)][0]
        raise TsgError(f"{source} holds the tilt angle {wrong:g}, which is not an angle in degrees")
    ascending = np.sort(tilt_deg)
    steps = np.diff(ascending)
    if (steps == 0).any():
        raise TsgError(f"{source} holds the tilt angle {ascending[np.argmin(steps)]:g} deg more than once")
    span = ascending[-1] - ascending[0]
    if len(tilt_deg) > 2 and 0.5 < span <= np.pi + 1e-3 and np.median(steps) < 0.5:
        raise TsgError(
            f"{source} holds angles from {ascending[0]:g} to {ascending[-1]:g}, which look like radians; "
            "write them in degrees"
        )


# --- formats -----------------------------------------------------------------------------------------------------


def _read_stack(path: Path) -> _Stack:
    suffix = path.suffix.lower()
    if suffix not in _SERIES_READERS:
        raise _unknown_suffix(path, _SERIES_READERS)
    return _SERIES_READERS[suffix](path)


def _read_npz(path: Path) -> _Stack:
    with readable(path), np.load(path, allow_pickle=False) as arrays:
        return _own_stack(arrays, json.loads(str(arrays["metadata"])))


def _write_npz(series: TiltSeries, path: Path) -> None:
    np.savez(path, **_own_arrays(series), metadata=_to_json(series.metadata))


def _read_zarr(path: Path) -> _Stack:
    with readable(path):
        group = zarr.open_group(path, mode="r")
        incomplete = [name for name, array in group.arrays() if array.nchunks_initialized < array.nchunks]
        if incomplete:  # zarr itself would read zeros in their place
            raise ValueError(f"chunks of {', '.join(sorted(incomplete))} are missing")
        arrays = {name: array[...] for name, array in group.arrays()}
        return _own_stack(arrays, json.loads(group.attrs["metadata"]))


def _write_zarr(series: TiltSeries, path: Path) -> None:
    group = zarr.create_group(path, attributes={"metadata": _to_json(series.metadata)})
    for name, array in _own_arrays(series).items():
        array = np.asarray(array)
        chunks = array.shape
        if array.ndim == 3:
            chunks = (min(len(array), max(1, _ZARR_CHUNK_BYTES // array[0].nbytes)), *array.shape[1:])
        group.create_array(name, data=array, chunks=chunks, config={"write_empty_chunks": True})


def _own_arrays(series: TiltSeries) -> dict[str, Any]:
    return {name: getattr(series, name) for name in ("frames", "tilt_deg", "measured", "pixel_size_A")}


def _own_stack(arrays, metadata: dict) -> _Stack:
    fields = {name: np.asarray(arrays[name]) for name in ("frames", "tilt_deg", "measured")}
    return _Stack(**fields, pixel_size_A=float(arrays["pixel_size_A"]), metadata=metadata)


def _read_mrc(path: Path) -> _Stack:
    header, extended, data = _read_mrc_file(path)
    stack = _Stack(frames=data[None] if data.ndim == 2 else data, metadata={"source_file": path.name})
    names = extended.dtype.names or ()
    if "Alpha tilt" in names:
        stack.tilt_deg = np.asarray(extended["Alpha tilt"][: len(stack.frames)], float)
    stack.pixel_size_A = _voxel_size_A(path, header, needed=False)
    if stack.pixel_size_A is None and "Pixel size X" in names:
        stack.pixel_size_A = float(extended["Pixel size X"][0]) * 1e10
    return stack


def _write_mrc(series: TiltSeries, path: Path) -> None:
    _write_mrc_file(series.frames, path, series.pixel_size_A, is_volume=False)


def _read_mrc_file(path: Path):
    """Header, extended header and data; files of before 2000, without the MAP word, too."""
    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with mrcfile.open(path, header_only=True, permissive=True) as file:
            header = file.header
            is_fei = bytes(header.exttyp) in (b"FEI1", b"FEI2")
            extended = file.indexed_extended_header if is_fei else file.extended_header
        shape = mrcfile.utils.data_shape_from_header(header)
        itemsize = mrcfile.utils.data_dtype_from_header(header).itemsize
        size = header.nbytes + int(header.nsymbt) + itemsize * math.prod(map(int, shape))
        if min(shape) < 1:
            raise ValueError(f"its header gives the shape {shape}")
        if path.stat().st_size < size:  # a foreign file's header may ask for more memory than there is
            raise ValueError(f"its header asks for {size} bytes, the file has {path.stat().st_size}")
        with mrcfile.open(path, permissive=True) as file:
            return header, extended, file.data


def _write_mrc_file(data: np.ndarray, path: Path, pixel_size_A: float, *, is_volume: bool) -> None:
    with mrcfile.new(path) as file:
        file.set_data(np.asarray(data, np.float32))
        file.set_volume() if is_volume else file.set_image_stack()
        file.voxel_size = pixel_size_A


def _voxel_size_A(path: Path, header, *, needed: bool = True) -> float | None:
    """Edge of the square pixels, to the header's single precision; None where the header leaves it empty."""
    counts = np.array([header.mx, header.my], float)
    edges_A = np.array([header.cella.x, header.cella.y], float)
    if (counts < 1).any() or (edges_A <= 0).any():
        if needed:
            raise TsgError(f"{path} does not state its voxel size")
        return None
    x_A, y_A = edges_A / counts
    if not np.isclose(x_A, y_A, rtol=1e-3):
        raise TsgError(f"{path} has pixels of {x_A:g} x {y_A:g} A; only square ones can be used")
    return float(f"{x_A:.7g}")


def _read_tiff(path: Path) -> _Stack:
    with readable(path), tifffile.TiffFile(path) as file:
        pages = file.series[0]
        frames = pages.asarray()
        if frames.ndim == 2:
            frames = frames[None]
        stack = _Stack(frames=frames, metadata={"source_file": path.name})
        for own in file.shaped_metadata or ():
            if "tilt_deg" in own:
                stack.tilt_deg, stack.measured = np.array(own["tilt_deg"], float), np.array(own["measured"], bool)
                stack.pixel_size_A = float(own["pixel_size_A"])
        imagej = file.imagej_metadata or {}
        unit_A = _LENGTH_UNITS_A.get(str(imagej.get("unit")).replace("\\u00B5", "\u00b5"))
        if unit_A and "XResolution" in file.pages[0].tags:
            pixels, length = file.pages[0].tags["XResolution"].value
            stack.pixel_size_A = unit_A * length / pixels
        return stack


def _write_tiff(series: TiltSeries, path: Path) -> None:
    own = {"tilt_deg": series.tilt_deg.tolist(), "measured": series.measured.tolist()}
    tifffile.imwrite(
        path, series.frames, photometric="minisblack", metadata=own | {"pixel_size_A": series.pixel_size_A}
    )


_SERIES_READERS = {
    ".npz": _read_npz,
    ".zarr": _read_zarr,
    **dict.fromkeys(MRC_SUFFIXES, _read_mrc),
    **dict.fromkeys(TIFF_SUFFIXES, _read_tiff),
}
_SERIES_WRITERS = {
    ".npz": _write_npz,
    ".zarr": _write_zarr,
    **dict.fromkeys(MRC_SUFFIXES, _write_mrc),
    **dict.fromkeys(TIFF_SUFFIXES, _write_tiff),
}


def _to_json(metadata) -> str:
    """JSON of nested mappings, settings (dataclasses), NumPy values and paths."""

    def plain(value):
        if dataclasses.is_dataclass(value):
            return dataclasses.asdict(value)
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        if isinstance(value, Path):
            return str(value)
        raise TsgError(f"metadata holds a {type(value).__name__}, which a file cannot keep: {value!r:.60}")

    return json.dumps(dict(metadata), default=plain)


def _writer(writers: dict, path: Path):
    if path.suffix.lower() not in writers:
        raise _unknown_suffix(path, writers)
    return writers[path.suffix.lower()]


def _unknown_suffix(path: Path, known) -> TsgError:
    return TsgError(f"{path} has the suffix {path.suffix!r}; those known are {', '.join(known)}")
