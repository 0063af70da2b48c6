"""Tables of means and paired gains."""

import numpy as np
import pandas as pd
import pytest

from tsg_core.errors import TsgError
from tsgbook.experiments import summary


def rows(values):
    """One row for each (particle, rate, method) of nested values {method: {particle: [psnr at rates 1, 2]}}."""
    return pd.DataFrame(
        {"microscope": "m", "particle": p, "rate": r, "method": m, "psnr_dB": v}
        for m, particles in values.items()
        for p, series in particles.items()
        for r, v in enumerate(series, start=1)
    )


TABLE = rows({"linear": {"a": [30.0, 20.0], "b": [50.0, 40.0]}, "cubic": {"a": [33.0, 22.0], "b": [52.0, 45.0]}})


def test_particles_are_averaged_before_they_are_resampled():
    means = summary.over_particles(TABLE, by=["method"], columns=["psnr_dB"]).set_index("method")
    assert means.loc["linear", "psnr_dB"] == 35
    assert means.loc["linear", "particles"] == 2
    # two particles at 25 and 45: no resampled mean leaves that range
    assert 25 <= means.loc["linear", "psnr_dB_low"] <= 35 <= means.loc["linear", "psnr_dB_high"] <= 45


def test_one_particle_has_no_interval():
    means = summary.over_particles(TABLE[TABLE.particle == "a"], by=["method"], columns=["psnr_dB"])
    assert np.isnan(means.psnr_dB_low).all()


def test_a_gain_is_paired_row_by_row():
    gains = summary.gain_over(TABLE.sample(frac=1, random_state=0), column="psnr_dB", of="method", baseline="linear")
    cubic = gains[gains.method == "cubic"].sort_values(["particle", "rate"])
    assert cubic.gain.tolist() == [3, 2, 2, 5]
    assert (gains[gains.method == "linear"].gain == 0).all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.concat([TABLE, TABLE]), "more than once"),
        (TABLE[(TABLE.method != "linear") | (TABLE.rate != 2)], "no linear"),
    ],
)
def test_a_gain_needs_exactly_one_baseline(table, message):
    with pytest.raises(TsgError, match=message):
        summary.gain_over(table, column="psnr_dB", of="method", baseline="linear")


def test_intervals_are_left_out_where_there_are_none():
    assert summary.with_interval(1.234, 1.0, 1.5) == "1.23 [1.00, 1.50]"
    assert summary.with_interval(1.234, np.nan, np.nan, digits=1) == "1.2"
    assert summary.with_interval(-0.0001, -0.004, 0.0) == "0.00 [0.00, 0.00]"
