"""Particles: shapes, elements kept apart, sizes, and uniform rotations."""

import numpy as np
import pytest
from ase import Atoms
from scipy import stats

from tsg_core import structures
from tsg_core.errors import TsgError
from tsg_core.structures import bounding_diameter_A, random_rotation, test_particles, training_particles


def test_training_and_test_share_neither_element_nor_shape():
    training = training_particles(12, seed=0, diameter_A=(9, 20))
    test = test_particles(8, seed=0, diameter_A=(9, 20))
    for key in ("element", "shape"):
        assert not {a.info[key] for a in training} & {a.info[key] for a in test}
    assert not {s for a in training for s in a.get_chemical_symbols()} & set(structures.TEST_ELEMENTS)


def test_small_sets_hold_every_kind_once_before_any_repeats():
    kinds = [(a.info["element"], a.info["shape"]) for a in training_particles(12, seed=3, diameter_A=(9, 30))]
    assert len(set(kinds)) == 12
    assert {a.info["element"] for a in test_particles(4, seed=3, diameter_A=(9, 30))} == set(structures.TEST_ELEMENTS)


def test_particles_are_centred_and_in_the_range_of_diameters():
    for atoms in [*training_particles(9, seed=1, diameter_A=(10, 18)), *test_particles(4, seed=1, diameter_A=(10, 18))]:
        np.testing.assert_allclose(atoms.positions.mean(axis=0), 0, atol=1e-9)
        assert 10 <= bounding_diameter_A(atoms) <= 18
        nearest = np.sort(atoms.get_all_distances() + 99 * np.eye(len(atoms)), axis=1)[:, 0]
        assert nearest.min() > 2.2  # no two nuclei on top of one another


def test_same_seed_same_particles_other_seed_others():
    first, again, other = (training_particles(6, seed=s, diameter_A=(9, 25)) for s in (4, 4, 5))
    assert [a.info["name"] for a in first] == [a.info["name"] for a in again]
    assert [a.info["name"] for a in first] != [a.info["name"] for a in other]


@pytest.mark.parametrize(
    ("n", "diameter_A", "message"),
    [(0, (9, 20), "n=0"), (4, (1.0, 1.1), "a diameter from 1 to 1.1 A; widen the range")],
)
def test_impossible_requests_are_named(n, diameter_A, message):
    with pytest.raises(TsgError, match=message):
        training_particles(n, seed=0, diameter_A=diameter_A)


def test_a_rotation_keeps_distances_and_handedness():
    atoms = Atoms("H4", positions=[[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    turned = random_rotation(atoms, seed=11)
    np.testing.assert_allclose(turned.get_all_distances(), atoms.get_all_distances(), atol=1e-12)
    assert np.linalg.det(turned.positions[1:]) == pytest.approx(6)
    assert not np.allclose(turned.positions, atoms.positions)


def test_rotations_are_uniform_on_the_sphere():
    pole = Atoms("H", positions=[[0, 0, 1]])
    heights = [random_rotation(pole, seed=s).positions[0, 2] for s in range(600)]
    assert stats.kstest(heights, stats.uniform(-1, 2).cdf).pvalue > 1e-3
