"""The uncertainty of the method `informed` for the series at hand: its intervals, checked with left-out frames."""

import numpy as np
from scipy.stats import norm

from ...tilt_series import TiltSeries
from ..uncertainty import CALIBRATED_AT
from .network import InformedNet, predict_informed


def predict_calibrated(net: InformedNet, series: TiltSeries, tilt_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames of `predict_informed` and their standard deviations, (n, n_y, n_x) each, in the unit of the series.

    The standard deviations are those of the network, multiplied by a factor of at least 1 for each frame. In left-out
    frames the variance exceeds what the network stated, by the `shortfall`. This excess is assumed not to shrink with
    the spacing, because it comes from what the network has never met: the mean variance of every frame is raised by the
    same amount. The result applies to a frame as it would be measured, noise included.
    """
    frames, sigma = predict_informed(net, series, tilt_deg)
    factor, left_out_sigma = shortfall(net, series)
    excess = (factor**2 - 1) * left_out_sigma**2
    stated = (sigma.astype(np.float64) ** 2).mean(axis=(1, 2), keepdims=True)
    return frames, (sigma * np.sqrt(1 + excess / stated)).astype(np.float32)


def shortfall(net: InformedNet, series: TiltSeries) -> tuple[float, float]:
    """Factor, at least 1, by which stated standard deviations of left-out frames are too small, and their rms.

    Every second frame is left out and predicted from the others. With the factor, the 90 % normal interval contains at
    least 90 % of their pixels. Returns 1 and 0 for two frames, since neither can be left out.
    """
    out = np.arange(1, len(series) - 1, 2)
    if len(out) == 0:
        return 1.0, 0.0
    kept = series.subset(np.setdiff1d(np.arange(len(series)), out))
    frames, sigma = predict_informed(net, kept, series.tilt_deg[out])
    relative = np.abs(series.frames[out] - frames) / sigma
    factor = float(np.quantile(relative, CALIBRATED_AT)) / norm.ppf((1 + CALIBRATED_AT) / 2)
    return max(1.0, factor), float(np.sqrt((sigma.astype(np.float64) ** 2).mean()))
