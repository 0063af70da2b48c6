"""How sure the method `informed` may be on the series at hand: its intervals, held against frames that are left out."""

import numpy as np
from scipy.stats import norm

from ...tilt_series import TiltSeries
from ..uncertainty import CALIBRATED_AT
from .network import InformedNet, predict_informed


def predict_calibrated(net: InformedNet, series: TiltSeries, tilt_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames of `predict_informed` and their standard deviations, (n, n_y, n_x) each, in the unit of the series.

    The standard deviations are the network's, never less, times a factor for each frame. With the `shortfall` of those
    of left-out frames, their variance exceeds what the network stated. That excess is taken not to shrink with the
    spacing, as what the network never met does not: every frame's variance exceeds what is stated by as much in the
    mean. They are those of a frame as it would be measured, its noise included.
    """
    frames, sigma = predict_informed(net, series, tilt_deg)
    factor, left_out_sigma = shortfall(net, series)
    excess = (factor**2 - 1) * left_out_sigma**2
    stated = (sigma.astype(np.float64) ** 2).mean(axis=(1, 2), keepdims=True)
    return frames, (sigma * np.sqrt(1 + excess / stated)).astype(np.float32)


def shortfall(net: InformedNet, series: TiltSeries) -> tuple[float, float]:
    """By which the stated standard deviations of left-out frames fall short, at least 1, and their root mean square.

    Every second frame is left out and predicted from the others; with the factor the normal interval of 90 % holds
    90 % of their pixels, or more of them. 1 and 0 for two frames, of which none can be left out.
    """
    out = np.arange(1, len(series) - 1, 2)
    if len(out) == 0:
        return 1.0, 0.0
    kept = series.subset(np.setdiff1d(np.arange(len(series)), out))
    frames, sigma = predict_informed(net, kept, series.tilt_deg[out])
    relative = np.abs(series.frames[out] - frames) / sigma
    factor = float(np.quantile(relative, CALIBRATED_AT)) / norm.ppf((1 + CALIBRATED_AT) / 2)
    return max(1.0, factor), float(np.sqrt((sigma.astype(np.float64) ** 2).mean()))
