"""Ways to predict frames between measured ones: functions of a series and the wanted angles.

What they know: `nearest`, `linear` and `cubic` know each pixel's values over the angles, `smooth` also how much of them
is noise; `flow` that structures move between two frames; `sirt_reprojection` and `reprojection` that all frames show one object, `kriging` also for how long what it
misses stays the same, `atoms` that it consists of atoms; `tsgnet` and `informed` what a network has learnt from other
objects, `informed` besides what the object and its atoms say.
"""

from collections.abc import Callable

import numpy as np

from ..tilt_series import TiltSeries
from .angles import cubic, flow, linear, nearest
from .kriging import smooth
from .large_series import is_wide
from .reprojection import kriging, reprojection, sirt_reprojection


def tsgnet(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """TSGNet between the two neighbouring frames."""
    from ..model.shipped import network
    from .tsgnet import predict_frames

    little = {"batch_size": 1, "tile_px": 256} if is_wide(series.frames) else {}
    return predict_frames(network(checkpoint), series, tilt_deg=tilt_deg, **little)


def informed(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """The reprojection, or the frame of fitted atoms, corrected by the shipped network that sees what both miss."""
    from .informed.network import predict_informed, shipped_net

    return predict_informed(shipped_net(), series, tilt_deg, with_sigma=False)[0]


def atoms(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Frames of atoms fitted to all frames, plus the residual. Raises NotAtoms where they show something else."""
    from .atoms.fit import fitted_atoms

    return fitted_atoms(series).predict(tilt_deg)


SINGLE_METHODS: dict[str, Callable[..., np.ndarray]] = {
    method.__name__: method
    for method in (
        nearest, linear, cubic, smooth, flow, sirt_reprojection, reprojection, kriging, tsgnet, informed, atoms,
    )  # fmt: skip
}


def predict(method: str, series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Frames by one of `SINGLE_METHODS`, as `not_darker` leaves them."""
    return not_darker(SINGLE_METHODS[method](series, tilt_deg, checkpoint=checkpoint), series)


def not_darker(frames: np.ndarray, series: TiltSeries) -> np.ndarray:
    """The frames, in place, without what is darker than zero, or than the darkest pixel of the series if negative."""
    return np.maximum(frames, min(0.0, float(series.frames.min())), out=frames)
