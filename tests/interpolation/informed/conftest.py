"""A particle that the shipped network has not met: fitted once for all tests of the informed method."""

import numpy as np
import pytest

from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.microscope import NON_ABERRATED
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import test_particles


@pytest.fixture(scope="session")
def series():
    particle = test_particles(1, seed=5, diameter_A=(8.0, 12.0))[0]
    return simulate_tilt_series(
        particle, microscope=NON_ABERRATED, tilt_deg=np.arange(-90.0, 91.0, 5.0), shape=(34, 37), field_of_view_A=16.0
    )


@pytest.fixture(scope="session")
def sparse(series):
    """Every second frame, with what was fitted to them."""
    return FittedSeries.of(series.subset(np.arange(0, len(series), 2)))
