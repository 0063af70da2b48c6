"""The method that best predicts the user's own measured frames, or a blend if that is better, with its uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from ..errors import TsgError
from ..evaluation.metrics import psnr_dB
from ..reconstruction.extent import extent_of
from ..tilt_series import TiltSeries, microscope_of
from .fitted_series import FittedSeries
from .large_series import AFFORDABLE_px, hand_back_memory, is_large, judged_part, judged_rows
from .leave_out import ErrorTrend, LeftOut, Predict, carried_gain_dB, effective_spacing_deg, error_trend, leave_out
from .methods import SINGLE_METHODS, predict
from .uncertainty import PixelErrors, learn_pixel_errors

CANDIDATES = ("linear", "cubic", "smooth", "reprojection", "kriging", "tsgnet", "informed", "atoms", "dynamical")
AS_GOOD_dB = 0.2  # a smaller gain over linear does not justify a method that assumes more
COARSEST_PIXEL_A = 1.0  # larger pixels show no atoms one by one
AFFORDABLE_MULTISLICE_s = 1800.0  # of one core; longer work is done on request only
UNSHOWN_dB = 0.5  # least gain, minus its standard error, that is trusted although no left-out frame shows it


@dataclass(frozen=True, eq=False, kw_only=True)
class Choice:
    """What leaving out measured frames says about the methods.

    table     a row for each candidate: `left_out_mse` and `left_out_psnr_dB` at twice the spacing; the `power` of the
              spacing with which its error falls; `expected_psnr_dB` and `weight` half-way between measured frames; the
              `reason` if it does not apply
    method    the method with the largest weight
    weights   of the methods half-way between measured frames
    verdict   the same as a sentence
    trend     of the errors with the spacing; None for two frames, since neither can be left out
    errors    where errors lie in a frame; None for two frames
    rows      rows of the frames by which the methods were judged; None for all
    """

    table: pd.DataFrame
    method: str
    weights: dict[str, float]
    verdict: str
    trend: ErrorTrend | None = None
    errors: PixelErrors | None = None
    rows: slice | None = None

    def summary(self) -> dict:
        """The part that goes into the metadata of a series: numbers and text only."""
        table = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        found = {"method": self.method, "weights": self.weights, "verdict": self.verdict, "left_out": table}
        return found if self.rows is None else found | {"judged_rows": [self.rows.start, self.rows.stop]}


@dataclass(frozen=True, eq=False, kw_only=True)
class AutomaticPrediction:
    """Frames (n, n_y, n_x), their standard deviations (n, n_y, n_x; None if only two are measured), and the choice."""

    frames: np.ndarray
    sigma: np.ndarray | None
    choice: Choice


def predict_automatically(
    series: TiltSeries,
    *,
    tilt_deg,
    methods: Sequence[str] | None = None,
    checkpoint=None,
    predict_by: Predict | None = None,
) -> AutomaticPrediction:
    """Frames at angles between the measured ones, each blended according to its distance from them; see `choose`.

    The standard deviations are those of a frame as it would be measured, noise included.
    """
    tilt_deg = np.atleast_1d(np.asarray(tilt_deg, np.float64))
    methods = None if methods is None else tuple(methods)
    series = FittedSeries.of(series)
    choice = choose(series, methods=methods, checkpoint=checkpoint, predict_by=predict_by)
    predict_by = predict_by or partial(predict, checkpoint=checkpoint)
    spacing_deg = effective_spacing_deg(series.tilt_deg, tilt_deg)
    weights = np.array([_weights(choice, spacing) for spacing in spacing_deg])
    shape = len(tilt_deg), *series.frames.shape[1:]
    predicted, running = [None] * weights.shape[1], RunningBlend(shape) if is_large(series.frames) else None
    for i, method in enumerate(choice.weights):
        if weights[:, i].any():
            try:
                if running is None:
                    predicted[i] = predict_by(method, series, tilt_deg)
                else:
                    hand_back_memory()
                    running.add(predict_by(method, series, tilt_deg), weights[:, i])
            except TsgError:  # although it applied to every part of the series
                weights[:, i] = 0
    lost = weights.sum(axis=1) == 0
    if lost.any():
        raise TsgError(f"{choice.method} applies to parts of the series, but not to all of it; choose another method")
    weights /= weights.sum(axis=1, keepdims=True)
    frames = np.empty(shape, np.float32) if running is None else running.frames
    sigma = None if choice.errors is None else np.empty_like(frames) if running is None else running.squares
    for k, w in enumerate(weights):  # one frame at a time: only predictions and results are as large as the series
        if running is None:
            frames[k], spread = blended_frame(w, [None if p is None else p[k] for p in predicted])
        else:
            frames[k], spread = running.frame(k)
        if sigma is not None:
            sigma[k] = _sigma(choice, frames[k], spread, mse=choice.trend.blended(w, spacing_deg[k]))
    return AutomaticPrediction(frames=frames, sigma=sigma, choice=choice)


def choose(
    series: TiltSeries,
    *,
    methods: tuple[str, ...] | None = None,
    checkpoint=None,
    predict_by: Predict | None = None,
) -> Choice:
    """Leave out measured frames, predict them by every method, and weight the methods by their expected errors.

    Of large frames only the `judged_rows` are predicted. `methods` are names from `methods.SINGLE_METHODS`; by default
    those of `candidates_of`. Left-out frames have twice the spacing; a power law between two and four times the spacing
    extrapolates each method's error to the real spacing. The weights minimise the expected squared error of the blend,
    for each target at its own distance from the measured frames. Linear interpolation is taken if no method is expected
    to gain 0.2 dB over it that can be trusted; see `_trusted`.
    `predict_by(method, series, tilt_deg)` replaces `methods.predict` to cache predictions or show progress.
    Raises TsgError for an unknown method, and if none of the methods applies.
    """
    series = FittedSeries.of(series)
    candidates = candidates_of(series, checkpoint) if methods is None else methods
    _check_methods(candidates)
    rows, part = judged_rows(series), judged_part(series)
    left_out, applying, failed = leave_out(part, candidates, predict_by or partial(predict, checkpoint=checkpoint))
    if left_out is None and len(series) > 2:
        raise TsgError("none of the methods applies: " + "; ".join(f"{m}: {why}" for m, why in failed.items()))
    if left_out is None:
        method = "linear" if "linear" in applying else applying[0]
        verdict = f"{method} is taken, untested: with only two measured frames, none can be left out"
        weights = {m: float(m == method) for m in applying}
        table = pd.DataFrame({"method": list(applying), "weight": list(weights.values())})
        return Choice(table=table, method=method, weights=weights, verdict=verdict)
    trend = error_trend(left_out)
    spacing_deg = float(np.median(np.diff(series.tilt_deg)))
    alone = dict(zip(applying, trend.at(spacing_deg), strict=True))
    suffices = None
    if "linear" in alone:
        suffices = applying.index("linear")
        trend = _trusted(trend, left_out, suffices, spacing_deg)
    weights, expected = trend.blend(spacing_deg)
    method = applying[int(np.argmax(weights))]
    return Choice(
        table=_table(series, trend, applying, failed, weights, spacing_deg),
        method=method,
        weights=dict(zip(applying, weights.tolist(), strict=True)),
        verdict=_verdict(method, alone, expected, weights.max(), trend.allowed == (suffices,)),
        trend=trend,
        errors=pixel_errors(left_out, trend),
        rows=rows,
    )


def candidates_of(series: TiltSeries, checkpoint=None) -> tuple[str, ...]:
    """`CANDIDATES` without those that would take long for a series of this size.

    Multislice sees only the atoms inside the frames, so it is no candidate for an object that goes on outside them, nor
    for frames that are known to hold no dynamical scattering.
    TSGNet is left out if there is no network, and if a band of rows is judged: it needs several hundred rows.
    """
    from ..model.shipped import shipped

    there = (checkpoint is not None or shipped()) and judged_rows(series) is None
    missing = set() if there else {"tsgnet"}
    if series.frames.size > AFFORDABLE_px:
        missing |= {"atoms", "dynamical"}
    elif not _may_be_dynamical(series):
        missing.add("dynamical")
    return tuple(method for method in CANDIDATES if method not in missing)


def _may_be_dynamical(series: TiltSeries) -> bool:
    incoherent = series.metadata.get("engine") == "incoherent"
    return not incoherent and _multislice_is_affordable(series) and extent_of(series) is None


def _multislice_is_affordable(series: TiltSeries) -> bool:
    """Whether frames of the object, four times as many as are measured, take no longer than can be afforded.

    So many are the measured, the wanted and the left-out frames together. Nothing can be computed without a microscope.
    """
    if microscope_of(series) is None or series.pixel_size_A > COARSEST_PIXEL_A:
        return False
    from .dynamical.multislice_atoms import seconds_of_object  # torch takes a second to import

    return seconds_of_object(series, n_frames=4 * len(series)) <= AFFORDABLE_MULTISLICE_s


def _check_methods(methods: Sequence[str]) -> None:
    for method in methods:
        if method not in SINGLE_METHODS:
            raise TsgError(f"method {method!r} cannot be chosen from; there are {', '.join(SINGLE_METHODS)}")
    if not methods:
        raise TsgError(f"no methods to choose from; there are {', '.join(SINGLE_METHODS)}")


def _trusted(trend: ErrorTrend, left_out: LeftOut, linear: int, spacing_deg: float) -> ErrorTrend:
    """The trend, restricted to methods whose gain over linear interpolation can be trusted.

    A method did no worse than linear on the left-out frames themselves, or these agree that it will be better at the
    spacing of the whole series. Only linear remains if the blend of the others gains too little.
    """
    at = np.maximum(trend.at(spacing_deg), 1e-300)
    trusted = []
    for method, alone in enumerate(np.eye(len(at))):
        if trend.mse[method] > trend.mse[linear]:
            carried_dB, error_dB = carried_gain_dB(left_out, alone, over=linear, spacing_deg=spacing_deg)
            if min(10 * np.log10(at[linear] / at[method]), carried_dB - error_dB) <= UNSHOWN_dB:
                continue
        trusted.append(method)
    tried = replace(trend, allowed=tuple(trusted))
    _, expected = tried.blend(spacing_deg)
    gains = at[linear] > expected * 10 ** (AS_GOOD_dB / 10)
    return tried if gains else replace(trend, allowed=(linear,))


def _weights(choice: Choice, spacing_deg: float) -> np.ndarray:
    if choice.trend is None:
        return np.array(list(choice.weights.values()))
    return choice.trend.blend(float(spacing_deg))[0]


def blended_frame(weights: np.ndarray, predicted: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """The blend (n_y, n_x) of the predictions of one frame (None if the weight is 0), and the variance between them."""
    used = [(w, p) for w, p in zip(weights, predicted, strict=True) if w]
    frame = sum(w * p for w, p in used).astype(np.float32)
    return frame, sum(w * (p - frame) ** 2 for w, p in used).astype(np.float32)


def _sigma(choice: Choice, frame: np.ndarray, spread: np.ndarray, *, mse: float) -> np.ndarray:
    """Standard deviations (n_y, n_x) of a frame; its expected error `mse` is that of the judged rows."""
    sigma = choice.errors.sigma(frame[None], spread[None], mse=np.array([mse]))[0]
    if choice.rows is None:
        return sigma
    found = float((sigma[choice.rows] ** 2).mean(dtype=np.float64))
    return sigma * np.float32(choice.errors.scale * np.sqrt(mse / found)) if found > 0 else sigma


def pixel_errors(left_out: LeftOut, trend: ErrorTrend, *, most: float = np.inf) -> PixelErrors:
    """Where the errors of the blend lie in left-out frames; no expected squared error is above `most`."""

    def frames():
        for k in np.flatnonzero(left_out.near):
            spacing_deg = float(left_out.spacing_deg[k])
            weights = trend.blend(spacing_deg)[0]
            expected = min(trend.blended(weights, spacing_deg), most)
            yield left_out.truth[k], *blended_frame(weights, left_out.predicted[:, k]), expected

    return learn_pixel_errors(frames())


def _table(series, trend: ErrorTrend, applying, failed, weights, spacing_deg: float) -> pd.DataFrame:
    peak = max(series.intensity_scale, np.finfo(float).tiny)
    columns = {
        "left_out_mse": trend.mse,
        "left_out_psnr_dB": psnr_dB(np.maximum(trend.mse, 1e-300), peak),
        "power": trend.power,
        "expected_psnr_dB": psnr_dB(np.maximum(trend.at(spacing_deg), 1e-300), peak),
        "weight": weights,
    }
    return method_table(applying, columns, failed)


def method_table(applying: Sequence[str], columns: Mapping[str, np.ndarray], failed: Mapping[str, str]) -> pd.DataFrame:
    """A row for each method: numbers of those that apply, and the `reason` why others do not."""
    rows = pd.DataFrame({"method": applying, **columns, "reason": ""})
    return pd.concat([rows, pd.DataFrame({"method": list(failed), "reason": list(failed.values())})], ignore_index=True)


def _verdict(method: str, alone: dict[str, float], expected: float, weight: float, linear_suffices: bool) -> str:
    if len(alone) == 1:
        return f"{method} is the only method tried that applies"
    if linear_suffices:
        return "linear is as good: no other method is sure to gain 0.2 dB over it"
    sole = method if weight > 0.95 else f"a blend, {weight:.0%} of it {method},"
    if "linear" not in alone or expected <= 0:
        return f"{sole} predicts left-out frames best"
    gain_dB = 10 * np.log10(alone["linear"] / expected)
    return f"{sole} is expected to be {gain_dB:.1f} dB nearer than linear half-way between measured frames"


class RunningBlend:
    """Running weighted mean and variance (West, Communications of the ACM 22, 532, 1979).

    frames   (n, n_y, n_x) float32, the mean
    squares  (n, n_y, n_x) float32, the weighted sum of squared differences from it
    """

    def __init__(self, shape: tuple[int, int, int]):
        self.frames, self.squares = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._weight = np.zeros(shape[0])

    def add(self, predicted: np.ndarray, weights: np.ndarray) -> None:
        """Add a prediction (n, n_y, n_x) with a weight (n,) for each of its frames."""
        for k in np.flatnonzero(weights):
            first = self._weight[k] == 0
            self._weight[k] += weights[k]
            if first:  # untouched memory is not allocated
                self.frames[k] = predicted[k]
                continue
            difference = predicted[k] - self.frames[k]
            self.frames[k] += np.float32(weights[k] / self._weight[k]) * difference
            self.squares[k] += np.float32(weights[k]) * difference * (predicted[k] - self.frames[k])

    def frame(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k-th mean (n_y, n_x) and the variance between its predictions."""
        return self.frames[k], self.squares[k].clip(0) / np.float32(self._weight[k])
