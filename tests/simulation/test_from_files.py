"""Structures and microscopes of one's own, as the parameters of chapters 1 and 2 name them."""

import numpy as np
import pytest
from ase.build import bulk
from ase.cluster import Octahedron
from ase.spacegroup import crystal

from tsg_core import structures
from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, Microscope
from tsg_core.simulation.from_files import microscopes_from, particles_from


@pytest.fixture
def titanate(tmp_path):
    atoms = crystal(["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221,
                    cellpar=[3.905, 3.905, 3.905, 90, 90, 90])  # fmt: skip
    atoms.write(tmp_path / "srtio3.cif")
    return tmp_path / "srtio3.cif"


def test_spheres_of_a_crystal_grow_within_the_range(titanate):
    particles = particles_from(titanate, 3, diameter_A=(9.0, 15.0))
    sizes_A = [structures.bounding_diameter_A(a) for a in particles]
    assert sizes_A == sorted(sizes_A) and 5 < sizes_A[0] < sizes_A[-1] < 15.5
    assert set(particles[0].get_chemical_symbols()) == {"Sr", "Ti", "O"}
    assert particles[0].info["name"].split()[1:] == ["srtio3", str(len(particles[0]))]
    share = np.mean(particles[-1].numbers == 8)
    assert share == pytest.approx(0.6, abs=0.12)


def test_a_particle_is_taken_whole_each_time(tmp_path):
    Octahedron("Ag", 3).write(tmp_path / "silver.xyz")
    particles = particles_from(tmp_path / "silver.xyz", 2, diameter_A=(9.0, 15.0))
    assert [len(a) for a in particles] == [19, 19] and particles[0].info["element"] == "Ag"


def test_no_particles_are_refused(titanate):
    with pytest.raises(TsgError, match="n=0 particles"):
        particles_from(titanate, 0, diameter_A=(9.0, 15.0))


def test_microscopes_by_name_and_by_numbers_in_order():
    found = microscopes_from(["mine: convergence_mrad=30, Cs_um=5, energy_keV=300", "aberrated"])
    assert list(found) == ["mine", "aberrated"] and found["aberrated"] == ABERRATED
    assert found["mine"] == Microscope(convergence_mrad=30, Cs_um=5, energy_keV=300)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "microscopes is empty"),
        (["perfect"], "'perfect'; choose of aberrated, non_aberrated, or give numbers as in Python"),
        (["Mine: convergence_mrad=30"], "a name of its own"),
        (["../a: convergence_mrad=30"], "a name of its own"),
        (["aberrated", "aberrated"], "a name of its own"),
        (["mine: convergence_mrad"], "write it as in Python: 'mine: convergence_mrad=30, Cs_um=5'"),
        (["mine: convergence=30"], "holds convergence; a microscope has convergence_mrad"),
        (["mine: Cs_um=3"], "lacks convergence_mrad"),
        (["mine: convergence_mrad=-3"], "convergence_mrad=-3.0 must be a positive number"),
    ],
)
def test_wrong_microscopes(texts, message):
    with pytest.raises(TsgError, match=message) as raised:
        microscopes_from(texts)
    assert "\n" not in str(raised.value)


def test_other_elements_and_shapes_and_a_training_without_them():
    size = {"seed": 2, "diameter_A": (8.0, 13.0)}
    test = structures.test_particles(4, elements=["Au", "Ni"], shapes=["octahedron", "decahedron"], **size)
    assert {a.info["element"] for a in test} == {"Au", "Ni"}
    assert {a.info["shape"] for a in test} == {"octahedron", "decahedron"}
    training = structures.training_particles(6, without=["Au", "Ni"], **size)
    assert {a.info["element"] for a in training} == {"Pt", "Ag", "Cu"}
    with pytest.raises(TsgError, match="leaves no element to train with"):
        structures.training_particles(6, without=structures.TRAINING_ELEMENTS, **size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"elements": ["W"]}, "'W', an element without an fcc lattice; .* structure_path"),
        ({"elements": ["Zz"]}, "'Zz', no chemical element"),
        ({"elements": []}, "at least one name"),
        ({"shapes": ["cube"]}, "'cube'; choose of icosahedron"),
    ],
)
def test_elements_and_shapes_that_cannot_be_built(options, message):
    with pytest.raises(TsgError, match=message):
        structures.test_particles(2, seed=1, **options)


def test_an_endless_file_is_known_by_its_cell(tmp_path):
    bulk("Au", cubic=True).write(tmp_path / "gold.cif")
    particles = particles_from(tmp_path / "gold.cif", 1, diameter_A=(10.0, 12.0))
    assert structures.bounding_diameter_A(particles[0]) <= 11.0 + 1e-6
