"""Frames at tilt angles that were not measured: a tilt series made denser by any of the methods."""

from dataclasses import replace

import numpy as np

from . import methods
from .automatic import choose, predict_automatically
from .errors import TsgError
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
    nearest = methods.nearest_frame(measured.tilt_deg, tilt_deg)
    known = np.abs(measured.tilt_deg[nearest] - tilt_deg) <= SAME_ANGLE_deg
    frames = np.empty((len(tilt_deg), *measured.frames.shape[1:]), np.float32)
    frames[known] = measured.frames[nearest[known]]
    if not known.all():
        predicted = METHODS[method](measured, tilt_deg[~known], checkpoint=checkpoint)
        frames[~known] = methods.not_darker(predicted, measured)
    metadata = {**series.metadata, "method": method}
    if method == "auto":
        metadata["choice"] = choose(measured, checkpoint=checkpoint).summary()
    return replace(series, frames=frames, tilt_deg=tilt_deg, measured=known, metadata=metadata)


def auto(series: TiltSeries, tilt_deg: np.ndarray, *, checkpoint=None) -> np.ndarray:
    """The blend of the other methods that left-out measured frames speak for: see `automatic`."""
    return predict_automatically(series, tilt_deg=tilt_deg, checkpoint=checkpoint).frames


METHODS = {**methods.METHODS, "auto": auto}


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
