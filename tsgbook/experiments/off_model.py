"""Methods tested on frames that no method's own model made and, for comparison, on frames of the usual model.

Multislice frames (`reference_series`) contain the dynamical scattering of electrons in a crystal. Frames of the
incoherent engine follow the convolution with which `reprojection` and `atoms` fit their objects. The difference shows
how much an inverse crime flatters a method.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from tsg_core.errors import TsgError
from tsg_core.evaluation.metrics import image_metrics
from tsg_core.interpolation.choice import candidates_of, predict_automatically
from tsg_core.interpolation.densify import METHODS
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import not_darker, predict
from tsg_core.interpolation.uncertainty import LEVELS, coverage
from tsg_core.sparsity import midpoint_trios
from tsg_core.tilt_series import TiltSeries

from .tables import grow_table, read_table

BASELINE = "linear"
NEED_NOTHING = ("linear", "cubic")  # methods that assume neither an object nor a training set
KEYS = ["model", "particle", "microscope", "spacing_deg"]


@dataclass(frozen=True, kw_only=True)
class SparseCase:
    """One sparse series: the model that made its frames ("multislice" or "incoherent"), and what it shows.

    `load()` returns the whole series; one frame every `spacing_deg` counts as measured.
    """

    model: str
    particle: str
    microscope: str
    spacing_deg: float
    load: Callable[[], TiltSeries]

    @property
    def name(self) -> dict[str, str | float]:
        return {key: getattr(self, key) for key in KEYS}


def spacing_case(series: TiltSeries, *, spacing_deg: float) -> tuple[TiltSeries, TiltSeries]:
    """The measured frames, one every `spacing_deg` from the first on, and the frames half-way between them.

    Raises TsgError if the angles are not evenly spaced, or if there are no frames half-way.
    """
    step_deg = np.diff(series.tilt_deg)
    if len(step_deg) == 0 or np.ptp(step_deg) > 1e-3:
        raise TsgError("the angles of the series are not evenly spaced: it has no frames half-way between others")
    rate = spacing_deg / (2 * step_deg[0])
    if rate < 0.5 or abs(rate - round(rate)) > 1e-6:
        raise TsgError(f"spacing_deg={spacing_deg:g} is not an even multiple of the series' {step_deg[0]:g} deg")
    trios = midpoint_trios(len(series), rate=round(rate), offset=0)
    return series.subset(np.union1d(trios[:, 0], trios[:, 2])), series.subset(trios[:, 1])


def share_of(values: Sequence, *, to: int, each: int) -> list:
    """The `each` values that go to number `to` when they are dealt out evenly; the next number gets others."""
    hands = max(1, len(values) // each)
    return list(values[to % hands :: hands])[:each]


def method_scores(measured: TiltSeries, targets: TiltSeries, methods: Sequence[str]) -> list[dict]:
    """A row for each method: `psnr_dB`, `gain` over linear, `coverage_50`, `_90`, `_95`, and `reason`.

    `methods` are names from `interpolation.METHODS`; linear is always included, and "auto" chooses among the other
    named methods. Numbers are means over the targets; the peak is the brightest pixel of all these frames. Methods that
    state an uncertainty have coverages. A method that does not apply has its TsgError as the reason, and no numbers.
    Raises TsgError for an unknown method.
    """
    for method in methods:
        if method not in METHODS:
            raise TsgError(f"method {method!r} is not known; choose of {', '.join(METHODS)}")
    measured = FittedSeries.of(measured)  # what one method learns of it serves the next
    peak = max(measured.intensity_scale, targets.intensity_scale)
    made: dict[str, np.ndarray] = {}
    rows = []
    first_to_last = [
        BASELINE,
        *(m for m in methods if m not in (BASELINE, "auto")),
        *(m for m in methods if m == "auto"),
    ]
    for method in first_to_last:
        try:
            frames, sigma = _predicted(method, measured, targets.tilt_deg, methods=methods, made=made)
        except TsgError as error:
            rows.append({"method": method, "reason": str(error)})
            continue
        made[method] = frames
        covered = {} if sigma is None else coverage(frames, sigma, targets.frames)
        rows.append(
            {
                "method": method,
                "psnr_dB": float(image_metrics(frames, targets.frames, peak=peak).psnr_dB.mean()),
                **{f"coverage_{100 * level:.0f}": share for level, share in covered.items()},
                "reason": "",
            }
        )
    return [row | {"gain": row["psnr_dB"] - rows[0]["psnr_dB"]} if "psnr_dB" in row else row for row in rows]


def off_model_metrics(cases: Iterable[SparseCase], folder: Path, *, methods: Sequence[str]) -> None:
    """Write the `method_scores` of every case to the table in `folder`, after each case.

    Cases already in the table are skipped, so that an interrupted call continues.
    """
    work = {tuple(case.name.values()): (case,) for case in cases}
    grow_table(folder, partial(_case_rows, methods=methods), work, keys=KEYS, label="predicting")


def _case_rows(case: SparseCase, methods: Sequence[str]) -> list[dict]:
    measured, targets = spacing_case(case.load(), spacing_deg=case.spacing_deg)
    return [{"frames": len(measured)} | row for row in method_scores(measured, targets, methods)]


def read_off_model(folder: Path) -> pd.DataFrame:
    """The table that `off_model_metrics` wrote; NaN where a method has no number."""
    return _with_numbers(read_table(folder))


def gains_table(table: pd.DataFrame) -> pd.DataFrame:
    """Gain over linear in dB: a row for each case, a column for each method, NaN where it does not apply."""
    return _by_method(table, "gain").drop(columns=BASELINE)


def mean_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Mean gain of each method (rows) for each model (columns); the gain is 0 where a method does not apply.

    NaN if a method was not scored on the frames of a model.
    """
    means = gains_table(table).fillna(0.0).groupby(level="model").mean().T
    scored = table.groupby(["method", "model"]).size().unstack().reindex(index=means.index, columns=means.columns)
    return means.where(scored.notna())


def worst_of(table: pd.DataFrame, *, method: str = "auto") -> tuple[tuple, float]:
    """The case in which a method does worst against the better of linear and cubic, and its gain over that in dB."""
    psnr_dB = _by_method(table, "psnr_dB")
    gain = psnr_dB[method] - psnr_dB[[m for m in NEED_NOTHING if m in psnr_dB]].max(axis=1)
    return gain.idxmin(), float(gain.min())


def furthest_behind(table: pd.DataFrame, *, method: str) -> tuple[tuple, float]:
    """The case in which an applicable method is furthest behind the best one, and by how much in dB (at most 0)."""
    psnr_dB = _by_method(table, "psnr_dB")
    behind = psnr_dB[method] - psnr_dB.max(axis=1)
    return behind.idxmin(), float(behind.min())


def coverages(table: pd.DataFrame) -> pd.DataFrame:
    """Mean fraction of pixels inside the intervals of each level, for each model, microscope and method with any."""
    columns = [f"coverage_{100 * level:.0f}" for level in LEVELS if f"coverage_{100 * level:.0f}" in table]
    stated = _with_numbers(table).dropna(subset=columns)
    return stated.groupby(["model", "microscope", "method"], sort=False)[columns].mean()


def _with_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The table with NaN in place of empty text where a method has no number."""
    numbers = [c for c in table if c in ("psnr_dB", "gain") or c.startswith("coverage_")]
    return table.assign(**{c: pd.to_numeric(table[c]) for c in numbers})


def _by_method(table: pd.DataFrame, column: str) -> pd.DataFrame:
    wide = _with_numbers(table).pivot_table(
        index=KEYS, columns="method", values=column, sort=False, dropna=False, aggfunc="first"
    )
    return wide[list(table["method"].unique())].dropna(how="all")


def _predicted(
    method: str, measured: TiltSeries, tilt_deg: np.ndarray, *, methods: Sequence[str], made: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Frames, with standard deviations if the method states them; nothing that is in `made` is made again."""
    if method == "auto":

        def recalled(other: str, series: TiltSeries, wanted_deg: np.ndarray) -> np.ndarray:
            return made[other] if series is measured and other in made else predict(other, series, wanted_deg)

        candidates = [m for m in candidates_of(measured) if m in (BASELINE, *methods)]
        found = predict_automatically(measured, tilt_deg=tilt_deg, methods=candidates, predict_by=recalled)
        return found.frames, found.sigma
    if method == "informed":
        from tsg_core.interpolation.informed.calibration import predict_calibrated
        from tsg_core.interpolation.informed.network import shipped_net

        frames, sigma = predict_calibrated(shipped_net(), measured, tilt_deg)
        return not_darker(frames, measured), sigma
    return predict(method, measured, tilt_deg), None
