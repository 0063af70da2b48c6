"""The TSGNet paper's claims about volumes, each with a verdict from the rows of an experiment.

Every function takes the table of `frames_and_volumes.volume_metrics` and returns a list of `Claim`, one for each
microscope and method; the list is empty if the table lacks the necessary arms, gaps or columns. Rows of one particle
are averaged over offsets, then over gaps. Intervals are over particles, of paired differences.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsg_core.evaluation.statistics import PairedDifference, paired_difference, verdict

MARGIN = 0.1  # Mix may miss the rival by this fraction of the rival's gain over Sparse and still count as equally good
KNEE_GAP = 6  # the paper sees the curves level off beyond this gap
YES, NO, OPEN = "yes", "no", "not resolved"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim, the case tested, the mean of its measure with an interval, and "yes", "no" or "not resolved"."""

    claim: str
    microscope: str
    who: str
    measure: str
    unit: str
    mean: float
    low: float
    high: float
    verdict: str
    by_gap: str = ""  # verdicts at single gaps, if the claim is about pairs of gaps


def all_claims(table: pd.DataFrame, *, distance: str = "chamfer_A", seed: int = 0) -> pd.DataFrame:
    """A row for each `Claim` that the table can test. `distance` names the column by which the first four are judged.

    `distance="true_chamfer_A"` uses the distance from the true density instead of the distance from the Reference.
    """
    judged = [
        *as_good_as_twice_the_density(table, distance=distance, seed=seed),
        *equal_or_better_at_equal_count(table, distance=distance, seed=seed),
        *falls_with_the_gap(table, distance=distance, seed=seed),
        *levels_off(table, distance=distance, seed=seed),
        *aberrated_volumes_are_rougher(table, seed=seed),
        *aberrated_volumes_have_more_background(table, seed=seed),
        *fewer_artefacts_in_mix(table, seed=seed),
    ]
    return pd.DataFrame([vars(claim) for claim in judged], columns=list(Claim.__dataclass_fields__))


def as_good_as_twice_the_density(table: pd.DataFrame, *, distance: str = "chamfer_A", seed: int = 0) -> list[Claim]:
    """Mix (all) at gap g is as near as Sparse at gap g/2, which measured twice as many frames.

    Measure: distance of Mix at g minus that of Sparse at g/2, averaged over the even gaps from 4 on whose half is in
    the table (at gap 2 the rival is the Reference itself). Yes if the interval of (Mix - rival) - 0.1 (Sparse at g -
    rival) ends at or below 0: Mix misses the rival by at most a tenth of the gain from doubling the density. No if it
    does not, and the interval of Mix - rival lies above 0.
    """
    gaps = [g for g in _gaps(table) if g >= 4 and g % 2 == 0 and g // 2 in _gaps(table)]
    sparse = table[table["arm"] == "Sparse"]
    rival = sparse.assign(gap=2 * sparse["gap"])
    rival = rival[rival["gap"].isin(gaps)]
    text = "Mix is as good as a series of twice the angular density"
    return _against_rival(table, rival, gaps=gaps, arm="Mix (all)", distance=distance, claim=text, seed=seed)


def equal_or_better_at_equal_count(table: pd.DataFrame, *, distance: str = "chamfer_A", seed: int = 0) -> list[Claim]:
    """Mix (midpoint) at gap g is as near as a series with the same number of frames, all measured, at the same angles.

    Measure and verdict as in `as_good_as_twice_the_density`. The rival is the arm Twice as dense; Mix predicts every
    second of its frames.
    """
    rival = table[table["arm"].eq("Twice as dense") & table["gap"].ge(4)]
    gaps = sorted(set(rival["gap"]))
    text = "At an equal number of frames Mix is equal or better"
    return _against_rival(table, rival, gaps=gaps, arm="Mix (midpoint)", distance=distance, claim=text, seed=seed)


def falls_with_the_gap(table: pd.DataFrame, *, distance: str = "chamfer_A", seed: int = 0) -> list[Claim]:
    """Similarity to the Reference falls as the gap grows.

    Measure: slope of a straight line through distance against gap, from a gap of 2 on, of Sparse and of Mix (all).
    Yes if its interval lies above 0, no if below.
    """
    return _slopes(
        table, distance=distance, claim="Similarity falls with the gap", measure="slope", unit="Å per step",
        value=_slope, wanted=1, seed=seed,
    )  # fmt: skip


def levels_off(table: pd.DataFrame, *, distance: str = "chamfer_A", seed: int = 0) -> list[Claim]:
    """Beyond a gap of six, similarity levels off.

    Measure: slope of distance against gap from 6 on, minus half the slope up to 6; for a straight line this is half its
    slope. Yes if the interval lies below 0, no if above. Needs two gaps on either side; 6 counts for both.
    """

    gaps = np.array(_gaps(table))
    if min(np.sum(gaps <= KNEE_GAP), np.sum(gaps >= KNEE_GAP)) < 2:
        return []

    def bend(gap: np.ndarray, far: np.ndarray) -> float:
        early, late = gap <= KNEE_GAP, gap >= KNEE_GAP
        return _slope(gap[late], far[late]) - _slope(gap[early], far[early]) / 2

    return _slopes(
        table, distance=distance, claim="Similarity levels off beyond a gap of six",
        measure="slope beyond six − half the slope before", unit="Å per step", value=bend, wanted=-1, seed=seed,
    )  # fmt: skip


def aberrated_volumes_are_rougher(table: pd.DataFrame, *, seed: int = 0) -> list[Claim]:
    """Non-aberrated volumes are smoother, aberrated ones finer.

    Measure: `roughness_per_A` (sum of |grad v| over sum of |v|, inside the particle) of the aberrated volume minus that
    of the non-aberrated volume of the same particle. Yes if its interval lies above 0, no if below.
    """
    claim = "Non-aberrated volumes are smoother, aberrated ones finer"
    names = {"claim": claim, "measure": "roughness, aberrated − non-aberrated", "unit": "1/Å"}
    return _between_microscopes(table, column="roughness_per_A", seed=seed, **names)


def aberrated_volumes_have_more_background(table: pd.DataFrame, *, seed: int = 0) -> list[Claim]:
    """Aberrated volumes have more background artefacts.

    Measure: `background` (rms outside the particle over rms inside) of the aberrated volume minus that of the
    non-aberrated one. It also counts the tails of the probe. Yes if its interval lies above 0, no if below.
    """
    claim = "Aberrated volumes have more background artefacts"
    names = {"claim": claim, "measure": "background, aberrated − non-aberrated", "unit": ""}
    return _between_microscopes(table, column="background", seed=seed, **names)


def fewer_artefacts_in_mix(table: pd.DataFrame, *, seed: int = 0) -> list[Claim]:
    """Mix (all) has fewer artefacts than Sparse.

    Measure: `artefacts` (rms of the difference to the Reference outside the particle, over the rms of the Reference
    inside) of Mix minus that of Sparse, averaged over all gaps. Yes if its interval lies below 0, no if above.
    """
    if "artefacts" not in table:
        return []
    found = []
    for microscope, rows in table.groupby("microscope", sort=False):
        for method, mix in _mixes(rows, "Mix (all)"):
            sparse = rows[rows["arm"] == "Sparse"]
            difference = _paired(mix, sparse, column="artefacts", seed=seed)
            said = verdict(difference.low, difference.high, higher=NO, lower=YES)
            names = {"claim": "Fewer artefacts in Mix than in Sparse", "who": f"Mix (all) {method}"}
            found.append(
                _claim(difference, said, microscope=microscope, measure="artefacts, Mix − Sparse", unit="", **names)
            )
    return found


def sentences(claims: pd.DataFrame) -> str:
    """Markdown with a line for each claim of `all_claims`: in how many cases the run says yes, no, or can't tell."""
    lines = []
    for claim, rows in claims.groupby("claim", sort=False):
        counts = rows["verdict"].value_counts()
        if len(counts) == 1:
            cases = "the one case tested" if len(rows) == 1 else f"all {len(rows)} cases"
            lines.append(f"- *{claim}*: **{counts.index[0]}**, in {cases}.")
        else:
            parts = ", ".join(f"{said} in {counts[said]}" for said in (YES, NO, OPEN) if said in counts)
            lines.append(f"- *{claim}*: **it depends**; {parts} of {len(rows)} cases.")
    return "\n".join(lines)


def _against_rival(table, rival, *, gaps, arm: str, distance: str, claim: str, seed: int) -> list[Claim]:
    """Claims about an arm at `gaps`. The gap of each row of `rival` is the gap of the Mix it is compared with."""
    if not gaps or distance not in table:
        return []
    found = []
    for microscope, rows in table[table["gap"].isin(gaps)].groupby("microscope", sort=False):
        theirs = rival[rival["microscope"] == microscope]
        for method, mix in _mixes(rows, arm):
            parts = mix, theirs, rows[rows["arm"] == "Sparse"]
            difference, said = _as_near(*parts, distance=distance, seed=seed)
            each = {g: _as_near(*(p[p["gap"] == g] for p in parts), distance=distance, seed=seed)[1] for g in gaps}
            names = {"claim": claim, "who": f"{arm} {method}", "measure": "distance, Mix − rival", "unit": "Å"}
            by_gap = ", ".join(f"{gap}: {word}" for gap, word in each.items())
            found.append(_claim(difference, said, microscope=microscope, by_gap=by_gap, **names))
    return found


def _as_near(mix, rival, sparse, *, distance: str, seed: int) -> tuple[PairedDifference, str]:
    """Mix minus its rival, and the verdict whether Mix is as near, within the margin."""
    ours = _by_particle(mix, distance)
    theirs, without = (_by_particle(rows, distance).loc[ours.index] for rows in (rival, sparse))
    difference = paired_difference(ours, theirs, seed=seed)
    allowed = MARGIN * (without - theirs).clip(lower=0)
    within = paired_difference(ours - allowed, theirs, seed=seed)
    return difference, YES if within.high <= 0 else verdict(difference.low, difference.high, higher=NO, lower=YES)


def _slopes(table, *, distance: str, value, wanted: int, seed: int, **names: str) -> list[Claim]:
    """Claims that `value(gaps, distances)` of each particle's curve is above (`wanted` 1) or below (-1) zero."""
    if distance not in table or len(_gaps(table)) < 2:
        return []
    found = []
    for microscope, rows in table[table["gap"] >= 2].groupby("microscope", sort=False):
        arms = [("Sparse", rows[rows["arm"] == "Sparse"])]
        arms += [(f"Mix (all) {method}", mix) for method, mix in _mixes(rows, "Mix (all)")]
        for who, own in arms:
            curves = own.pivot_table(index="particle", columns="gap", values=distance, sort=True)
            slopes = [value(curves.columns.to_numpy(float), far) for far in curves.to_numpy()]
            difference = paired_difference(slopes, np.zeros(len(slopes)), seed=seed)
            higher, lower = (YES, NO) if wanted > 0 else (NO, YES)
            said = verdict(difference.low, difference.high, higher=higher, lower=lower)
            found.append(_claim(difference, said, microscope=microscope, who=who, **names))
    return found


def _between_microscopes(table, *, column: str, seed: int, **names: str) -> list[Claim]:
    if column not in table or not {"aberrated", "non_aberrated"} <= set(table["microscope"]):
        return []
    found = []
    for arm in ("Reference", "Sparse"):
        rows = table[table["arm"] == arm]
        one, other = (rows[rows["microscope"] == name] for name in ("aberrated", "non_aberrated"))
        difference = _paired(one, other, column=column, seed=seed)
        said = verdict(difference.low, difference.high, higher=YES, lower=NO)
        found.append(_claim(difference, said, microscope="both", who=arm, **names))
    return found


def _paired(ours: pd.DataFrame, theirs: pd.DataFrame, *, column: str, seed: int) -> PairedDifference:
    a, b = _by_particle(ours, column), _by_particle(theirs, column)
    return paired_difference(a, b.loc[a.index], seed=seed)


def _by_particle(rows: pd.DataFrame, column: str) -> pd.Series:
    """Mean over gaps of the means over offsets; the number of offsets differs between gaps."""
    return rows.groupby(["particle", "gap"])[column].mean().groupby("particle").mean()


def _mixes(rows: pd.DataFrame, arm: str) -> Iterator[tuple[str, pd.DataFrame]]:
    return iter(rows[rows["arm"] == arm].groupby("method", sort=False))


def _gaps(table: pd.DataFrame) -> list[int]:
    return sorted(set(table.loc[table["arm"] == "Sparse", "gap"]))


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(x, y, 1)[0])


def _claim(difference: PairedDifference, said: str, **names: str) -> Claim:
    return Claim(mean=difference.mean, low=difference.low, high=difference.high, verdict=said, **names)
