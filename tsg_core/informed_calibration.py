"""How sure the method `informed` may be on the series at hand: its intervals, held against frames that are left out."""

import numpy as np
from scipy.stats import norm

from .informed import InformedNet, predict_informed
from .residual import white_noise_bound
from .tilt_series import TiltSeries
from .uncertainty import CALIBRATED_AT


def predict_calibrated(net: InformedNet, series: TiltSeries, tilt_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames of `predict_informed` and their standard deviations, (n, n_y, n_x) each, times the `sigma_factor`."""
    frames, sigma = predict_informed(net, series, tilt_deg)
    return frames, sigma * np.float32(sigma_factor(net, series))


def sigma_factor(net: InformedNet, series: TiltSeries) -> float:
    """By which the stated standard deviations fall short on this series.

    Every second frame is left out and predicted from the others; with the factor the normal interval of 90 % holds
    90 % of their pixels, white noise of the left-out frames allowed for. 1 for two frames, of which none can be left
    out.
    """
    out = np.arange(1, len(series) - 1, 2)
    if len(out) == 0:
        return 1.0
    kept = series.subset(np.setdiff1d(np.arange(len(series)), out))
    frames, sigma = predict_informed(net, kept, series.tilt_deg[out])
    error = series.frames[out].astype(np.float64) - frames
    z = norm.ppf((1 + CALIBRATED_AT) / 2)
    beyond_noise = ((error / z) ** 2 - white_noise_bound(error)) / sigma.astype(np.float64) ** 2
    return float(np.sqrt(np.quantile(beyond_noise, CALIBRATED_AT).clip(0)))
