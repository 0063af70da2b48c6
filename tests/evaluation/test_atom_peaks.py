"""Atoms in built volumes: found, refined below the voxel, matched one to one, inventions counted."""

import numpy as np
import pytest
from ase.cluster import Octahedron

from tsg_core.errors import TsgError
from tsg_core.evaluation import atom_peaks
from tsg_core.evaluation.atom_peaks import find_atoms, match_atoms
from tsg_core.geometry import pixel_centres_A
from tsg_core.structures import random_rotation

VOXEL_A = 0.4
CLUSTER = random_rotation(Octahedron("Au", 4, 1), seed=2)


def volume_of(positions_A, n=44, sigma_A=0.7, heights=None):
    """Gaussians at positions (x, y, z) in a volume (y, z, x)."""
    grid = pixel_centres_A(n, pixel_size_A=VOXEL_A)
    x, y, z = (np.exp(-((grid - c[:, None]) ** 2) / (2 * sigma_A**2)) for c in np.asarray(positions_A).T)
    heights = np.ones(len(positions_A)) if heights is None else heights
    return np.einsum("a,ay,az,ax->yzx", heights, y, z, x).astype(np.float32)


def test_every_atom_of_a_cluster_is_found_to_a_hundredth_of_a_voxel():
    positions = CLUSTER.positions - CLUSTER.positions.mean(axis=0)
    found = find_atoms(volume_of(positions), voxel_size_A=VOXEL_A)
    match = match_atoms(found.positions_A, positions)
    assert (match.matched, match.missing, match.invented) == (len(positions), 0, 0)
    assert match.precision == match.recall == 1
    assert match.rmsd_pm < 1
    np.testing.assert_allclose(found.sigma_A, 0.7, rtol=0.03)
    np.testing.assert_allclose(found.height, 1, rtol=0.05)


@pytest.mark.parametrize("sigma_A", [0.28, 0.75])
def test_atoms_much_narrower_or_wider_than_the_first_guess_are_fitted(sigma_A):
    positions = CLUSTER.positions - CLUSTER.positions.mean(axis=0)
    found = find_atoms(volume_of(positions, sigma_A=sigma_A), voxel_size_A=VOXEL_A)
    match = match_atoms(found.positions_A, positions)
    assert (match.missing, match.invented) == (0, 0) and match.rmsd_pm < 2
    np.testing.assert_allclose(found.sigma_A, sigma_A, rtol=0.1)


def test_fits_do_not_depend_on_how_many_are_done_at_a_time(monkeypatch):
    volume = volume_of(CLUSTER.positions) + np.random.default_rng(0).normal(0, 0.05, (44, 44, 44))
    whole = find_atoms(volume, voxel_size_A=VOXEL_A)
    monkeypatch.setattr(atom_peaks, "BATCH_VALUES", 1000)
    parts = find_atoms(volume, voxel_size_A=VOXEL_A)
    np.testing.assert_allclose(parts.positions_A, whole.positions_A, atol=1e-4)


def test_a_volume_of_noise_is_fitted_too():
    volume = np.random.default_rng(0).normal(0, 1, (30, 30, 30))
    found = find_atoms(volume, voxel_size_A=VOXEL_A)
    assert len(found.positions_A) > 50 and np.isfinite(found.positions_A).all() and (found.height > 0).all()
    edge_A = pixel_centres_A(30, pixel_size_A=VOXEL_A)[-1] + 1.5
    assert np.abs(found.positions_A).max() < edge_A


def test_heights_follow_the_atoms_and_noise_moves_them_little():
    positions = np.array([[0.3, -2.1, 3.0], [-4.0, 1.2, 0.1], [3.3, 3.1, -3.6]])
    volume = volume_of(positions, heights=np.array([1.0, 2.0, 3.0]))
    volume += np.random.default_rng(0).normal(0, 0.02, volume.shape).astype(np.float32)
    found = find_atoms(volume, voxel_size_A=VOXEL_A, threshold=0.4)
    match = match_atoms(found.positions_A, positions)
    assert match.matched == 3 and match.invented == 0 and match.rmsd_pm < 5
    order = match.pairs[np.argsort(match.pairs[:, 1]), 0]
    np.testing.assert_allclose(found.height[order], [1, 2, 3], rtol=0.1)


def test_an_atom_at_the_edge_is_found():
    edge_A = pixel_centres_A(44, pixel_size_A=VOXEL_A)[0]
    found = find_atoms(volume_of(np.array([[edge_A, 0.0, 0.0]])), voxel_size_A=VOXEL_A)
    assert match_atoms(found.positions_A, [[edge_A, 0, 0]]).rmsd_pm < 5


def test_match_counts_missing_and_invented_apart():
    true = np.array([[0, 0, 0], [3, 0, 0], [6, 0, 0.0]])
    found = np.array([[6, 0, 0.2], [0.1, 0, 0], [9, 9, 9], [4.5, 0, 0]])
    match = match_atoms(found, true, within_A=1.0)
    assert (match.matched, match.missing, match.invented) == (2, 1, 2)
    assert sorted(map(tuple, match.pairs)) == [(0, 2), (1, 0)]
    assert match.precision == 0.5 and match.recall == pytest.approx(2 / 3)
    assert match.rmsd_pm == pytest.approx(100 * np.sqrt((0.2**2 + 0.1**2) / 2))


def test_match_is_one_to_one_and_matches_as_many_as_it_can():
    match = match_atoms([[0, 0, 0], [0.1, 0, 0]], [[0, 0, 0], [-0.8, 0, 0]], within_A=1.0)
    assert match.matched == 2 and len(set(match.pairs[:, 0])) == len(set(match.pairs[:, 1])) == 2
    assert match_atoms([[0, 0, 0], [0.1, 0, 0]], [[0, 0, 0]]).invented == 1


def test_nothing_found():
    match = match_atoms(np.empty((0, 3)), [[0, 0, 0]])
    assert match.recall == 0 and np.isnan(match.precision) and np.isnan(match.rmsd_pm)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: find_atoms(np.ones((4, 4, 4)), voxel_size_A=1.0), "without contrast"),
        (lambda: find_atoms(np.ones((4, 4)), voxel_size_A=1.0), r"\(4, 4\)"),
        (lambda: find_atoms(np.ones((4, 4, 4)), voxel_size_A=2.0), "min_distance_A=1.5"),
        (lambda: match_atoms([[0, 0]], [[0, 0, 0]]), r"\(1, 2\)"),
        (lambda: match_atoms([[0, 0, 0]], np.empty((0, 3))), "0 true atoms"),
        (lambda: match_atoms([[0, 0, 0]], [[0, 0, 0]], within_A=0), "within_A=0"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(TsgError, match=words):
        call()
