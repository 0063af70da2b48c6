"""Settings of the microscope."""

import pytest

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, NON_ABERRATED, Microscope


def test_wavelength_at_200_keV():
    assert NON_ABERRATED.wavelength_A == pytest.approx(0.025079, rel=1e-4)  # Williams and Carter, Table 1.2


def test_nyquist_step_of_the_two_microscopes():
    assert pytest.approx(0.179, abs=0.001) == NON_ABERRATED.nyquist_sampling_A
    assert pytest.approx(0.251, abs=0.001) == ABERRATED.nyquist_sampling_A


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"convergence_mrad": 0}, "convergence_mrad=0"),
        ({"convergence_mrad": float("nan")}, "convergence_mrad=nan"),
        ({"energy_keV": -200}, "energy_keV=-200"),
        ({"detector_inner_mrad": 90}, "detector_inner_mrad=90"),
        ({"source_size_A": -1}, "source_size_A=-1"),
        ({"defocus_spread_A": float("nan")}, "defocus_spread_A=nan"),
        ({"Cs_um": float("inf")}, "Cs_um=inf"),
    ],
)
def test_settings_that_no_microscope_has(change, message):
    with pytest.raises(TsgError, match=message):
        Microscope(**{"convergence_mrad": 25.0, **change})
