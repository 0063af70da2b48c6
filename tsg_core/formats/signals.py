"""HyperSpy's signals, as objects and as the dictionaries in which RosettaSciIO passes them.

A tilt series is a signal with one navigation axis, the tilt. Its angles stand, exactly, in the metadata under
`Tomography.tilts`, or in ETSpy's `TomoStack.tilts`. Predicted frames are told by their angles, not by their numbers,
under `Tomography.predicted_deg`: they stay known where HyperSpy leaves out frames.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from .angles import SAME_STAGE_deg
from .frames import ArrayFrames
from .lengths import in_degrees
from .own import from_json, to_json
from .stack import Stack
from .stored import stored_series
from .trust import fault_of

_EVEN_deg = 1e-6
_SAME_deg = 1e-3


def stack_of(signal: dict[str, Any], *, kind: str) -> Stack:
    """The stack in a dictionary of data, axes (in the order of the array), metadata and original metadata."""
    axes = signal["axes"]
    signal_axes, tilt_axes = axes[-2:], axes[:-2]
    chunks = getattr(signal["data"], "chunks", None)  # of a dask array
    frames = ArrayFrames(signal["data"], step=chunks[0][0] if chunks and len(chunks) == 3 else 1)
    stack = Stack(frames=frames, kind=kind, pixel_size_from="the scale of its axes")
    stack.scale_pixels([axis.get("scale", 0) for axis in signal_axes], [axis.get("units") for axis in signal_axes])
    metadata = signal.get("metadata", {})
    axis_deg = _axis_angles(tilt_axes[0]) if len(tilt_axes) == 1 else None
    kept = metadata.get("Tomography", {})
    kept_deg = kept.get("tilts", kept.get("_sig_tilts"))
    kept_deg = kept_deg["data"] if isinstance(kept_deg, dict) else kept_deg
    _take_angles(stack, {"Tomography.tilts": kept_deg, "the axis of tilts": axis_deg})
    if "predicted_deg" in kept and stack.tilt_deg is not None:
        differences = np.abs(np.ravel(kept["predicted_deg"]) - stack.tilt_deg[:, None])
        stack.measured = (differences > _SAME_deg).all(axis=1)
    own = metadata.get("TSG", {})
    if "metadata" in own:
        stack.metadata = from_json(np.asarray(own["metadata"], np.uint8).tobytes())
        if stack.pixel_size_A and np.isclose(own["pixel_size_A"], stack.pixel_size_A, 1e-9):
            stack.pixel_size_A = float(own["pixel_size_A"])
    return stack


def _take_angles(stack: Stack, stated: dict[str, Any]) -> None:
    """The angles of the first place that can be right; places that cannot, or that say something else, are told."""
    n_frames = stack.frames.shape[0]
    places = {where: np.ravel(angles).astype(float) for where, angles in stated.items() if angles is not None}
    faults = {where: fault_of(tilt_deg, n_frames) for where, tilt_deg in places.items()}
    taken = next((where for where, fault in faults.items() if not fault), next(iter(places), None))
    if taken is None:
        return
    stack.tilt_deg, stack.angles_from = places[taken], taken
    for where in places.keys() - {taken}:
        start = f"{where[0].upper()}{where[1:]}"
        if faults[where]:
            stack.remarks += (f"{start} was not used: {faults[where]}.",)
        elif (apart_deg := np.abs(places[where] - stack.tilt_deg).max()) > SAME_STAGE_deg:
            told = f"gives angles that differ by up to {apart_deg:.2g} deg from {taken}"
            stack.remarks += (f"{start} {told} and was not used.",)


def _axis_angles(axis: dict[str, Any]) -> np.ndarray | None:
    if "axis" in axis:  # not uniform
        angles = np.asarray(axis["axis"], float)
    else:
        angles = axis.get("offset", 0) + axis.get("scale", 1) * np.arange(axis["size"])
    return in_degrees(angles, axis.get("units"))


def signal_dict(series: TiltSeries, *, uneven_axis: bool = False, title: str = "tilt series") -> dict[str, Any]:
    """The dictionary of a series: the pixel size in nm, tilts in the metadata under `Tomography`.

    Angles that are not even make an uneven axis, or one that counts frames: ETSpy cannot load the former.
    """
    tilt_deg, predicted_deg = series.tilt_deg, series.tilt_deg[~series.measured]
    steps = np.diff(tilt_deg)
    projections = {"name": "Projections", "navigate": True, "size": len(series)}
    if len(steps) == 0 or np.ptp(steps) <= _EVEN_deg:
        step_deg = float(steps.mean()) if len(steps) else 1.0
        projections |= {"units": "degrees", "offset": float(tilt_deg[0]), "scale": step_deg}
    elif uneven_axis:
        projections |= {"units": "degrees", "axis": tilt_deg}
    else:
        projections |= {"units": "", "offset": 0.0, "scale": 1.0}
    scale_nm = series.pixel_size_A / 10
    pixels = [
        {"name": name, "units": "nm", "scale": scale_nm, "offset": 0.0, "navigate": False, "size": size}
        for name, size in zip("yx", series.frames.shape[1:], strict=True)
    ]
    axes = [axis | {"index_in_array": i} for i, axis in enumerate([projections, *pixels])]
    kinds = [{"_type": "DataAxis" if "axis" in axis else "UniformDataAxis", "is_binned": False} for axis in axes]
    return {
        "data": series.frames,
        "axes": [axis | kind for axis, kind in zip(axes, kinds, strict=True)],
        "metadata": {
            "General": {"title": title},
            "Signal": {"signal_type": ""},
            "Tomography": {"tilts": tilt_deg[:, None]}
            | ({"predicted_deg": predicted_deg} if len(predicted_deg) else {}),
            # as bytes of an array, since an attribute of HDF5 ends at 64 kB
            "TSG": {
                "metadata": np.frombuffer(to_json(series.metadata).encode(), np.uint8),
                "pixel_size_A": series.pixel_size_A,
            },
        },
        "original_metadata": {},
        "learning_results": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "", "package_version": ""},
        "models": {},
        "tmp_parameters": {},
    }


def series_of_signal(
    signal, *, tilts: str | Path | Sequence[float] | None = None, pixel_size_A: float | None = None
) -> TiltSeries:
    """The series in a HyperSpy signal, lazy or not, or in an ETSpy TomoStack; the signal is not changed."""
    axes = signal.axes_manager.as_dictionary()
    metadata = signal.metadata.as_dictionary()
    of_etspy = getattr(signal, "tilts", None)
    if of_etspy is not None:
        metadata["Tomography"] = metadata.get("Tomography", {}) | {"tilts": np.asarray(of_etspy.data)}
    dictionary = {"data": signal.data, "axes": [axes[key] for key in sorted(axes)], "metadata": metadata}
    if signal.axes_manager.signal_dimension != 2 or signal.axes_manager.navigation_dimension != 1:
        raise TsgError(f"{signal} is no tilt series: it needs one navigation axis, the tilt, and two signal axes")
    stack = stack_of(dictionary, kind="HyperSpy signal")
    if stack.tilt_deg is None:
        stack.no_angles = "the unit of its navigation axis is not degrees, and it has no metadata.Tomography.tilts"
    title = metadata.get("General", {}).get("title") or "untitled"
    return stored_series(stack, Path(title), tilts=tilts, pixel_size_A=pixel_size_A).load()


def to_signal(series: TiltSeries, *, etspy: bool):
    """A Signal2D of HyperSpy or a TomoStack of ETSpy, with frames that are a copy."""
    package = "etspy" if etspy else "hyperspy"
    try:
        if etspy:
            from etspy.api import TomoStack
        from hyperspy.api import signals
    except ImportError:
        raise TsgError(f"to_hyperspy needs a package that is not there: pip install {package}") from None
    content = signal_dict(series, uneven_axis=not etspy)
    if etspy:  # which keeps the angles itself
        del content["metadata"]["Tomography"]["tilts"]
    signal = signals.Signal2D(
        series.frames.copy(), axes=[_for_constructor(axis) for axis in content["axes"]], metadata=content["metadata"]
    )
    return TomoStack(signal, tilts=series.tilt_deg[:, None]) if etspy else signal


def _for_constructor(axis: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in axis.items() if key != "index_in_array"}
