"""The true density: its amount, its places and its scale beside a reconstruction."""

import numpy as np
import pytest
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.evaluation.true_density import near_atoms, true_density
from tsg_core.geometry import pixel_centres_A
from tsg_core.microscope import NON_ABERRATED
from tsg_core.optics.scattering import haadf_cross_section_A2
from tsg_core.reconstruction.projection import project
from tsg_core.simulation import simulate_tilt_series

PAIR = Atoms("AuAl", positions=[[2.1, -1.3, 0.4], [-3.0, 2.2, 1.1]])
SETTINGS = {"microscope": NON_ABERRATED, "voxel_size_A": 0.4}


def test_each_atom_adds_up_to_its_cross_section_around_its_place():
    shape = (30, 32, 34)
    for atom in PAIR:
        alone = Atoms([atom])
        volume = true_density(alone, shape=shape, **SETTINGS)
        cross_section = haadf_cross_section_A2(atom.symbol, NON_ABERRATED)
        assert volume.sum() * 0.4**2 == pytest.approx(cross_section, rel=1e-3)
        grids = np.meshgrid(*(pixel_centres_A(n, pixel_size_A=0.4) for n in shape), indexing="ij")
        y, z, x = (np.sum(g * volume) / volume.sum() for g in grids)
        np.testing.assert_allclose([x, y, z], atom.position, atol=1e-3)
        spread = np.sqrt(np.sum((grids[0] - y) ** 2 * volume) / volume.sum())
        assert spread == pytest.approx(np.hypot(0.3, 0.4 / np.sqrt(12)), rel=0.01)  # its own and that of the voxel
    both = true_density(PAIR, shape=shape, **SETTINGS)
    parts = [true_density(PAIR[[i]], shape=shape, **SETTINGS) for i in (0, 1)]
    np.testing.assert_allclose(both, sum(parts), atol=1e-9)


def test_its_projections_have_the_scale_and_the_places_of_simulated_frames():
    tilt_deg = np.array([-30.0, 0.0, 50.0])
    frames = simulate_tilt_series(
        PAIR, tilt_deg=tilt_deg, shape=32, field_of_view_A=12.8, microscope=NON_ABERRATED
    ).frames
    projected = project(true_density(PAIR, shape=(32, 32, 32), **SETTINGS), tilt_deg=tilt_deg)
    np.testing.assert_allclose(projected.sum(axis=(1, 2)), frames.sum(axis=(1, 2)), rtol=0.1)
    for one, other in zip(projected, frames, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9


def test_atoms_outside_are_lost():
    far = Atoms("Au", positions=[[50.0, 0, 0]])
    assert true_density(far, shape=(16, 16, 16), **SETTINGS).sum() == 0
    assert not near_atoms(far, shape=(16, 16, 16), voxel_size_A=0.4, within_A=2).any()
    edge = Atoms("Au", positions=[[pixel_centres_A(16, pixel_size_A=0.4)[-1] + 0.2, 0, 0]])
    whole = true_density(Atoms("Au", positions=[[0, 0, 0]]), shape=(16, 16, 16), **SETTINGS).sum()
    assert true_density(edge, shape=(16, 16, 16), **SETTINGS).sum() == pytest.approx(whole / 2, rel=1e-3)


def test_the_support_is_a_ball_around_each_nucleus():
    inside = near_atoms(PAIR, shape=(30, 32, 34), voxel_size_A=0.4, within_A=1.47)
    y, z, x = np.meshgrid(*(pixel_centres_A(n, pixel_size_A=0.4) for n in inside.shape), indexing="ij")
    away = [np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) for a, b, c in PAIR.positions]
    np.testing.assert_array_equal(inside, np.minimum(*away) <= 1.47)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": (16, 16)}, r"shape=\(16, 16\)"),
        ({"voxel_size_A": 0.0}, "voxel_size_A=0.0"),
        ({"sigma_A": -1.0}, "sigma_A=-1.0"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(TsgError, match=words):
        true_density(PAIR, **{**SETTINGS, "shape": (16, 16, 16), **options})
