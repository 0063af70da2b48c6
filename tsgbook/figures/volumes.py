"""Figures of the chapter on volumes."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.ticker import LogLocator, NullFormatter

from tsg_core.evaluation.spectra import ShellCorrelation
from tsg_core.pictures.slices import draw_scale_bar, middle_slices, upright

from ..experiments.summary import over_particles
from ..experiments.volume_tables import arm_labels, atom_means
from . import plotting

FIGURE_3 = {"chamfer_A": "Chamfer distance (Å)", "rms_A": "RMS error (Å)"}
ATOMS = {"missing": "missing per 100 atoms", "invented": "invented per 100 atoms", "rmsd_pm": "RMSD (pm)"}


def against_gap(table: pd.DataFrame, columns: Mapping[str, str] = FIGURE_3, *, seed: int = 0):
    """Means over particles against the gap: a row for each microscope, a panel for each of the labelled columns."""
    means = over_particles(arm_labels(table), by=["microscope", "label", "gap"], columns=list(columns), seed=seed)
    return _panels(means, columns)


def in_words(table: pd.DataFrame, column: str, *, microscope: str = "non_aberrated", seed: int = 0) -> str:
    """The ends of the lines of one panel of `against_gap`."""
    rows = arm_labels(table)
    means = over_particles(rows[rows["microscope"] == microscope], by=["label", "gap"], columns=[column], seed=seed)
    return plotting.values_in_words(means, x="gap", y=column, by="label")


def atoms_against_gap(table: pd.DataFrame, *, seed: int = 0):
    """Missing atoms, invented atoms, and the RMSD of the matched ones against the gap."""
    return _panels(atom_means(table, seed=seed), ATOMS)


def against_dose(table: pd.DataFrame, *, column: str = "chamfer_A", label: str = FIGURE_3["chamfer_A"], seed: int = 0):
    """Means against the number of frames that share a dose: a row for each microscope, a panel for each dose."""
    means = over_particles(
        arm_labels(table), by=["microscope", "dose_per_A2", "label", "n_measured"], columns=[column], seed=seed
    )
    doses, microscopes = means["dose_per_A2"].unique(), means["microscope"].unique()
    size = (max(4.6, 4.2 * len(doses)), 2.7 * len(microscopes))
    figure, axes = plt.subplots(len(microscopes), len(doses), figsize=size, sharex=True, squeeze=False)
    for row, microscope in zip(axes, microscopes, strict=True):
        for axis, amount in zip(row, doses, strict=True):
            shown = means[(means["microscope"] == microscope) & (means["dose_per_A2"] == amount)]
            plotting.plot_with_interval(axis, shown, x="n_measured", y=column, by="label")
            title = f"{microscope.replace('_', '-')}, {amount:,.0f} e/Å² in all"
            axis.set(xlabel="frames that share the dose", ylabel=label, title=title)
            _scale(axis, column)
    for axis in axes[:-1].flat:
        axis.set_xlabel("")
    axes[0, 0].legend(fontsize=8)
    return figure


def slices_by_gap(slices: Mapping[str, Mapping[int, np.ndarray]], *, pixel_size_A: float):
    """Slices (n_z, n_x) of one particle: a row for each arm, a column for each gap; one grey scale, see `_shades`."""
    gaps = sorted({gap for row in slices.values() for gap in row})
    size = (1.5 * len(gaps) + 0.9, 1.6 * len(slices) + 0.4)
    figure, axes = plt.subplots(len(slices), len(gaps), figsize=size, squeeze=False)
    shades = _shades(picture for row in slices.values() for picture in row.values())
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, gap in zip(axes[0], gaps, strict=True):
        axis.set_title(f"gap {gap}", fontsize=9)
    for row, (name, pictures) in zip(axes, slices.items(), strict=True):
        row[0].set_ylabel(name, fontsize=9)
        for axis, gap in zip(row, gaps, strict=True):
            if gap in pictures:
                axis.imshow(upright(pictures[gap]), norm=shades)
    some = next(iter(next(iter(slices.values())).values()))
    draw_scale_bar(axes[0, 0], some.shape, pixel_size_A, colour="w")
    return figure


def orthogonal_slices(volumes: Mapping[str, np.ndarray], *, voxel_size_A: float):
    """The `middle_slices` of each volume (n_y, n_z, n_x): a column for each volume, one grey scale; see `_shades`."""
    slices_of = [middle_slices(volume) for volume in volumes.values()]
    pictures = {name: [slices[name] for slices in slices_of] for name in slices_of[0]}
    figure, axes = plt.subplots(3, len(volumes), figsize=(2.1 * len(volumes) + 0.4, 6.4), squeeze=False)
    shades = _shades(picture for slices in pictures.values() for picture in slices)
    for row, (name, slices) in zip(axes, pictures.items(), strict=True):
        row[0].set_ylabel(name, fontsize=9)
        for axis, picture in zip(row, slices, strict=True):
            axis.imshow(picture, norm=shades)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    for axis, name in zip(axes[0], volumes, strict=True):
        axis.set_title(name, fontsize=9)
    for row, name in zip(axes, pictures, strict=True):
        draw_scale_bar(row[0], pictures[name][0].shape, voxel_size_A, colour="w")
    return figure


def shell_correlations(panels: Mapping[str, Mapping[str, ShellCorrelation]]):
    """Fourier shell correlations: a panel for each title, a line for each name, and the thresholds 0.5 and 0.143."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.4 * len(panels), 3.2), sharey=True, squeeze=False)
    for axis, (title, curves) in zip(axes[0], panels.items(), strict=True):
        for name, curve in curves.items():
            axis.plot(curve.frequency_per_A, curve.correlation, lw=1.4, label=name, color=plotting.COLOURS.get(name))
        for threshold in (0.5, 0.143):
            axis.axhline(threshold, color="#999999", lw=0.8, ls=":")
            axis.text(0.02, threshold + 0.02, f"{threshold:g}", fontsize=7, color="#666666")
        axis.set(xlabel="spatial frequency (1/Å)", title=title, xlim=(0, None))
        axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.08, 0.0))
    axes[0, 0].set_ylabel("correlation")
    return figure


def _shades(pictures) -> PowerNorm:
    """Grey is the square root of the density, black at zero and below, so that streaks show beside bright atoms."""
    return PowerNorm(0.5, vmin=0, vmax=max(picture.max() for picture in pictures), clip=True)


def _panels(means: pd.DataFrame, columns: Mapping[str, str]):
    microscopes = means["microscope"].unique()
    size = (max(3.3 * len(columns), 9), 2.9 * len(microscopes))
    figure, axes = plt.subplots(len(microscopes), len(columns), figsize=size, sharex=True, squeeze=False)
    for row, microscope in zip(axes, microscopes, strict=True):
        for axis, (column, label) in zip(row, columns.items(), strict=True):
            plotting.plot_with_interval(axis, means[means["microscope"] == microscope], x="gap", y=column, by="label")
            axis.set(ylabel=label, title=microscope.replace("_", "-"))
            _scale(axis, column)
    for axis in axes[:-1].flat:
        axis.set_xlabel("")
    axes[0, 0].legend(fontsize=7)
    return figure


def _scale(axis, column: str) -> None:
    """Scale of an axis: logarithmic for distances, one that includes zero for counts, linear for the rest."""
    if column in ("missing", "invented"):
        axis.set_yscale("symlog", linthresh=1)
        axis.set_ylim(bottom=-0.1)
        axis.yaxis.set_major_formatter("{x:g}")
    elif column.endswith(("_A", "_pm")):
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
