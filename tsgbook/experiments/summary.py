"""From rows of experiments to the book's tables: means over particles with bootstrap intervals, paired differences."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tsg_core.errors import TsgError
from tsg_core.evaluation.statistics import bootstrap_interval

# Averages over rates 1 to 12 on the test set, as printed in Table 1 of the TSGNet paper
PAPER_TABLE_1 = pd.DataFrame(
    [
        ("aberrated", "linear", 7.48e-9, 30.48, 0.90),
        ("aberrated", "tsgnet", 5.77e-9, 31.63, 0.93),
        ("non_aberrated", "linear", 1.13e-8, 28.57, 0.86),
        ("non_aberrated", "tsgnet", 7.13e-9, 29.43, 0.89),
    ],
    columns=["microscope", "method", "mse", "psnr_dB", "ssim"],
)


def over_particles(table: pd.DataFrame, *, by: Sequence[str], columns: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Mean of each column in each group, and its 95 % interval as `<column>_low` and `<column>_high`.

    Particles are the independent samples. The rows of one particle (rates, offsets) are averaged first, then particles
    are resampled. With one particle the interval is NaN.
    """
    rows = []
    for key, group in table.groupby(list(by), sort=False):
        row = dict(zip(by, key, strict=True))
        for column in columns:
            values = group.groupby("particle")[column].mean().to_numpy()
            low, high = bootstrap_interval(values, seed=seed)
            row |= {column: values.mean(), f"{column}_low": low, f"{column}_high": high}
        rows.append(row | {"particles": len(values)})
    return pd.DataFrame(rows)


def gain_over(table: pd.DataFrame, *, column: str, of: str, baseline: str) -> pd.DataFrame:
    """Add a column `gain`: the value of each row minus that of the row whose `of` is the baseline, all else equal.

    Raises TsgError if a row has no such baseline, or more than one.
    """
    keys = [k for k in ("microscope", "particle", "rate", "gap", "offset") if k in table]
    base = table[table[of] == baseline].set_index(keys)[column].rename("baseline")
    if base.index.has_duplicates:
        raise TsgError(f"{baseline} stands more than once for {base.index[base.index.duplicated()][0]}")
    joined = table.join(base, on=keys)
    if joined["baseline"].isna().any():
        raise TsgError(f"no {baseline} stands beside {tuple(joined[joined['baseline'].isna()].iloc[0][keys])}")
    return joined.assign(gain=joined[column] - joined["baseline"]).drop(columns="baseline")


def with_interval(mean: float, low: float, high: float, *, digits: int = 2) -> str:
    """`mean [low, high]`, without the interval if there is none."""
    texts = [f"{round(float(v), digits) + 0.0:.{digits}f}" for v in (mean, low, high)]  # + 0.0: no minus before a zero
    return texts[0] if np.isnan(low) else f"{texts[0]} [{texts[1]}, {texts[2]}]"
