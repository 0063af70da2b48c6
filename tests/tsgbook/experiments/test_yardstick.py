"""What is measured about a volume, on volumes of which it is known."""

import numpy as np
import pytest
from ase.cluster import Octahedron

from tsg_core.errors import TsgError
from tsg_core.evaluation.true_density import true_density
from tsg_core.microscope import NON_ABERRATED
from tsg_core.structures import random_rotation
from tsgbook.experiments.yardstick import Yardstick

ATOMS = random_rotation(Octahedron("Au", 3, 1), seed=2)
ATOMS.positions -= ATOMS.positions.mean(axis=0)
SETTINGS = {"microscope": NON_ABERRATED, "voxel_size_A": 0.4}
TRUTH = true_density(ATOMS, shape=(36, 36, 36), **SETTINGS)
REFERENCE = true_density(ATOMS, shape=(36, 36, 36), sigma_A=0.5, **SETTINGS)


@pytest.fixture(scope="module")
def yardstick():
    return Yardstick(REFERENCE, atoms=ATOMS, n_points=3000, seed=1, **SETTINGS)


def test_the_reference_differs_from_itself_by_the_sampling_alone(yardstick):
    found = yardstick.measure(REFERENCE)
    assert found["nrmse"] == 0 and found["dice"] == 1 and found["artefacts"] == 0
    assert 0 < found["chamfer_A"] < 0.3
    assert found["true_nrmse"] > 0.1 and found["true_dice"] < 1
    assert (found["atoms"], found["missing"], found["invented"]) == (len(ATOMS), 0, 0)
    assert found["rmsd_pm"] < 2


def test_the_truth_is_the_truth(yardstick):
    found = yardstick.measure(TRUTH)
    assert found["true_nrmse"] == 0 and found["true_dice"] == 1 and found["nrmse"] > 0.1
    assert found["true_cutoff_per_A"] == pytest.approx(1 / 0.8)  # up to Nyquist


def test_a_removed_atom_is_missing_and_an_added_one_invented(yardstick):
    changed = ATOMS.copy()
    del changed[0]
    changed.append("Au")
    changed.positions[-1] = [6.0, 0, 0]
    found = yardstick.measure(true_density(changed, shape=REFERENCE.shape, sigma_A=0.5, **SETTINGS))
    assert (found["missing"], found["invented"]) == (1, 1)
    assert found["artefacts"] > 0.05


def test_streaks_outside_are_background_and_artefacts_but_no_change_inside_is(yardstick):
    streaks = np.where(yardstick.support, 0, 0.2 * REFERENCE.max()).astype(np.float32)
    inside = REFERENCE * np.where(yardstick.support, 1.1, 1).astype(np.float32)
    plain, streaky, brighter = (yardstick.measure(v) for v in (REFERENCE, REFERENCE + streaks, inside))
    rms_inside = np.sqrt(np.mean(REFERENCE[yardstick.support] ** 2))
    assert streaky["artefacts"] == pytest.approx(0.2 * REFERENCE.max() / rms_inside, rel=1e-3)
    assert streaky["background"] > plain["background"] + 0.1
    assert brighter["artefacts"] == 0 and brighter["nrmse"] > 0.05


def test_finer_volumes_are_rougher_whatever_their_scale(yardstick):
    fine, coarse = yardstick.measure(TRUTH)["roughness_per_A"], yardstick.measure(REFERENCE)["roughness_per_A"]
    assert fine > 1.3 * coarse
    assert yardstick.measure(5 * REFERENCE)["roughness_per_A"] == pytest.approx(coarse, rel=1e-4)


def test_where_no_atom_is_found_the_distance_is_the_reach_of_the_match(yardstick):
    lump = 1e-4 * REFERENCE
    lump[:3, :3, :3] = REFERENCE.max()
    found = yardstick.measure(lump)
    assert found["missing"] == len(ATOMS) and found["rmsd_pm"] == 100


def test_a_reference_without_the_particle_is_refused():
    empty = np.zeros((36, 36, 36), np.float32)
    empty[:3, :3, :3] = 1
    with pytest.raises(TsgError, match="empty within 2.5 A"):
        Yardstick(empty, atoms=ATOMS, n_points=100, **SETTINGS)
