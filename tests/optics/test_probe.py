"""The probe against what is known of it: its normalisation, Airy's pattern, its geometric radius, its transfer."""

from dataclasses import replace

import numpy as np
import pytest
from abtem.parametrizations import LobatoParametrization
from scipy.special import j0, j1

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.optics.probe import encircled_energy, fraction_within, probe_intensity, probe_radius_A, transfer_function
from tsg_core.optics.scattering import (
    atom_transfer,
    haadf_cross_section_A2,
    scattering_factor_A,
    thermal_sigma_A,
)


@pytest.mark.parametrize("microscope", [ABERRATED, NON_ABERRATED])
def test_intensity_is_normalised_round_and_centred(microscope):
    intensity = probe_intensity(microscope, extent_A=40.0, gpts=255)
    assert intensity.sum() == pytest.approx(1, abs=1e-9)
    place = np.arange(255)
    assert (intensity.sum(1) @ place, intensity.sum(0) @ place) == pytest.approx((127, 127), abs=1e-6)
    assert np.allclose(intensity, intensity.T, atol=1e-9) and np.allclose(intensity, intensity[::-1], atol=1e-9)


def test_axes_of_a_box_that_is_not_square():
    wide = probe_intensity(NON_ABERRATED, extent_A=(20.0, 40.0), gpts=(160, 320))
    square = probe_intensity(NON_ABERRATED, extent_A=(40.0, 40.0), gpts=(320, 320))
    assert wide.shape == (160, 320)
    assert np.allclose(wide[70:90, 150:170] / wide.max(), square[150:170, 150:170] / square.max(), atol=0.01)


def test_probe_without_aberrations_is_airys_pattern():
    radii_A, held = encircled_energy(NON_ABERRATED)
    v = 2 * np.pi * NON_ABERRATED.convergence_mrad * 1e-3 / NON_ABERRATED.wavelength_A * radii_A
    airy = 1 - j0(v) ** 2 - j1(v) ** 2
    rings = (radii_A > 1) & (radii_A < 10)
    assert np.allclose(held[rings], airy[rings], atol=0.015)
    assert np.abs(held[rings] - airy[rings]).mean() < 0.004


@pytest.mark.parametrize("microscope", [ABERRATED, NON_ABERRATED, replace(ABERRATED, source_size_A=1.0)])
def test_encircled_energy_is_the_sum_over_a_disc(microscope):
    intensity = probe_intensity(microscope, extent_A=80.0, gpts=600)
    place = (np.arange(600) - 300) * 80 / 600
    radius = np.hypot(place[:, None], place)
    for radius_A in (3.0, 8.0, 16.0):
        inside = intensity[radius < radius_A].sum()
        assert fraction_within(microscope, radius_A=radius_A) == pytest.approx(inside, abs=0.01)


def test_spherical_aberration_spreads_the_probe_over_its_geometric_disc():
    geometric_A = ABERRATED.Cs_um * 1e4 * (ABERRATED.convergence_mrad * 1e-3) ** 3
    assert geometric_A == pytest.approx(15.6, abs=0.1)
    assert fraction_within(ABERRATED, radius_A=1.1 * geometric_A) > 0.95
    assert probe_radius_A(ABERRATED) > 3 * probe_radius_A(NON_ABERRATED)
    assert fraction_within(ABERRATED, radius_A=probe_radius_A(ABERRATED, fraction=0.7)) == pytest.approx(0.7, abs=1e-3)


def test_defocus_beyond_the_specimen_equals_defocus_before_it_without_spherical_aberration():
    over, under = (replace(NON_ABERRATED, defocus_A=d) for d in (60.0, -60.0))
    settings = {"extent_A": 30.0, "gpts": 220}
    assert np.allclose(probe_intensity(over, **settings), probe_intensity(under, **settings), atol=1e-9)


def test_source_size_blurs_and_keeps_the_intensity():
    extended = replace(NON_ABERRATED, source_size_A=0.8)
    settings = {"extent_A": 30.0, "gpts": 250}
    sharp, blurred = probe_intensity(NON_ABERRATED, **settings), probe_intensity(extended, **settings)
    assert blurred.sum() == pytest.approx(1, abs=1e-6) and blurred.max() < 0.7 * sharp.max()


def test_transfer_function_is_that_of_a_round_aperture():
    otf = transfer_function(NON_ABERRATED, extent_A=(30.0, 40.0))
    middle, edge = otf.shape[0] // 2, 2 * NON_ABERRATED.convergence_mrad * 1e-3 / NON_ABERRATED.wavelength_A
    assert otf[middle, 0] == pytest.approx(1, abs=1e-6)
    for values, extent_A in ((otf[middle], 40.0), (otf[middle:, 0], 30.0)):
        share = np.arange(len(values)) / extent_A / edge
        overlap = 2 / np.pi * (np.arccos(share) - share * np.sqrt(1 - share**2))
        assert np.allclose(values, overlap, atol=0.01)


def test_transfer_function_does_not_depend_on_a_sufficient_box():
    small, large = (transfer_function(ABERRATED, extent_A=(extent, extent)) for extent in (50.0, 100.0))
    m = small.shape[1] - 1
    middle = large.shape[0] // 2
    assert np.abs(large[middle, : 2 * m + 1 : 2] - small[small.shape[0] // 2]).max() < 0.01
    assert small.min() < -0.003  # contrast reversals


def test_a_fraction_or_a_sampling_that_cannot_be_is_one_line():
    with pytest.raises(TsgError, match=r"fraction=1\.2"):
        probe_radius_A(NON_ABERRATED, fraction=1.2)
    with pytest.raises(TsgError, match="at most"):
        probe_radius_A(NON_ABERRATED, fraction=1 - 1e-9)
    with pytest.raises(TsgError, match="coarser than its Nyquist step"):
        probe_intensity(NON_ABERRATED, extent_A=40.0, gpts=64)


def test_scattering_factors_are_abtems():
    q, table = np.linspace(0, 5, 20), LobatoParametrization()
    for element in ("C", "Al", "Au", "Lr"):
        assert np.allclose(scattering_factor_A(element, q), table.scattering_factor(element)(q**2), rtol=1e-5)
    with pytest.raises(TsgError, match="'Rf' has no scattering factor"):
        scattering_factor_A("Rf", q)


def test_light_atom_scatters_as_the_born_approximation_says():
    parallel = replace(NON_ABERRATED, convergence_mrad=5.0)
    q = np.linspace(45e-3, 80e-3, 4001) / parallel.wavelength_A
    mass_factor = 1 + 200 / 510.99895
    density = (mass_factor * parallel.wavelength_A * scattering_factor_A("C", q)) ** 2
    born = np.trapezoid(density * 2 * np.pi * q, q)
    assert haadf_cross_section_A2("C", parallel) == pytest.approx(born, rel=0.02)


def test_heavy_atoms_scatter_more_but_less_than_rutherford():
    c, cu, au = (haadf_cross_section_A2(element, NON_ABERRATED) for element in ("C", "Cu", "Au"))
    assert (29 / 6) ** 1.2 < cu / c < (29 / 6) ** 2 and (79 / 29) ** 1.2 < au / cu < (79 / 29) ** 2


def test_atoms_transfer_less_of_finer_detail():
    k, transfer = atom_transfer("Au", NON_ABERRATED)
    assert k[0] == 0 and k[-1] < 2 * 35e-3 / NON_ABERRATED.wavelength_A
    assert (np.diff(transfer) < 0).all() and transfer[-1] > 0


def test_thermal_displacement_of_gold_at_room_temperature():
    assert thermal_sigma_A("Au") == pytest.approx(0.09, abs=0.005)
    assert thermal_sigma_A("Au", temperature_K=75.0) == pytest.approx(thermal_sigma_A("Au") / 2)


def test_a_spread_of_the_focus_widens_the_probe_and_keeps_its_intensity():
    spread = replace(NON_ABERRATED, defocus_spread_A=40.0)
    assert sum(share for share, _ in spread.foci()) == pytest.approx(1)
    mean_A2 = sum(share * focused.defocus_A**2 for share, focused in spread.foci())
    assert mean_A2 == pytest.approx(40.0**2)
    sharp, wide = (probe_intensity(m, extent_A=30.0, gpts=220) for m in (NON_ABERRATED, spread))
    assert wide.sum() == pytest.approx(1, abs=1e-9)
    assert wide.max() < 0.8 * sharp.max()
    assert probe_radius_A(spread, fraction=0.8) > probe_radius_A(NON_ABERRATED, fraction=0.8)
