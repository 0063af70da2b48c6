"""Frames beyond the measured range, by methods that have an object, and how their errors grow with the distance.

Between two measured frames both sides speak for a prediction; beyond the last one only the object does. How far that
carries is learnt at the ends of the series itself: its outermost frames are left out on one side, few and then many,
predicted from the rest, and compared. The logarithm of the error is fitted by a line in that of the distance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..errors import TsgError
from ..evaluation.metrics import psnr_dB
from ..reconstruction.extent import extent_of
from ..tilt_series import TiltSeries
from .choice import blended_frame, method_table, pixel_errors
from .fitted_series import FittedSeries
from .large_series import judged_part
from .leave_out import OF_OBJECT, ErrorTrend, LeftOut, Predict, error_trend
from .methods import predict

LEARNT_BETWEEN = frozenset({"informed"})  # it has an object, but its network has learnt frames between measured ones
BEYOND = tuple(sorted(OF_OBJECT - LEARNT_BETWEEN))
FEWEST = 5  # frames, of which the outermost can be left out
LEFT_SHARE = 4  # at most a quarter of the frames is left out at an end
STEEPEST = 4.0  # power of the distance for a squared error
DIFFERENT = 2.0  # frames that share nothing differ by twice their variance: no error is larger


@dataclass(frozen=True, eq=False, kw_only=True)
class Beyond:
    """Predictions beyond the measured range, and what left-out ends of the series say about them.

    frames, sigma  (n, n_y, n_x): predicted frames and their standard deviations, as frames would be measured
    tilt_deg       (n,) their angles; `range_deg` is the measured range
    table          a row a method: `left_out_psnr_dB` at the typical distance tested, the `power` of the distance with
                   which its squared error grows, the `weight` at the farthest target, or the `reason` why it fails
    tested_deg     the largest distance from the kept frames at which left-out frames were predicted
    extended       whether the object goes on outside the frames
    """

    frames: np.ndarray
    sigma: np.ndarray
    tilt_deg: np.ndarray
    range_deg: tuple[float, float]
    table: pd.DataFrame
    tested_deg: float
    extended: bool

    @property
    def farthest_deg(self) -> float:
        return float(distance_deg(self.tilt_deg, self.range_deg).max())

    @property
    def verdict(self) -> str:
        best = self.table.loc[self.table["weight"].idxmax()]
        said = (
            f"beyond the measured range {best['method']} predicts best: left-out ends of the series, up to "
            f"{self.tested_deg:.3g} deg away, to {best['left_out_psnr_dB']:.1f} dB"
        )
        if self.farthest_deg > self.tested_deg * (1 + 1e-6):
            said += (
                f"; frames up to {self.farthest_deg:.3g} deg away are farther than that could be tested, and their "
                "standard deviations rest on how the errors grow"
            )
        if self.extended:
            said += (
                "; the object goes on outside the frames, so that these show parts of it that no measured frame shows"
            )
        return said

    def summary(self) -> dict:
        """The part that goes into the metadata of a series: numbers and text only."""
        table = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        return {
            "verdict": self.verdict,
            "range_deg": list(self.range_deg),
            "tested_deg": self.tested_deg,
            "left_out": table,
        }


def distance_deg(tilt_deg: np.ndarray, range_deg: Sequence[float] | np.ndarray) -> np.ndarray:
    """(n,): from the nearer end of a range; 0 inside it."""
    return np.maximum(np.maximum(range_deg[0] - tilt_deg, tilt_deg - range_deg[1]), 0.0)


def check_methods(methods: Sequence[str], range_deg: Sequence[float] | np.ndarray) -> tuple[str, ...]:
    """Those of the methods that can predict beyond a range. Raises TsgError if none of them can."""
    able = tuple(method for method in methods if method in BEYOND)
    if not able:
        why = "has learnt frames between measured ones only" if set(methods) <= LEARNT_BETWEEN else "has no object"
        raise TsgError(
            f"{', '.join(methods)} {why} and cannot predict beyond the measured range, {range_deg[0]:g} to "
            f"{range_deg[1]:g} deg; methods that can: {', '.join(BEYOND)}, auto"
        )
    return able


def edge_folds(measured_deg: np.ndarray, tilt_deg: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices to keep and to predict: outermost frames on one side, as many as reach to `tilt_deg`, and a third of it.

    At most a quarter of the frames is left out. Raises TsgError for fewer than five frames.
    """
    n = len(measured_deg)
    if n < FEWEST:
        raise TsgError(f"{n} measured frames do not show how errors grow beyond them; at least {FEWEST} are needed")
    spacing_deg = float(np.median(np.diff(measured_deg)))
    wanted = np.ceil(distance_deg(tilt_deg, (measured_deg[0], measured_deg[-1])).max() / spacing_deg - 1e-6)
    most = int(np.clip(wanted, 1, max(1, n // LEFT_SHARE)))
    every = np.arange(n)
    for k in sorted({most, max(1, round(most / 3))}):
        yield every[k:], every[:k]
        yield every[:-k], every[-k:]


def predict_beyond(
    series: TiltSeries, *, tilt_deg: np.ndarray, methods: Sequence[str], predict_by: Predict | None = None
) -> Beyond:
    """Frames at angles beyond the measured range, blended as left-out ends of the series speak for the methods.

    Raises TsgError if none of the methods has an object or applies, and for fewer than five frames.
    """
    series, range_deg = FittedSeries.of(series), (float(series.tilt_deg[0]), float(series.tilt_deg[-1]))
    predict_by = predict_by or predict
    able = check_methods(methods, range_deg)
    left_out, applying, failed = _left_out_ends(judged_part(series), tilt_deg, able, predict_by)
    predicted = {}
    for method in applying:
        try:
            predicted[method] = predict_by(method, series, tilt_deg)
        except TsgError as error:  # although it applied to every part of the series
            failed[method] = str(error)
    if not predicted:
        raise _none_applies(failed)
    used = [applying.index(method) for method in predicted]
    left_out = replace(left_out, predicted=left_out.predicted[used])
    trend, most = _trend(left_out), DIFFERENT * float(series.frames.var(axis=0, dtype=np.float64).mean())
    errors = pixel_errors(left_out, trend, most=most)
    frames = np.empty((len(tilt_deg), *series.frames.shape[1:]), np.float32)
    sigma = np.empty_like(frames)
    for k, distance in enumerate(distance_deg(tilt_deg, range_deg)):
        weights = trend.blend(float(distance))[0]
        frames[k], spread = blended_frame(weights, [frames_of[k] for frames_of in predicted.values()])
        mse = min(trend.blended(weights, float(distance)), most)
        sigma[k] = errors.sigma(frames[k][None], spread[None], mse=np.array([mse]))[0]
    farthest = float(distance_deg(tilt_deg, range_deg).max())
    return Beyond(
        frames=frames,
        sigma=sigma,
        tilt_deg=tilt_deg,
        range_deg=range_deg,
        table=_table(series, trend, tuple(predicted), failed, trend.blend(farthest)[0]),
        tested_deg=float(left_out.spacing_deg.max()),
        extended=extent_of(series) is not None,
    )


def _left_out_ends(
    series: FittedSeries, tilt_deg: np.ndarray, methods: Sequence[str], predict_by: Predict
) -> tuple[LeftOut, tuple[str, ...], dict[str, str]]:
    """The outermost frames as predicted from the others; the methods that apply; the reasons why others do not."""
    parts = list(edge_folds(series.tilt_deg, tilt_deg))
    predicted, failed = {method: [] for method in methods}, {}
    for kept, out in parts:
        known = series.fold(kept)
        for method in methods:
            if method in failed:
                continue
            try:
                predicted[method].append(predict_by(method, known, series.tilt_deg[out]))
            except TsgError as error:
                failed[method] = str(error)
    applying = tuple(method for method in methods if method not in failed)
    if not applying:
        raise _none_applies(failed)
    out = np.concatenate([out for _, out in parts])
    away = [distance_deg(series.tilt_deg[out], series.tilt_deg[kept[[0, -1]]]) for kept, out in parts]
    left_out = LeftOut(
        tilt_deg=series.tilt_deg[out],
        spacing_deg=np.concatenate(away),
        truth=series.frames[out],
        predicted=np.stack([np.concatenate(predicted[method]) for method in applying]),
        near=np.ones(len(out), bool),
    )
    return left_out, applying, failed


def _none_applies(failed: dict[str, str]) -> TsgError:
    why = "; ".join(f"{method}: {reason}" for method, reason in failed.items())
    return TsgError(f"no method can predict beyond the measured range: {why}")


def _trend(left_out: LeftOut) -> ErrorTrend:
    """Errors against the distance: the level at the typical distance, and a power from all left-out frames together."""
    trend = error_trend(left_out)
    x = np.log(left_out.spacing_deg)
    x = x - x.mean()
    errors = (left_out.predicted.astype(np.float64) - left_out.truth) ** 2
    y = np.log(errors.mean(axis=(2, 3)).clip(1e-300))
    power = (y @ x) / max(float(x @ x), 1e-12)
    return replace(trend, power=power.clip(0.0, STEEPEST))


def _table(series, trend: ErrorTrend, applying, failed, weights) -> pd.DataFrame:
    peak = max(series.intensity_scale, np.finfo(float).tiny)
    columns = {
        "left_out_psnr_dB": psnr_dB(np.maximum(trend.mse, 1e-300), peak),
        "power": trend.power,
        "weight": weights,
    }
    return method_table(applying, columns, failed)
