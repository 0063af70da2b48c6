"""Films, lamellae, needles and supports: their density, their sizes, and no two atoms on top of one another."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial import cKDTree

from tsg_core.errors import TsgError
from tsg_core.structures import amorphous, film, lamella, needle, on_carbon, width_seen_A
from tsg_core.structures.amorphous import number_density_A3


def nearest_A(atoms):
    return cKDTree(atoms.positions).query(atoms.positions, k=2)[0][:, 1]


@pytest.mark.parametrize(("element", "nearest", "g_cm3"), [("Ta", 2.86, 16.1), ("Au", 2.88, 18.7), ("C", 1.42, 2.0)])
def test_amorphous_matter_has_the_density_and_the_distances_of_a_glass(element, nearest, g_cm3):
    box_A = np.array([30.0, 24.0, 26.0])
    atoms = amorphous(element, box_A=tuple(box_A), seed=0)
    assert atoms.get_masses().sum() * 1.66054 / box_A.prod() == pytest.approx(g_cm3, rel=0.02)
    tree = cKDTree(atoms.positions % box_A, boxsize=box_A)
    distance_A = tree.query(atoms.positions % box_A, k=2)[0][:, 1]
    assert distance_A.min() > 0.92 * nearest and np.median(distance_A) < 1.1 * nearest
    assert len(np.unique(distance_A.round(3))) > 5 or element != "C"  # neither a lattice nor one distance


def test_a_large_box_is_filled_evenly_and_another_seed_gives_another_glass():
    atoms = amorphous("Ta", box_A=(150.0, 12.0, 12.0), seed=1)
    assert np.histogram(atoms.positions[:, 0], bins=10, range=(-75, 75))[0].std() < 0.05 * len(atoms) / 10
    again, other = (amorphous("Ta", box_A=(150.0, 12.0, 12.0), seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(atoms.positions, again.positions)
    assert not np.allclose(atoms.positions, other.positions)


def test_films_and_lamellae_fill_their_box_and_leave_nothing_beside():
    size = {"thickness_A": 20.0, "width_A": 50.0, "height_A": 30.0}
    for made in (
        film("Ta", **size, seed=0),
        film("Au", **size, crystalline=True, seed=0),
        lamella("Au", **size, seed=0),
    ):
        reach = np.array([25.0, 15.0, 10.0])
        assert (np.abs(made.positions) <= reach + 1e-9).all() and (np.abs(made.positions).max(axis=0) > reach - 1).all()
        assert nearest_A(made).min() > 1.95


def test_a_lamella_is_a_crystal_with_amorphous_faces():
    made = lamella("Au", thickness_A=30.0, width_A=40.0, damaged_A=6.0, seed=3)
    inner = np.abs(made.positions).max(axis=1) < 6
    distance_A = cKDTree(made.positions).query(made.positions[inner], k=13)[0][:, 1:]
    np.testing.assert_allclose(distance_A, 4.08 / np.sqrt(2), atol=1e-6)  # twelve neighbours, all alike
    skin = (np.abs(made.positions[:, :2]).max(axis=1) < 15) & (np.abs(made.positions[:, 2]) > 11)
    assert cKDTree(made.positions).query(made.positions[skin], k=9)[0][:, 8].std() > 0.05


def test_a_crystal_from_a_cell_keeps_its_composition():
    cell = bulk("NaCl", "rocksalt", a=5.64)
    made = film(cell, thickness_A=25.0, width_A=40.0, seed=1)
    share = made.get_chemical_symbols().count("Na") / len(made)
    assert share == pytest.approx(0.5, abs=0.02)
    assert len(made) / (25 * 40 * 40) == pytest.approx(2 / cell.get_volume(), rel=0.03)


def test_a_needle_narrows_towards_its_tip():
    made = needle("W", diameter_A=24.0, length_A=60.0, taper_deg=8.0, seed=0)
    radius_A = np.hypot(made.positions[:, 0], made.positions[:, 2])
    low, high = (radius_A[np.abs(made.positions[:, 1] - y) < 4].max() for y in (-25, 25))
    assert low - high == pytest.approx(50 * np.tan(np.deg2rad(8)), abs=1.5)
    amorphous_one = needle("W", diameter_A=24.0, length_A=60.0, taper_deg=8.0, crystalline=False, seed=0)
    assert len(amorphous_one) == pytest.approx(0.97 * len(made), rel=0.05)


def test_a_particle_lies_on_its_carbon():
    particle = Atoms("Au4", positions=[[9, 9, 9], [12, 9, 9], [9, 12, 9], [9, 9, 12]])
    made = on_carbon(particle, thickness_A=15.0, width_A=40.0, seed=0)
    on, support = made[:4], made[4:]
    assert set(support.get_chemical_symbols()) == {"C"} and made.info["n_particle"] == 4
    np.testing.assert_allclose(on.positions.min(axis=0) + on.positions.max(axis=0), 0, atol=1e-9)
    assert on.positions[:, 2].min() - support.positions[:, 2].max() == pytest.approx(2.0)
    assert np.ptp(support.positions[:, 2]) == pytest.approx(15, abs=1)


def test_the_width_seen_is_that_of_the_outermost_rays():
    assert width_seen_A(field_of_view_A=20, thickness_A=10, tilt_deg=[0]) == 20
    assert width_seen_A(field_of_view_A=20, thickness_A=10, tilt_deg=[-60, 30], margin_A=2) == pytest.approx(
        24 / 0.5 + 10 * np.sqrt(3)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: film("Ta", thickness_A=0, width_A=9, seed=0), "thickness_A=0 must be a positive number"),
        (lambda: film("Qq", thickness_A=9, width_A=9, seed=0), "'Qq' is not a chemical element"),
        (lambda: film("Ga", thickness_A=9, width_A=9, seed=0), "no simple crystal of Ga; give its density_g_cm3"),
        (lambda: film("Qq", thickness_A=9, width_A=9, crystalline=True, seed=0), "ASE knows no crystal of 'Qq'"),
        (lambda: film("Ta", thickness_A=1, width_A=1, seed=0), "too small for an atom of Ta"),
        (lambda: film(Atoms("Au"), thickness_A=9, width_A=9, seed=0), "periodic along three axes"),
        (lambda: lamella("Au", thickness_A=9, width_A=9, seed=0), "leaves no crystal of a lamella 9 A thick"),
        (lambda: needle("W", diameter_A=9, length_A=9, taper_deg=50, seed=0), "taper_deg=50 must lie between"),
        (lambda: on_carbon(Atoms(), thickness_A=9, width_A=9, seed=0), "no atom in the particle"),
        (lambda: width_seen_A(field_of_view_A=9, thickness_A=9, tilt_deg=[85]), "tilted by 85 deg never ends"),
        (lambda: number_density_A3("Ta", density_g_cm3=-1), "density_g_cm3=-1 must be a positive number"),
    ],
)
def test_what_cannot_be_made_is_one_clear_line(make, message):
    with pytest.raises(TsgError) as error:
        make()
    assert message in str(error.value) and "\n" not in str(error.value)
