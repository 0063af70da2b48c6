"""Tilt angles in EMD files of Velox, and in those with the Berkeley layout (openNCEM, tomviz)."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .lengths import in_degrees
from .stack import Stack


def tilt_first(signal: dict[str, Any]) -> dict[str, Any]:
    """The signal with its axis of degrees moved from the last place to the first, if it is the last of three.

    Berkeley files lie in either order, (tilt, y, x) or (x, y, tilt); RosettaSciIO turns both.
    """
    axes = signal["axes"]
    is_tilt = [in_degrees(1.0, axis.get("units")) is not None for axis in axes]
    if is_tilt != [False, False, True]:
        return signal
    return signal | {"data": signal["data"].transpose(), "axes": axes[::-1]}


def read_emd_angles(stack: Stack, path: Path, *, image: int, title: str) -> None:
    """Take the angle of each frame if the file states it; `image` counts the datasets, `title` names the group."""
    n_frames = stack.frames.shape[0]
    with h5py.File(path, "r") as file:
        images = file.get("Data/Image")
        if images is not None:
            angles, where = _velox_angles(images, image, n_frames), "the record of the stage"
        else:
            angles, where = _berkeley_angles(file, title, n_frames), "the vector of angles"
    if angles is not None:
        stack.tilt_deg, stack.angles_from = angles, where


def _velox_angles(images: h5py.Group, image: int, n_frames: int) -> np.ndarray | None:
    """Velox notes the stage, in radians, with every frame; RosettaSciIO hands on only the note of the first frame."""
    if image >= len(images):
        return None
    columns = images[list(images)[image]]["Metadata"]
    if columns.shape[1] < n_frames:
        return None
    notes = [json.loads(columns[:, i].tobytes().rstrip(b"\0")) for i in range(n_frames)]
    alphas = [note.get("Stage", {}).get("AlphaTilt") for note in notes]
    return None if None in alphas else np.degrees(np.array(alphas, float))


def _berkeley_angles(file: h5py.File, title: str, n_frames: int) -> np.ndarray | None:
    """The vector of angles, possibly uneven; RosettaSciIO hands on only its first two values."""
    vectors = []

    def look(name: str, item) -> None:
        unit = item.attrs.get("units")
        if name.split("/")[-2:-1] == [title] and isinstance(item, h5py.Dataset) and item.shape == (n_frames,) and unit:
            vectors.append(in_degrees(item[...], unit.decode() if isinstance(unit, bytes) else unit))

    file.visititems(look)
    known = [vector for vector in vectors if vector is not None]
    return known[0].astype(float) if len(known) == 1 else None
