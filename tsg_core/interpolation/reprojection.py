"""Frames as projections of one object: a volume is made from the measured frames and projected at other angles."""

from functools import partial

import numpy as np

from ..reconstruction.projection import project
from ..tilt_series import TiltSeries
from .angles import between
from .fitted_object import FINE_PX
from .fitted_series import FittedSeries
from .kriging import kriged
from .large_series import is_large
from .residual import carried_residual, spectrum_of


def sirt_reprojection(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """Projections of the volume that SIRT (100 iterations, non-negative) makes from the frames."""
    fitted, n_x = FittedSeries.of(series).sirt_object, series.frames.shape[2]
    return fitted.projections(tilt_deg) if n_x > FINE_PX else project(fitted, tilt_deg=tilt_deg, n_pixels=n_x)


def reprojection(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """Frames of the `FittedObject`, plus the residual of the measured frames, which the object misses.

    The object carries everything that moves with the angle. To this is added the mean residual over the frames. A cubic
    spline interpolates the rest of the residual, as far as it is not noise and persists from frame to frame; see
    `FittedSeries.residual_weights`. Beyond the measured range, where a spline goes astray, only the mean is added.
    """
    fitted = FittedSeries.of(series)
    residual = fitted.missed()
    mean = residual.mean(axis=0)
    residual = np.subtract(residual, mean, out=residual if is_large(residual) else None)
    angles_and_weights = {"measured_deg": series.tilt_deg, "weights": fitted.residual_weights}
    carried = partial(carried_residual, spectrum_of(residual), **angles_and_weights)
    frames = fitted.object.frames(tilt_deg)
    inner = between(series.tilt_deg, tilt_deg)
    if not is_large(series.frames) and inner.all():
        return frames + mean + carried(tilt_deg=tilt_deg)
    for k in range(len(frames)):
        frames[k] += mean + carried(tilt_deg=tilt_deg[k : k + 1])[0] if inner[k] else mean
    return frames


def kriging(series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
    """Frames of the `FittedObject`, plus the residual of the measured frames by `kriging.kriged`.

    If the residual changes completely from frame to frame, as the halo of a wide probe on a crystal does, kriging is
    closer to the truth than a spline; if it changes slowly, the spline of `reprojection` is closer.
    """
    fitted = FittedSeries.of(series)
    angles = {"measured_deg": series.tilt_deg, "tilt_deg": tilt_deg}
    frames = kriged(fitted.missed(), **angles, overwrite=is_large(series.frames))
    frames += fitted.object.frames(tilt_deg)
    return frames
