"""Ways to predict frames between measured ones: functions of a series and the wanted angles.

What they know: `nearest`, `linear` and `cubic` know each pixel's values over the angles; `flow` that structures move
between two frames; `sirt_reprojection` and `reprojection` that all frames show one object, `kriging` also for how long what it
misses stays the same, `atoms` that it consists of atoms; `tsgnet` and `informed` what a network has learnt from other
objects, `informed` besides what the object and its atoms say.
"""

from collections.abc import Callable
from itertools import groupby

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates
from skimage.registration import optical_flow_ilk

from .large_series import is_wide
from .reprojection import kriging, reprojection, sirt_reprojection
from .tilt_series import TiltSeries


def nearest(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """The frame with the nearest angle; the lower of two that are as near."""
    return series.frames[nearest_frame(series.tilt_deg, tilt_deg)]


def linear(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """The two neighbouring frames, weighted by angle: the paper's baseline."""
    return _weighted(_linear_weights(series.tilt_deg, tilt_deg), series.frames)


def cubic(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """A cubic spline through all frames, not-a-knot; a parabola through three frames, a line through two."""
    weights = CubicSpline(series.tilt_deg, np.eye(len(series)))(tilt_deg)
    return _weighted(weights, series.frames)


def flow(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """The two neighbouring frames, warped towards each other along a dense optical flow, and blended.

    The flow is iterative Lucas-Kanade of scikit-image (Le Besnerais and Champagnat, ICIP 2005), one a pair of frames.
    """
    predicted = np.empty((len(tilt_deg), *series.frames.shape[1:]), np.float32)
    lower = _lower_neighbour(series.tilt_deg, tilt_deg)
    pixels = np.indices(series.frames.shape[1:], np.float32)
    scale = np.float32(series.intensity_scale or 1.0)  # the flow has an absolute threshold for what is flat
    for i, targets in groupby(range(len(tilt_deg)), key=lower.__getitem__):
        a, b = series.frames[i], series.frames[i + 1]
        motion = optical_flow_ilk(a / scale, b / scale, radius=7, prefilter=True)  # b(p + motion) looks like a(p)
        for k in targets:
            t = (tilt_deg[k] - series.tilt_deg[i]) / (series.tilt_deg[i + 1] - series.tilt_deg[i])
            from_a = map_coordinates(a, pixels - t * motion, order=1, mode="nearest")
            from_b = map_coordinates(b, pixels + (1 - t) * motion, order=1, mode="nearest")
            predicted[k] = (1 - t) * from_a + t * from_b
    return predicted


def tsgnet(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """TSGNet between the two neighbouring frames."""
    from .prediction import predict_frames
    from .weights import network

    little = {"batch_size": 1, "tile_px": 256} if is_wide(series.frames) else {}
    return predict_frames(network(checkpoint), series, tilt_deg=tilt_deg, **little)


def informed(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """The reprojection, or the frame of fitted atoms, corrected by the shipped network that sees what both miss."""
    from .informed import predict_informed, shipped_net

    return predict_informed(shipped_net(), series, tilt_deg, with_sigma=False)[0]


def atoms(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Frames of atoms fitted to all frames, plus the residual. Raises NotAtoms where they show something else."""
    from .atoms import fitted_atoms

    return fitted_atoms(series).predict(tilt_deg)


METHODS: dict[str, Callable[..., np.ndarray]] = {
    method.__name__: method
    for method in (nearest, linear, cubic, flow, sirt_reprojection, reprojection, kriging, tsgnet, informed, atoms)
}


def predict(method: str, series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Frames by one of `METHODS`, as `not_darker` leaves them."""
    return not_darker(METHODS[method](series, tilt_deg, checkpoint=checkpoint), series)


def not_darker(frames: np.ndarray, series: TiltSeries) -> np.ndarray:
    """The frames, in place, without what is darker than zero, or than the darkest pixel of the series if negative."""
    return np.maximum(frames, min(0.0, float(series.frames.min())), out=frames)


def nearest_frame(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    """Index of the measured angle nearest to each target; the lower of two that are as near."""
    lower = _lower_neighbour(measured_deg, tilt_deg)
    return lower + (measured_deg[lower + 1] - tilt_deg < tilt_deg - measured_deg[lower])


def _weighted(weights: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """weights (n_target, n_measured) times frames (n_measured, n_y, n_x)."""
    return np.tensordot(weights.astype(np.float32), frames, axes=1)


def _linear_weights(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    lower = _lower_neighbour(measured_deg, tilt_deg)
    t = (tilt_deg - measured_deg[lower]) / (measured_deg[lower + 1] - measured_deg[lower])
    weights = np.zeros((len(tilt_deg), len(measured_deg)))
    target = np.arange(len(tilt_deg))
    weights[target, lower], weights[target, lower + 1] = 1 - t, t
    return weights


def _lower_neighbour(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(measured_deg, tilt_deg, side="right") - 1, 0, len(measured_deg) - 2)
