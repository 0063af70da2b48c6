"""The shipped multislice series: where its atoms are, and that its frames show them there."""

import numpy as np
from ase import Atoms

from tsg_core.microscope import NON_ABERRATED
from tsg_core.samples.multislice_series import prism_series
from tsg_core.simulation import simulate_tilt_series


def test_the_series_shows_its_atoms_where_they_are():
    series, positions_A = prism_series()
    assert series.frames.shape == (31, 96, 96) and positions_A.shape == (77, 3)
    assert np.array_equal(series.tilt_deg, np.arange(-90, 91, 6))
    fast = simulate_tilt_series(
        Atoms("Yb77", positions=positions_A),
        microscope=NON_ABERRATED,
        tilt_deg=series.tilt_deg[[3, 15, 22]],
        shape=96,
        field_of_view_A=24.0,
        thermal_displacement_A=0.0,
    )
    for frame, stored in zip(fast.frames, series.frames[[3, 15, 22]], strict=True):
        assert np.corrcoef(frame.ravel(), stored.ravel())[0, 1] > 0.9
