"""The channelling option: who is above whom, what fades with distance, and what the shipped coefficients are worth."""

import numpy as np
import pytest

from tsg_core.microscope import NON_ABERRATED
from tsg_core.optics.channelling import Channelling, shipped_coefficients, strengths_of
from tsg_core.optics.scattering import thermal_sigma_A
from tsg_core.samples.multislice_frames import CASES, likeness, stored_frame
from tsg_core.simulation import simulate_tilt_series

SIGMA_A = thermal_sigma_A("Au")
TERMS = Channelling(lateral_A=(0.5,), depth_A=(10.0,), above=((0.7,),), below=((-0.2,),), spread=(0.5,), spread_A=0.3)


def test_a_pair_feels_what_is_above_and_below_it():
    positions_A = np.array([[0.0, 0.0, 3.0], [0.3, 0.0, 0.0]])  # the beam runs along -z and meets the first atom first
    term = np.exp(-0.5 * (0.3 / 0.5) ** 2 - 3.0 / 10.0)
    sharp, spread = TERMS.factors(positions_A, np.array([2.0, 0.5]))
    assert sharp == pytest.approx(np.exp([-0.2 * 0.5 * term, 0.7 * 2.0 * term]))
    assert spread == pytest.approx([0, sharp[1] * 0.5 * 2.0 * term])


def test_atoms_far_apart_or_at_one_depth_leave_one_another_alone():
    positions_A = np.array([[0.0, 0.0, 0.0], [5.0, 0.0, 3.0], [0.2, 0.1, 0.05]])
    for sharp, spread in (TERMS.factors(positions_A, np.ones(3)), TERMS.factors(np.zeros((1, 3)), np.ones(1))):
        assert sharp == pytest.approx(1, abs=1e-9) and spread == pytest.approx(0, abs=1e-9)


def test_the_order_of_the_atoms_does_not_matter():
    rng = np.random.default_rng(0)
    positions_A, strengths = rng.uniform(-3, 3, (20, 3)), rng.uniform(0.5, 1, 20)
    order = rng.permutation(20)
    shuffled = shipped_coefficients().factors(positions_A[order], strengths[order])
    for before, after in zip(shipped_coefficients().factors(positions_A, strengths), shuffled, strict=True):
        assert after == pytest.approx(before[order])


def test_strengths_are_relative_to_gold_and_grow_with_the_atomic_number():
    light, heavy, gold = strengths_of(np.array(["Al", "Pt", "Au"]), NON_ABERRATED)
    assert 0 < light < heavy < gold == pytest.approx(1)


def test_the_engine_multiplies_each_atom_by_its_factor():
    atoms = CASES[0].atoms()[:6]
    settings = {"microscope": NON_ABERRATED, "tilt_deg": [20.0], "shape": 48, "field_of_view_A": 24.0}
    whole = simulate_tilt_series(atoms, channelling=True, **settings).frames[0]
    c, s = np.cos(np.deg2rad(20.0)), np.sin(np.deg2rad(20.0))
    x, y, z = atoms.positions.T
    tilted_A = np.stack([x * c + z * s, y, z * c - x * s], axis=1)
    sharp, spread = shipped_coefficients().factors(tilted_A, strengths_of(np.array(["Au"] * 6), NON_ABERRATED))
    assert np.ptp(sharp) > 0.01 and spread.max() > 0.01
    expected = 0.0
    for factors, sigma_A in ((sharp, SIGMA_A), (spread, np.hypot(SIGMA_A, shipped_coefficients().spread_A))):
        alone = [
            simulate_tilt_series(atoms[[i]], thermal_displacement_A=sigma_A, **settings).frames[0] for i in range(6)
        ]
        expected = expected + np.tensordot(factors, alone, axes=1)
    np.testing.assert_allclose(whole, expected, atol=2e-3 * float(whole.max()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shipped_frames_are_whole_and_the_fast_engine_is_as_near_to_them_as_the_book_says(case):
    frame, seconds = stored_frame(case)
    assert frame.shape == (64, 64) and np.isfinite(frame).all() and seconds > 0
    if case.microscope == "printed_detector":
        assert frame[0, 0] == pytest.approx(1, abs=0.01) and frame.min() < 0.98  # bright field: dark atoms
        return
    like = likeness(case, repeats=1)
    along = "along" in case.orientation  # where channelling changes the total, too
    assert like.total_ratio("incoherent") == pytest.approx(1, abs=0.35 if along else 0.16)
    assert like.r("incoherent") > (0.88 if along else 0.97)
    if along and case.microscope == "non_aberrated" and not case.phonon_configurations:
        assert like.r("channelling") > max(0.95, like.r("incoherent"))
