"""Methods that predict frames between measured ones: functions of a series and the wanted angles.

They differ in what they use. `nearest`, `linear` and `cubic` use the values of each pixel over the angles; `smooth`
also learns how much of them is noise. `flow` assumes that structures move between two frames. `sirt_reprojection` and
`reprojection` assume that all frames show one object; `kriging` also learns over which angles the rest persists.
`atoms` assumes that the object consists of atoms, and `dynamical` computes the frames of these atoms by multislice.
`tsgnet` and `informed` use what a network has learnt from other objects; `informed` also sees the object and its atoms.
"""

from collections.abc import Callable

import numpy as np

from ..tilt_series import TiltSeries
from .angles import cubic, flow, linear, nearest
from .fitted_series import FittedSeries
from .kriging import smooth
from .large_series import is_wide
from .reprojection import kriging, reprojection, sirt_reprojection


def tsgnet(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """TSGNet applied to the two neighbouring frames."""
    from ..model.shipped import network
    from .tsgnet import predict_frames

    little = {"batch_size": 1, "tile_px": 256} if is_wide(series.frames) else {}
    return predict_frames(network(checkpoint), series, tilt_deg=tilt_deg, **little)


def informed(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """The reprojection, or the frame of fitted atoms, corrected by the shipped network, which sees what both miss."""
    from .informed.network import predict_informed, shipped_net

    return predict_informed(shipped_net(), series, tilt_deg, with_sigma=False)[0]


def atoms(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """Frames of atoms fitted to all frames, plus the residual. Raises NotAtoms if the frames show something else."""
    return FittedSeries.of(series).atoms.predict(tilt_deg)


def dynamical(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """Multislice frames of atoms fitted to all frames, plus the residual.

    Raises NotAtoms as `atoms` does, and TsgError where the microscope or the elements are unknown or where the work or
    the memory would be too much.
    """
    return FittedSeries.of(series).dynamical.predict(tilt_deg)


SINGLE_METHODS: dict[str, Callable[..., np.ndarray]] = {
    method.__name__: method
    for method in (
        nearest, linear, cubic, smooth, flow, sirt_reprojection, reprojection, kriging, tsgnet, informed, atoms,
        dynamical,
    )
}  # fmt: skip


def predict(method: str, series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Frames by one of `SINGLE_METHODS`, after `not_darker`.

    Methods share what they learn from a `FittedSeries`. `checkpoint` is the network of `tsgnet`.
    """
    options = {"checkpoint": checkpoint} if method == "tsgnet" else {}
    return not_darker(SINGLE_METHODS[method](series, tilt_deg, **options), series)


def not_darker(frames: np.ndarray, series: TiltSeries) -> np.ndarray:
    """Clip the frames, in place, at zero or at the darkest pixel of the series if that is negative."""
    return np.maximum(frames, min(0.0, float(series.frames.min())), out=frames)
