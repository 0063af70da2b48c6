"""Files that RosettaSciIO reads: DM3 and DM4, EMD of Velox and of Berkeley, HSPY and ZSPY.

A file may hold several datasets. The only stack among them is taken; where there are more, `PATH::NAME` or
`PATH::NUMBER` chooses.
"""

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.files import readable
from . import tomviz
from .calibration import calibrate
from .claims import check_hdf5, check_zarr
from .emd import read_emd_angles, tilt_first
from .frames import RawFrames
from .hdf5 import written_to_hdf5
from .own import chunks_of
from .quiet import quiet
from .signals import signal_dict, stack_of
from .stack import Stack

_PLUGINS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".hspy": "hspy",
    ".zspy": "zspy",
}
_CHECKS = {".emd": check_hdf5, ".hspy": check_hdf5, ".zspy": check_zarr}
SUFFIXES = tuple(_PLUGINS)
_OPTIONS = {
    ".zspy": {"mode": "r"},
    ".emd": {"select_type": "images", "load_SI_image_stack": True},  # of Velox, without spectra
}
_STAGE_TAGS = ("ImageTags", "Microscope Info", "Stage Position", "Stage Alpha")
_BRIGHTNESS_TAGS = ("ImageData", "Calibrations", "Brightness")
_RANGE_TAGS = ("ImageTags", "Tomography", "Tomography setup", "Tilt angles")


def read_rosetta(path: Path, *, dataset: str | None = None, n_dimensions: int = 3) -> Stack:
    """The stack (3 dimensions) or single frame (2) in a file; its frames are not read yet."""
    plugin = importlib.import_module(f"rsciio.{_PLUGINS[path.suffix.lower()]}")  # sets the level of its log, too
    with readable(path), quiet("rsciio"):
        if check := _CHECKS.get(path.suffix.lower()):
            check(path)
        options = _OPTIONS.get(path.suffix.lower(), {})
        try:
            signals = plugin.file_reader(str(path), lazy=True, **options)
        except ValueError:  # of arrays without chunks and of coloured images, which it reads at once or not at all
            signals = plugin.file_reader(str(path), lazy=False, **options)
        except ModuleNotFoundError as error:  # it asks for the package even where no spectrum is wanted
            raise TsgError(f"{path} holds spectra beside its images; to read it, pip install sparse") from error
    chosen = _chosen(path, signals, dataset, n_dimensions)
    with readable(path):
        signal = tilt_first(_computed(signals[chosen]))
        stack = stack_of(signal, kind=f"{path.suffix.lstrip('.').upper()} file")
        if dataset is None and len(signals) > 1:
            what = "stack" if n_dimensions == 3 else "single frame"
            stack.remarks += (f"Of {len(signals)} pictures in the file the only {what} was read, {_title(signal)}.",)
        _read_tags(stack, signal, path)
        if path.suffix.lower() == ".emd":
            read_emd_angles(stack, path, image=chosen, title=_title(signal))
            tomviz.read_kept(stack, path)
    return stack


def _chosen(path: Path, signals: list[dict], dataset: str | None, n_dimensions: int) -> int:
    """The index of the named dataset, or of the only one that can be meant."""
    titles = [_title(signal) for signal in signals]
    fitting = [
        i
        for i, signal in enumerate(signals)
        if len(signal["data"].shape) == n_dimensions
        and signal["data"].dtype.kind in "iuf"
        and all(axis.get("navigate", False) is False for axis in signal["axes"][-2:])
    ]
    listed = "; ".join(f"{i} {titles[i]} {' x '.join(map(str, s['data'].shape))}" for i, s in enumerate(signals))
    if dataset is not None:
        named = [i for i in fitting if dataset in (str(i), titles[i])]
        if len(named) != 1:
            what = "no stack" if not named else f"{len(named)} stacks"
            raise TsgError(f"{path} holds {what} {dataset!r}; choose a number by --image N of: {listed}")
        return named[0]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        what = "stack of frames" if n_dimensions == 3 else "single frame"
        raise TsgError(f"{path} holds no {what}, but: {listed or 'nothing'}")
    what = "stacks" if n_dimensions == 3 else "pictures"
    raise TsgError(f"{path} holds {len(fitting)} {what}; choose one by --image N of: {listed}")


def _title(signal: dict[str, Any]) -> str:
    return signal.get("metadata", {}).get("General", {}).get("title") or "untitled"


def _computed(signal: dict[str, Any]) -> dict[str, Any]:
    """The signal with its small metadata arrays read; lazily opened files give them as dask arrays."""

    def computed(value):
        if isinstance(value, dict):
            return {key: computed(inner) for key, inner in value.items()}
        return np.asarray(value) if hasattr(value, "compute") else value

    metadata = signal.get("metadata", {})
    return signal | {"metadata": metadata | computed({k: metadata[k] for k in ("Tomography", "TSG") if k in metadata})}


def _read_tags(stack: Stack, signal: dict[str, Any], path: Path) -> None:
    """What the tags of Digital Micrograph say: where the frames lie, what their numbers stand for, and the angle.

    Of one frame that is the stage's, of a stack that of its axis or else the range set in the tomography plug-in.
    """
    image = signal.get("original_metadata", {}).get("ImageList", {}).get("TagGroup0", {})
    n_frames, dtype = stack.frames.shape[0], stack.frames.dtype
    where = _tag(image, ("ImageData", "Data"))
    if isinstance(where, dict) and where.get("size_bytes") == dtype.itemsize * math.prod(stack.frames.shape):
        order = {"little": "<", "big": ">"}[where["endian"]]
        stack.frames = RawFrames(path, where["offset"], stack.frames.shape, dtype.newbyteorder(order))
    if path.suffix.lower() in (".dm3", ".dm4"):  # HyperSpy keeps the tags of frames that were changed since, too
        _calibrate(stack, _tag(image, _BRIGHTNESS_TAGS) or {})
    if n_frames == 1 and stack.tilt_deg is None and (alpha := _tag(image, _STAGE_TAGS)) is not None:
        stack.tilt_deg, stack.angles_from = np.array([float(alpha)]), "the tag Stage Alpha"
    if n_frames > 1 and stack.tilt_deg is None and (planned := _tag(image, _RANGE_TAGS)) is not None:
        low, high, step = (
            planned.get(f"{name} (deg)", math.nan)
            for name in ("Minimum tilt angle", "Maximum tilt angle", "Tilt angle step")
        )
        if step and round((high - low) / step) == n_frames - 1:
            stack.tilt_deg, stack.angles_from = low + step * np.arange(n_frames), "the tags Tilt angles"


def _calibrate(stack: Stack, brightness: dict[str, Any]) -> None:
    """Numbers above the origin that Digital Micrograph states; a scale alone is but a unit, which is told."""
    scale, origin = float(brightness.get("Scale", 1)), float(brightness.get("Origin", 0))
    if origin or scale < 0:
        calibrate(stack, scale=scale, offset=-scale * origin, stated_by="the calibration of Digital Micrograph")
    elif scale not in (0, 1):
        unit = f" {brightness.get('Units') or ''}".rstrip()
        told = f"as they are stored; Digital Micrograph shows them times {scale:g}{unit}"
        stack.intensity_from = f"numbers of {stack.frames.dtype.name} {told}"
        stack.remarks += (f"Numbers were read {told}.",)


def _tag(tags: dict, names: tuple[str, ...]):
    for name in names:
        if not isinstance(tags, dict) or name not in tags:
            return None
        tags = tags[name]
    return tags


def write_hspy(series: TiltSeries, path: Path) -> None:
    from rsciio.hspy import file_writer

    with written_to_hdf5(path, n_bytes=series.frames.nbytes):
        file_writer(str(path), signal_dict(series), show_progressbar=False)


def write_zspy(series: TiltSeries, path: Path) -> None:
    """The groups and arrays of RosettaSciIO's HierarchicalWriter, in format 2 of Zarr; it needs zarr < 3 itself."""
    import zarr

    def fill(group, content: dict[str, Any], chunks=None) -> None:
        for key, value in content.items():
            if isinstance(value, dict):
                fill(group.create_group(key), value)
            elif isinstance(value, np.ndarray):
                layout = {"name": "v2", "separator": "/"}
                group.create_array(key, data=value, chunks=chunks or value.shape, chunk_key_encoding=layout)
            else:
                group.attrs[key] = value

    signal = signal_dict(series)
    root = zarr.create_group(path, zarr_format=2, attributes={"file_format": "ZSpy", "file_format_version": "3.3"})
    experiment = root.create_group(f"Experiments/{signal['metadata']['General']['title']}")
    experiment.attrs.update(signal["package_info"])
    fill(experiment, {"data": signal["data"]}, chunks=chunks_of(series.frames))
    for i, axis in enumerate(signal["axes"]):
        fill(experiment.create_group(f"axis-{i}"), axis)
    fill(experiment, {key: signal[key] for key in ("metadata", "original_metadata", "learning_results", "attributes")})
