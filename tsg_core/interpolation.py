"""Frames at tilt angles that were not measured, by methods that need no training, and by the trained network.

What the methods know: `nearest`, `linear` and `cubic` know each pixel's values over the angles; `flow` that structures
move between two frames; `sirt_reprojection` and `reprojection` that all frames show one object, `atoms` that it consists
of atoms; `tsgnet` what a network has learnt from other objects.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates
from skimage.registration import optical_flow_ilk

from .errors import TsgError
from .reprojection import reprojection, sirt_reprojection
from .tilt_series import SAME_ANGLE_deg, TiltSeries


def densify(series: TiltSeries, *, tilt_deg, method: str = "linear", checkpoint=None) -> TiltSeries:
    """The series at exactly the angles `tilt_deg` (ascending): measured frames where there are, else predicted ones.

    A target within 1e-6 degrees of a measured angle returns that frame bit for bit, with `measured` True. Predictions
    come from the measured frames of `series` alone, which lose what is darker than zero (or than the darkest measured
    pixel, where that is negative). `metadata["method"]` tells how, and `metadata["choice"]` what "auto" chose.
    `checkpoint` is the trained network of the methods that need one, as `weights.network` takes it: by default the
    shipped one; the others take no notice of it.
    Raises TsgError for an unknown method, fewer than two measured frames, and targets that are not finite, do not
    ascend, or lie outside the measured range.
    """
    if method not in METHODS:
        raise TsgError(f"method={method!r} is not known; choose one of {', '.join(METHODS)}")
    measured = series if series.measured.all() else series.subset(series.measured)
    if len(measured) < 2:
        raise TsgError(f"{len(measured)} measured frame(s) cannot be interpolated; at least two are needed")
    tilt_deg = _checked_targets(tilt_deg, measured.tilt_deg)
    nearest = _nearest(measured.tilt_deg, tilt_deg)
    known = np.abs(measured.tilt_deg[nearest] - tilt_deg) <= SAME_ANGLE_deg
    frames = np.empty((len(tilt_deg), *measured.frames.shape[1:]), np.float32)
    frames[known] = measured.frames[nearest[known]]
    if not known.all():
        predicted = METHODS[method](measured, tilt_deg[~known], checkpoint=checkpoint)
        frames[~known] = np.maximum(predicted, min(0.0, float(measured.frames.min())))
    metadata = {**series.metadata, "method": method}
    if method == "auto":
        from .automatic import choose

        metadata["choice"] = choose(measured, checkpoint=checkpoint).summary()
    return replace(series, frames=frames, tilt_deg=tilt_deg, measured=known, metadata=metadata)


def nearest(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """The frame with the nearest angle; the lower of two that are as near."""
    return series.frames[_nearest(series.tilt_deg, tilt_deg)]


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

    return predict_frames(network(checkpoint), series, tilt_deg=tilt_deg)


def atoms(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """Frames of atoms fitted to all frames, plus the residual. Raises NotAtoms where they show something else."""
    from .atoms import fitted_atoms

    return fitted_atoms(series).predict(tilt_deg)


def auto(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """The blend of the other methods that left-out measured frames speak for: see `automatic`."""
    from .automatic import predict_automatically

    return predict_automatically(series, tilt_deg=tilt_deg, checkpoint=checkpoint).frames


METHODS: dict[str, Callable[..., np.ndarray]] = {
    method.__name__: method
    for method in (nearest, linear, cubic, flow, sirt_reprojection, reprojection, tsgnet, atoms, auto)
}


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


def _nearest(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
    lower = _lower_neighbour(measured_deg, tilt_deg)
    return lower + (measured_deg[lower + 1] - tilt_deg < tilt_deg - measured_deg[lower])


def _checked_targets(tilt_deg, measured_deg: np.ndarray) -> np.ndarray:
    tilt_deg = np.atleast_1d(np.asarray(tilt_deg, np.float64))
    if tilt_deg.ndim != 1 or len(tilt_deg) == 0 or not np.isfinite(tilt_deg).all():
        raise TsgError("tilt_deg must be a list of finite angles in degrees, one at least")
    if (np.diff(tilt_deg) <= 0).any():
        i = int(np.argmax(np.diff(tilt_deg) <= 0))
        raise TsgError(f"tilt_deg must ascend without repeats; {tilt_deg[i]:g} is followed by {tilt_deg[i + 1]:g}")
    low, high = measured_deg[0], measured_deg[-1]
    outside = tilt_deg[(tilt_deg < low - SAME_ANGLE_deg) | (tilt_deg > high + SAME_ANGLE_deg)]
    if len(outside):
        raise TsgError(
            f"{len(outside)} target angle(s), the first {outside[0]:g} deg, lie outside the measured range "
            f"{low:g} to {high:g} deg; nothing is extrapolated"
        )
    return tilt_deg
