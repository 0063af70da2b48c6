"""OME-Zarr: how a Zarr group tells viewers what its array is. Written in version 0.5, read in 0.4 as well.

The attributes of the group name the axes of the array with their units, and the scale of a step along each
(https://ngff.openmicroscopy.org/0.5, "multiscales"). A series has the axes tilt, y, x; a volume has z, y, x. Zero lies
in the middle of an axis of lengths, as for the positions of atoms. One resolution is written; of several the finest is
read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..errors import TsgError
from ..geometry import pixel_centres_A
from .claims import check_volume, check_zarr
from .frames import ArrayFrames
from .lengths import in_angstrom, in_degrees
from .stack import Stack

SERIES_AXES, VOLUME_AXES = ("tilt", "y", "x"), ("z", "y", "x")
_EVEN_deg = 1e-6
VOLUME_CHUNK = 128  # voxels along each axis


@dataclass(frozen=True, eq=False, kw_only=True)
class OmeImage:
    """The finest array of a group; of each axis the name, the unit, the step and where it starts, in that unit."""

    array: Any
    names: tuple[str, ...]
    units: tuple[str | None, ...]
    scale: np.ndarray
    start: np.ndarray


def series_attributes(
    tilt_deg: np.ndarray, pixel_size_A: float, *, shape: tuple[int, int], path: str
) -> dict[str, Any]:
    """Attributes of a group whose array `path` is a tilt series of frames (n_y, n_x).

    Even angles are told as an axis in degrees; uneven ones, for which the format has no place, as a mere count.
    """
    tilt = {"name": "tilt", "type": "angle"}, 0.0, 1.0
    even_deg = np.linspace(tilt_deg[0], tilt_deg[-1], len(tilt_deg))
    if len(tilt_deg) > 1 and np.allclose(even_deg, tilt_deg, rtol=0, atol=_EVEN_deg):
        tilt = tilt[0] | {"unit": "degree"}, float(even_deg[0]), float(even_deg[1] - even_deg[0])
    return _attributes([tilt, *_in_space("yx", shape, pixel_size_A)], path=path)


def volume_attributes(voxel_size_A: float, *, shape: tuple[int, int, int], path: str) -> dict[str, Any]:
    """Attributes of a group whose array `path` is a volume (n_z, n_y, n_x)."""
    return _attributes(_in_space("zyx", shape, voxel_size_A), path=path)


def _in_space(names: str, shape: Sequence[int], step_A: float) -> list[tuple[dict[str, str], float, float]]:
    """Axes with where they start and their steps: zero is the middle, as for the positions of atoms."""
    starts_A = (float(pixel_centres_A(n, pixel_size_A=step_A)[0]) for n in shape)
    axes = ({"name": name, "type": "space", "unit": "angstrom"} for name in names)
    return [(axis, start_A, float(step_A)) for axis, start_A in zip(axes, starts_A, strict=True)]


def _attributes(axes: Sequence[tuple[dict[str, str], float, float]], *, path: str) -> dict[str, Any]:
    named, start, scale = (list(values) for values in zip(*axes, strict=True))
    placed = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": start}]
    datasets = [{"path": path, "coordinateTransformations": placed}]
    return {"ome": {"version": "0.5", "multiscales": [{"axes": named, "datasets": datasets}]}}


def write_volume_zarr(volume: np.ndarray, path: Path, voxel_size_A: float) -> None:
    """Write a volume (n_y, n_z, n_x) with the axes z, y, x, chunk by chunk."""
    VolumeFile.create(path, volume.shape, voxel_size_A=voxel_size_A).array[:] = volume.transpose(1, 0, 2)


@dataclass(frozen=True, eq=False)
class VolumeFile:
    """A volume on disk that is written some rows at a time: `file[rows] = part`, (rows, n_z, n_x_box).

    Of a wider box the middle columns are stored, those of the frames. Processes may write at once if all their rows
    begin at multiples of the chunks'.
    """

    array: zarr.Array
    n_x_box: int

    @classmethod
    def create(
        cls,
        path: Path,
        shape: tuple[int, int, int],
        *,
        voxel_size_A: float,
        n_x_box: int | None = None,
        chunk_rows: int = VOLUME_CHUNK,
    ) -> "VolumeFile":
        """A new OME-Zarr for a volume of this shape (n_y, n_z, n_x)."""
        n_y, n_z, n_x = shape
        stored = n_z, n_y, n_x
        group = zarr.create_group(path, attributes=volume_attributes(voxel_size_A, shape=stored, path="0"))
        chunks = min(n_z, VOLUME_CHUNK), min(n_y, chunk_rows), min(n_x, VOLUME_CHUNK)
        array = group.create_array("0", shape=stored, dtype=np.float32, chunks=chunks, dimension_names=VOLUME_AXES)
        return cls(array, n_x_box or n_x)

    @classmethod
    def of(cls, path: Path) -> "VolumeFile":
        """A finished one, to read parts of."""
        array = zarr.open_group(path, mode="r")["0"]
        return cls(array, array.shape[2])

    @property
    def shape(self) -> tuple[int, int, int]:
        n_z, n_y, _ = self.array.shape
        return n_y, n_z, self.n_x_box

    def __getitem__(self, key: int | tuple) -> np.ndarray:
        """What indices of (y, z, x) choose of what is stored, read from the disk."""
        y, z, x = (*(key if isinstance(key, tuple) else (key,)), slice(None), slice(None))[:3]
        found = np.asarray(self.array[z, y, x])
        return found.swapaxes(0, 1) if isinstance(y, slice) and isinstance(z, slice) else found

    def __setitem__(self, rows: slice, part: np.ndarray) -> None:
        n_x = self.array.shape[2]
        first = (self.n_x_box - n_x) // 2
        self.array[:, rows] = part[..., first : first + n_x].transpose(1, 0, 2)


def read_volume_zarr(path: Path) -> tuple[np.ndarray, float]:
    """A volume (n_y, n_z, n_x) float32 and the edge of its voxels in angstrom."""
    check_zarr(path)
    image = ome_image(zarr.open_group(path, mode="r"))
    if image is None:
        raise TsgError(f"{path} states no image of OME-Zarr")
    check_volume(image.array.shape, image.array.dtype.itemsize, path)
    data = _without_single_axes(image)
    if image.names[-3:] != VOLUME_AXES or len(data.shape) != 3:
        raise TsgError(f"{path} has the axes {', '.join(image.names)}, a volume has {', '.join(VOLUME_AXES)}")
    edges_A = [in_angstrom(float(n), unit) for n, unit in zip(image.scale[-3:], image.units[-3:], strict=True)]
    if None in edges_A:
        unit = image.units[-3:][edges_A.index(None)]
        raise TsgError(f"{path} states its voxel size in no known unit of length, but in {unit or 'none'}")
    if not np.allclose(edges_A, edges_A[-1], rtol=1e-3):
        edges = " x ".join(f"{edge:g}" for edge in edges_A)
        raise TsgError(f"{path} has voxels of {edges} A (z, y, x); only cubic ones can be used")
    return np.ascontiguousarray(np.asarray(data[...], np.float32).transpose(1, 0, 2)), edges_A[-1]


def read_foreign_series(path: Path, group: zarr.Group) -> Stack:
    """The finest image of a group as frames; its first axis gives the angles if it is in degrees."""
    image = ome_image(group)
    if image is None:
        raise TsgError(f"{path} has no array named frames; it holds {', '.join(sorted(group)) or 'nothing'}")
    data = _without_single_axes(image)
    stack = Stack(
        frames=ArrayFrames(data, step=data.chunks[0] if hasattr(data, "chunks") else 1), kind="OME-Zarr image"
    )
    stack.scale_pixels(image.scale[-2:].tolist(), image.units[-2:])
    stack.pixel_size_from = "its axes"
    n_tilt, at = data.shape[0], len(image.names) - 3
    angles = in_degrees(image.start[at] + image.scale[at] * np.arange(n_tilt), image.units[at]) if at >= 0 else None
    if angles is not None:
        stack.tilt_deg, stack.angles_from = angles, "the axis in degrees"
    elif image.names[-3:] == VOLUME_AXES:
        stack.volume = "its axes are z, y, x"
    return stack


def ome_image(group: zarr.Group) -> OmeImage | None:
    """The first image of a group by its attributes; None if they state none."""
    attributes: Mapping = group.attrs.get("ome") or group.attrs
    if not attributes.get("multiscales"):
        return None
    multiscale = attributes["multiscales"][0]
    finest = multiscale["datasets"][0]
    names = tuple(axis["name"] for axis in multiscale["axes"])
    scale, start = np.ones(len(names)), np.zeros(len(names))
    for step in (*finest.get("coordinateTransformations", ()), *multiscale.get("coordinateTransformations", ())):
        if step["type"] == "scale":
            scale, start = scale * step["scale"], start * step["scale"]
        elif step["type"] == "translation":
            start = start + step["translation"]
    units = tuple(axis.get("unit") for axis in multiscale["axes"])
    return OmeImage(array=group[finest["path"]], names=names, units=units, scale=scale, start=start)


def _without_single_axes(image: OmeImage):
    """The array without those axes of time and channel that have length one; itself if it has no such axes."""
    shape = image.array.shape
    leading = len(shape) - 3
    if leading <= 0:
        return image.array
    return image.array[...].reshape(*(n for n in shape[:leading] if n > 1), *shape[leading:])
