"""The limits of the method `atoms`: cases, rows of the table, figures, and what the table shows."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tsg_core.interpolation.atoms.fit import AtomSettings
from tsgbook.experiments.atom_limits import disturbed_limits, found_at, limits_table, prism_limits, unjudged_limits
from tsgbook.figures.atoms import AXES, LEVELS, VARIANTS, covered, show_calibration, show_limits

PLAIN = AtomSettings(channelling=False)


def limit(variable, value, variant="usual"):
    cases = prism_limits(seeds=1) if variable in ("dose_per_A2", "spacing_deg") else disturbed_limits(seeds=1)
    chosen = next(c for c in cases if (c.variable, c.value, c.variant) == (variable, value, variant))
    return replace(chosen, settings=PLAIN)


def test_a_row_tells_what_was_found_and_how_far_the_stated_errors_cover():
    row = found_at(limit("spacing_deg", 24))
    assert (row["recall"], row["invented"], row["n_true"], row["n_frames"]) == (1, 0, 77, 8)
    assert row["rmsd_pm"] < 2 and 0.5 < row["rmsd_pm"] / row["stated_pm"] < 2 and "refused" not in row
    assert 0.6 < row["within_1_sigma"] < row["within_2_sigma"] and row["within_3_sigma"] > 0.99


def test_vacancies_stay_empty():
    case = limit("vacancies", 4)
    row = found_at(case)
    assert len(case.true_A) == 73 and (row["recall"], row["invented"]) == (1, 0)


def test_frames_too_noisy_are_refused_and_the_reason_is_kept():
    noisy = limit("dose_per_A2", 100)
    row = found_at(replace(noisy, series=noisy.series.subset(slice(None, None, 2))))
    assert (row["recall"], row["invented"]) == (0, 0) and "explain" in row["refused"]


def test_without_asking_the_frames_to_agree_there_would_be_false_atoms():
    danger = next(c for c in unjudged_limits() if c.value == 1e3)
    danger = replace(danger, series=danger.series.subset(slice(None, None, 2)))
    danger = replace(danger, settings=replace(danger.settings, channelling=False, n_iterations=5))
    assert found_at(danger)["invented"] > 5 and found_at(replace(danger, settings=PLAIN))["invented"] == 0


def test_the_shipped_table_holds_every_variable_and_no_false_atom():
    table = limits_table()
    assert set(table["variable"]) == set(AXES) and set(table["variant"]) == set(VARIANTS)
    judged = table[(table["variant"] == "usual") & (table["variable"] != "tilt_error_deg")]
    assert judged["invented"].sum() == 0
    unjudged = table[table["variant"] == "unjudged"]
    assert unjudged["invented"].max() > 0


def test_the_figure_of_the_limits_draws_every_panel():
    figure = show_limits(limits_table(), variables=("dose_per_A2", "spacing_deg"))
    axes = np.array(figure.axes).reshape(3, 2)
    assert axes[2, 0].get_xlabel() == AXES["dose_per_A2"] and axes[2, 0].get_xscale() == "log"
    assert all(axis.get_lines() for axis in axes.flat)
    plt.close(figure)


def test_coverage_is_the_probability_where_errors_are_true_and_less_where_they_are_too_small():
    deviations = np.random.default_rng(0).normal(0, 0.3, (4000, 3))
    assert covered(deviations, np.full((4000, 3), 0.3)) == pytest.approx(LEVELS, abs=0.01)
    assert (covered(deviations, np.full((4000, 3), 0.15)) < LEVELS - 0.1).all()
    figure = show_calibration({"true": (deviations, np.full((4000, 3), 0.3))})
    low, high = figure.axes[0].get_lines()[1].get_xydata()[[0, -1], 1]
    assert low == pytest.approx(0.05, abs=0.02) and high == pytest.approx(0.99, abs=0.01)
    plt.close(figure)
