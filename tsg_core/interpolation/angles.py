"""Frames between measured ones, from each pixel's values over the angles, or from its motion between two frames."""

from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates
from skimage.registration import optical_flow_ilk

from ..errors import TsgError
from ..tilt_series import SAME_ANGLE_deg, TiltSeries


def nearest(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """The frame with the nearest angle; of two equally near ones, the lower."""
    return series.frames[nearest_frame(series.tilt_deg, tilt_deg)]


def linear(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """The mean of the two neighbouring frames, weighted by angle: the paper's baseline."""
    return along_angle(_linear_weights(series.tilt_deg, tilt_deg), series.frames)


def cubic(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """A not-a-knot cubic spline through all frames; a parabola through three frames, a line through two."""
    return along_angle(spline_weights(series.tilt_deg, tilt_deg), series.frames)


def flow(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """The two neighbouring frames, warped towards each other along a dense optical flow, then blended.

    The flow is scikit-image's iterative Lucas-Kanade method (Le Besnerais and Champagnat, ICIP 2005), one flow for each
    pair of frames.
    """
    predicted = np.empty((len(tilt_deg), *series.frames.shape[1:]), np.float32)
    lower = lower_neighbour(series.tilt_deg, tilt_deg)
    pixels = np.indices(series.frames.shape[1:], np.float32)
    scale = np.float32(series.intensity_scale or 1.0)  # the flow has an absolute threshold for flat areas
    for i, targets in groupby(range(len(tilt_deg)), key=lower.__getitem__):
        a, b = series.frames[i], series.frames[i + 1]
        motion = optical_flow_ilk(a / scale, b / scale, radius=7, prefilter=True)  # b(p + motion) looks like a(p)
        for k in targets:
            t = (tilt_deg[k] - series.tilt_deg[i]) / (series.tilt_deg[i + 1] - series.tilt_deg[i])
            from_a = map_coordinates(a, pixels - t * motion, order=1, mode="nearest")
            from_b = map_coordinates(b, pixels + (1 - t) * motion, order=1, mode="nearest")
            predicted[k] = (1 - t) * from_a + t * from_b
    return predicted


def nearest_frame(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    """Index of the measured angle nearest to each target; of two equally near ones, the lower."""
    lower = lower_neighbour(measured_deg, tilt_deg)
    return lower + (measured_deg[lower + 1] - tilt_deg < tilt_deg - measured_deg[lower])


def _linear_weights(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    lower = lower_neighbour(measured_deg, tilt_deg)
    t = (tilt_deg - measured_deg[lower]) / (measured_deg[lower + 1] - measured_deg[lower])
    weights = np.zeros((len(tilt_deg), len(measured_deg)))
    target = np.arange(len(tilt_deg))
    weights[target, lower], weights[target, lower + 1] = 1 - t, t
    return weights


def finite_angles(tilt_deg: ArrayLike) -> np.ndarray:
    """Angles (n,), of which one may be given alone. Raises TsgError for those that are not finite."""
    tilt_deg = np.atleast_1d(np.asarray(tilt_deg, float))
    if tilt_deg.ndim != 1 or not np.isfinite(tilt_deg).all():
        raise TsgError("tilt_deg must be a list of finite angles in degrees")
    return tilt_deg


def between(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    """True (n_target,) for angles in the measured range, ends included."""
    return (tilt_deg >= measured_deg[0] - SAME_ANGLE_deg) & (tilt_deg <= measured_deg[-1] + SAME_ANGLE_deg)


def lower_neighbour(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    """Index (n_target,) of the measured angle at or below each target that has another one above it."""
    return np.clip(np.searchsorted(measured_deg, tilt_deg, side="right") - 1, 0, len(measured_deg) - 2)


def spline_weights(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    """(n_target, n_measured): a not-a-knot cubic spline; a parabola through three frames, a line through two."""
    return CubicSpline(measured_deg, np.eye(len(measured_deg)))(tilt_deg)


def along_angle(weights: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Weights (n_target, n_measured) times frames (n_measured, n_y, n_x), in the precision of the frames."""
    return np.tensordot(weights.astype(frames.dtype), frames, axes=1)
