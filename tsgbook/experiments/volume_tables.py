"""Tables and sentences of the chapter on volumes.

They are made from the rows of `frames_and_volumes.volume_metrics` and `dose.dose_metrics`.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tsg_core.evaluation.spectra import ShellCorrelation
from tsg_core.evaluation.statistics import verdict

from . import claims, dose
from .summary import gain_over, over_particles, with_interval

SPARSE, MIX, NEITHER = "Sparse", "Mix", "no difference resolved"


def arm_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Add `label` (arm and method), and drop the arm Twice as dense, which is Sparse at half the gap."""
    shown = table[table["arm"] != "Twice as dense"]
    return shown.assign(label=[f"{a} {m}".strip() for a, m in zip(shown["arm"], shown["method"], strict=True)])


def against_sparse(table: pd.DataFrame, *, column: str = "chamfer_A", seed: int = 0) -> pd.DataFrame:
    """Mix minus Sparse for each microscope, label and gap: `gain` with its interval, and `winner`.

    Lower values of `column` must be better. The winner is Mix or Sparse if the interval excludes zero.
    """
    labelled = arm_labels(table[table["arm"] != "Reference"])
    gains = gain_over(labelled, column=column, of="label", baseline=SPARSE)
    means = over_particles(
        gains[gains["label"] != SPARSE], by=["microscope", "label", "gap"], columns=["gain"], seed=seed
    )
    intervals = means[["gain_low", "gain_high"]].to_numpy()
    return means.assign(winner=[verdict(*i, higher=SPARSE, lower=MIX, unresolved=NEITHER) for i in intervals])


def who_wins(table: pd.DataFrame, *, column: str = "chamfer_A", seed: int = 0) -> pd.DataFrame:
    """`against_sparse` for readers: a row for each microscope and gap, a column for each Mix ("difference winner")."""
    means = against_sparse(table, column=column, seed=seed)
    texts = [f"{_interval(row, 'gain', digits=3)} {row['winner']}" for _, row in means.iterrows()]
    wide = means.assign(text=texts, microscope=_spelt(means["microscope"]))
    wide = wide.pivot_table(index=["microscope", "gap"], columns="label", values="text", aggfunc="first", sort=False)
    return wide.reset_index().rename_axis(columns=None)


def who_wins_sentences(table: pd.DataFrame, *, seed: int = 0) -> str:
    """Markdown with a line for each microscope and Mix: at how many gaps it was nearer to the Reference than Sparse."""
    lines = []
    for (microscope, label), rows in against_sparse(table, seed=seed).groupby(["microscope", "label"], sort=False):
        counts = rows["winner"].value_counts()
        best = rows.loc[rows["gain"].idxmin()]
        most = f"Its largest gain is {_interval(best, 'gain', digits=3)} Å (Mix − Sparse), at a gap of {best['gap']}."
        lines.append(
            f"- **{label}**, {microscope.replace('_', '-')}: nearer than Sparse at {counts.get(MIX, 0)} of {len(rows)} "
            f"gaps, farther at {counts.get(SPARSE, 0)}, {NEITHER} at {counts.get(NEITHER, 0)}. "
            + (most if best["gain"] < 0 else "On average it is farther at every gap.")
        )
    return "\n".join(lines)


def claims_table(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """`claims.all_claims` for readers, with the verdicts by the true density beside those by the Reference."""
    judged = claims.all_claims(table, seed=seed)
    by_truth = claims.all_claims(table, distance="true_chamfer_A", seed=seed)
    keys = ["claim", "microscope", "who"]
    truth = by_truth.set_index(keys)["verdict"].reindex(pd.MultiIndex.from_frame(judged[keys])).fillna("not measured")
    by_distance = judged["measure"].str.contains("distance|slope").to_numpy()
    return pd.DataFrame(
        {
            "claim": judged["claim"],
            "tested on": _spelt(judged["microscope"]) + ", " + judged["who"],
            "measured": [f"{_interval(row, 'mean', digits=3)} {row['unit']}" for _, row in judged.iterrows()],
            "verdict": judged["verdict"],
            "gap by gap": judged["by_gap"],
            "by the true density": np.where(by_distance, truth.to_numpy(), ""),
        }
    )


def claims_sentences(table: pd.DataFrame, *, seed: int = 0) -> str:
    """Markdown with a line for each claim, judged by the distance from the Reference."""
    return claims.sentences(claims.all_claims(table, seed=seed))


def resolutions_table(panels: Mapping[str, Mapping[str, ShellCorrelation]]) -> pd.DataFrame:
    """The periods in angstrom at which each curve falls below 0.5 and 0.143: a row for each title and name."""
    rows = []
    for title, curves in panels.items():
        for name, curve in curves.items():
            found = {f"below {t:g} at (Å)": _resolution(curve, t) for t in (0.5, 0.143)}
            rows.append({"correlation in": title, "volume": name, **found})
    return pd.DataFrame(rows)


def atoms_table(table: pd.DataFrame, *, gap: int, seed: int = 0) -> pd.DataFrame:
    """Precision, recall, missing and invented atoms and RMSD of every arm at a gap, and of the Reference."""
    means = atom_means(table[table["gap"].isin([1, gap])], seed=seed)
    return pd.DataFrame(
        {
            "microscope": _spelt(means["microscope"]),
            "arm": means["label"],
            "precision": [_interval(row, "precision") for _, row in means.iterrows()],
            "recall": [_interval(row, "recall") for _, row in means.iterrows()],
            "missing per 100 atoms": [_interval(row, "missing", digits=1) for _, row in means.iterrows()],
            "invented per 100 atoms": [_interval(row, "invented", digits=1) for _, row in means.iterrows()],
            "RMSD (pm)": [_interval(row, "rmsd_pm", digits=1) for _, row in means.iterrows()],
        }
    )


def atom_means(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Means over particles, with intervals: precision, recall, RMSD, missing and invented atoms per 100 true atoms.

    If no maximum was found at all, nothing is invented and the precision is 1.
    """
    labelled = arm_labels(table)
    matched = labelled["atoms"] - labelled["missing"]
    found = matched + labelled["invented"]
    shares = labelled.assign(
        precision=(matched / found).where(found > 0, 1.0),
        recall=matched / labelled["atoms"],
        missing=100 * labelled["missing"] / labelled["atoms"],
        invented=100 * labelled["invented"] / labelled["atoms"],
    )
    columns = ["precision", "recall", "missing", "invented", "rmsd_pm"]
    return over_particles(shares, by=["microscope", "label", "gap"], columns=columns, seed=seed)


def atoms_sentences(table: pd.DataFrame, *, seed: int = 0) -> str:
    """Markdown with a line for each microscope: missing and invented atoms of every arm at the largest gap."""
    means = atom_means(table[table["gap"] == table["gap"].max()], seed=seed)
    lines = []
    for microscope, rows in means.groupby("microscope", sort=False):
        parts = [f"{r['label']} misses {r['missing']:.1f} and invents {r['invented']:.1f}" for _, r in rows.iterrows()]
        lines.append(
            f"- **{microscope.replace('_', '-')}**, gap {rows['gap'].iloc[0]}, of 100 atoms: {'; '.join(parts)}."
        )
    return "\n".join(lines)


def dose_table(table: pd.DataFrame, *, column: str = "chamfer_A", seed: int = 0) -> pd.DataFrame:
    """`dose.against_all_frames` for readers."""
    found = dose.against_all_frames(table, column=column, seed=seed)
    return pd.DataFrame(
        {
            "microscope": _spelt(found["microscope"]),
            "dose (e/Å²)": found["dose_per_A2"].map("{:,.0f}".format),
            "measured frames": found["n_measured"],
            "arm": found["arm"],
            "minus all frames (Å)": [_interval(row, "mean", digits=3) for _, row in found.iterrows()],
            "than all frames": found["verdict"],
        }
    )


def dose_sentences(table: pd.DataFrame, *, column: str = "chamfer_A", seed: int = 0) -> str:
    """Markdown with a line for each microscope and dose: the arm with the lowest mean, and whether it is resolved."""
    against = dose.against_all_frames(table, column=column, seed=seed)
    lines = []
    for (microscope, amount), rows in against.groupby(["microscope", "dose_per_A2"], sort=False):
        best = rows.loc[rows["mean"].idxmin()]
        where = f"**{microscope.replace('_', '-')}**, {amount:,.0f} e/Å² in all"
        if best["mean"] >= 0:
            lines.append(
                f"- {where}: nothing came nearer to the Reference than all frames with their share of the dose."
            )
            continue
        sure = {"better": "a resolved gain"}.get(best["verdict"], "which this run does not resolve")
        lines.append(
            f"- {where}: nearest on average is {best['arm']} from {best['n_measured']} measured frames, "
            f"{_interval(best, 'mean', digits=3)} Å against all frames over {best['particles']} particles, {sure}."
        )
    return "\n".join(lines)


def _resolution(curve: ShellCorrelation, threshold: float) -> str:
    if (curve.correlation >= threshold).all():
        return f"≤ {1 / curve.frequency_per_A[-1]:.2f}"
    return f"{curve.resolution_A(threshold=threshold):.2f}"


def _interval(row: pd.Series, name: str, *, digits: int = 2) -> str:
    low, high = (f"{name}_low", f"{name}_high") if f"{name}_low" in row else ("low", "high")
    return with_interval(row[name], row[low], row[high], digits=digits)


def _spelt(microscopes: pd.Series) -> pd.Series:
    return microscopes.str.replace("_", "-")
