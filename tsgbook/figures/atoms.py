"""Figures of the chapter on atoms: the limits of the method, and whether its stated errors are right."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter
from scipy import stats

AXES = {
    "dose_per_A2": "dose of a frame (e/Å²)",
    "spacing_deg": "tilt step (°)",
    "reach_deg": "tilts up to ± (°)",
    "tilt_error_deg": "error of the tilts, σ (°)",
    "vacancies": "vacancies",
    "displacement_A": "outer atoms moved, σ (Å)",
}
VARIANTS = {"usual": "as it is", "tilt_error": "tilts fitted as well", "unjudged": "without asking the frames to agree"}
COLOURS = {"usual": "#0072B2", "tilt_error": "#009E73", "unjudged": "#D55E00"}
IN_A_ROW = 3  # more would be too small to read
LEVELS = np.array([0.5, 0.68, 0.9, 0.95])


def show_limits(table: pd.DataFrame, *, variables=tuple(AXES), variants=tuple(VARIANTS)):
    """Recall, false atoms and RMSD against each variable, of `atom_limits.limits_table`, three variables side by side.

    Lines join the means over repeats, points are single repeats, and a cross marks a series that the method refused.
    The dashed line is the error that the method states. Returns the figure.
    """
    blocks = [variables[k : k + IN_A_ROW] for k in range(0, len(variables), IN_A_ROW)]
    figure = plt.figure(figsize=(8.4, 5.4 * len(blocks)), layout="constrained")
    parts = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
    handles = {}
    for part, block in zip(parts, blocks, strict=True):
        axes = part.subplots(3, len(block), sharex="col", sharey="row", squeeze=False)
        for column, variable in zip(axes.T, block, strict=True):
            for variant in variants:
                rows = table[(table["variable"] == variable) & (table["variant"] == variant)]
                if len(rows):
                    _curves(column, rows, label=VARIANTS[variant], colour=COLOURS[variant])
            if variable == "dose_per_A2":
                column[2].set_xscale("log")
            column[2].set_xlabel(AXES[variable])
        _scales(*axes[:, 0])
        handles |= {line.get_label(): line for axis in axes[0] for line in axis.get_lines()}
    named = {label: line for label, line in handles.items() if label[0] != "_"}
    parts[0].legend(named.values(), named.keys(), loc="outside upper center", ncols=len(named))
    return figure


def _scales(recall, invented, rmsd) -> None:
    recall.set(ylabel="atoms found", ylim=(-0.05, 1.05))
    recall.yaxis.set_major_formatter(PercentFormatter(1))
    invented.set_ylabel("false atoms")
    invented.set_yscale("symlog", linthresh=1)
    invented.set_ylim(-0.2, 1000)
    rmsd.set(ylabel="RMSD (pm)", yscale="log")


def _curves(axes, rows: pd.DataFrame, *, label: str, colour: str) -> None:
    refused = rows["refused"].notna()
    for axis, name in zip(axes, ("recall", "invented", "rmsd_pm"), strict=True):
        found = rows[~refused]
        axis.plot(found["value"], found[name], ".", color=colour, alpha=0.4)
        mean = rows.groupby("value")[name].mean().dropna()
        axis.plot(mean.index, mean, "-", color=colour, label=label)
    stated = rows.groupby("value")["stated_pm"].mean().dropna()
    axes[2].plot(stated.index, stated, "--", color=colour, lw=1)
    axes[0].plot(rows["value"][refused], rows["recall"][refused], "x", color=colour)


def covered(deviations_A, stated_A, *, levels=LEVELS) -> np.ndarray:
    """Fraction (n_level,) of the deviations inside the normal intervals around 0 that have these probabilities."""
    within = np.abs(np.ravel(deviations_A)) / np.ravel(stated_A)
    return np.array([(within < stats.norm.ppf(0.5 + level / 2)).mean() for level in levels])


def show_calibration(errors: dict):
    """Fraction of true positions inside the intervals of each stated probability.

    Takes {name: atom_limits.deviations(...)}. Below the diagonal the stated errors are too small, above it too large.
    Returns the figure.
    """
    levels = np.linspace(0.05, 0.99, 48)
    figure, axis = plt.subplots(figsize=(4.2, 4))
    axis.plot([0, 1], [0, 1], color="#999999", lw=1)
    for name, (deviations_A, stated_A) in errors.items():
        axis.plot(levels, covered(deviations_A, stated_A, levels=levels), label=name)
    axis.set_xlabel("stated probability")
    axis.set_ylabel("coordinates within the interval")
    for along in (axis.xaxis, axis.yaxis):
        along.set_major_formatter(PercentFormatter(1))
    axis.legend(loc="lower right")
    return figure
