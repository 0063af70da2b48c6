"""Sets of multislice series: which particles, computed tilt by tilt, packed and read."""

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.microscope import MICROSCOPES
from tsg_core.samples import multislice_sets as module
from tsg_core.samples.multislice_sets import (
    SETS,
    TILT_deg,
    make_set,
    make_tilt,
    missing_tilts,
    multislice_set,
    pack,
    set_particles,
    tilt_file,
    tilt_frames,
    tilts_by_spacing,
)
from tsg_core.structures import TEST_ELEMENTS, TRAINING_ELEMENTS


def frames_of(i, tilt_deg):
    """Two small frames that tell which particle and tilt they are of."""
    values = np.arange(12.0).reshape(3, 4) / 1000
    return {name: (values + i + tilt_deg / 1000 + k).astype(np.float32) for k, name in enumerate(MICROSCOPES, start=1)}


@pytest.fixture
def made(monkeypatch):
    """The tilts that were computed, as (particle, tilt)."""
    calls = []
    names = {atoms.info["name"] + str(atoms.positions[0]): i for i, atoms in enumerate(set_particles("validation"))}

    def compute(atoms, tilt_deg, *, device):
        calls.append((names[atoms.info["name"] + str(atoms.positions[0])], tilt_deg))
        return frames_of(*calls[-1])

    monkeypatch.setattr(module, "tilt_frames", compute)
    return calls


@pytest.mark.parametrize(("name", "n", "elements"), [
    ("training", 24, TRAINING_ELEMENTS), ("validation", 4, TRAINING_ELEMENTS), ("test", 8, TEST_ELEMENTS),
])  # fmt: skip
def test_the_sets_hold_the_papers_shapes_and_elements(name, n, elements):
    particles = set_particles(name)
    assert len(particles) == n and {atoms.info["element"] for atoms in particles} == set(elements)
    for atoms in particles:
        assert np.linalg.norm(atoms.positions, axis=1).max() < module.FIELD_OF_VIEW_A / 2 - 2
    first, again = set_particles(name)[0], particles[0]
    np.testing.assert_array_equal(first.positions, again.positions)


def test_no_particle_of_the_validation_is_one_of_the_training():
    training = set_particles("training")
    for atoms in set_particles("validation"):
        same = [other for other in training if other.info["name"] == atoms.info["name"]]
        assert all(np.abs(other.positions - atoms.positions).max() > 0.5 for other in same)


def test_wide_spacings_come_first():
    order = [tilt for tilts in tilts_by_spacing() for tilt in tilts]
    assert sorted(order) == TILT_deg.tolist()
    for n, step in ((4, 60.0), (10, 20.0), (46, 4.0)):
        assert np.ptp(np.diff(sorted(order[:n]))) == 0 and np.diff(sorted(order[:n]))[0] == step


def test_all_particles_have_wide_spacings_before_any_has_narrow_ones(tmp_path):
    todo = missing_tilts("validation", tmp_path)
    spacing_deg = [next(step for step in (180, 60, 20, 4, 2) if (tilt + 90) % step == 0) for _, tilt, _ in todo]
    assert spacing_deg == sorted(spacing_deg, reverse=True) and len(set(todo)) == len(todo)


def test_a_set_is_made_at_every_nth_tilt_and_not_again(made, tmp_path):
    for _ in range(2):
        path = make_set("validation", tmp_path, every=30)
        assert len(made) == len(set(made)) == 4 * 4
    series = multislice_set("validation", "aberrated", path=path)
    assert len(series) == 4 and series[0].tilt_deg.tolist() == [-90, -30, 30, 90]
    with pytest.raises(TsgError, match="every=7 does not lead"):
        make_set("validation", tmp_path, every=7)


def test_an_interrupted_set_goes_on_and_is_packed_as_it_was_made(made, tmp_path):
    todo = missing_tilts("validation", tmp_path)
    assert len(todo) == 4 * 91
    begun = [task for task in todo if task[0] == 0 or (task[0] == 1 and (task[1] + 90) % 4 == 0)]
    for task in begun:
        make_tilt("validation", *task)
    assert len(missing_tilts("validation", tmp_path)) == 3 * 91 - 46 and len(set(made)) == len(made) == 91 + 46
    assert pack("validation", tmp_path, tmp_path / "fine.npz") == 1
    assert pack("validation", tmp_path, tmp_path / "validation.npz", every=2) == 2
    assert (
        multislice_set("validation", "aberrated", path=tmp_path / "fine.npz")[0].tilt_deg.tolist() == TILT_deg.tolist()
    )
    for k, microscope in enumerate(MICROSCOPES, start=1):
        series = multislice_set("validation", microscope, path=tmp_path / "validation.npz")
        assert len(series) == 2 and len(list(series)) == 2
        for i in range(2):
            assert series[i].tilt_deg.tolist() == np.arange(-90.0, 91.0, 4.0).tolist()
            assert series[i].metadata["particle"] == series.atoms(i).info
            true = np.stack([list(frames_of(i, tilt).values())[k - 1] for tilt in series[i].tilt_deg])
            np.testing.assert_allclose(series[i].frames, true, atol=true.max() / 2**16)
            assert series[i].metadata["microscope"]["convergence_mrad"] == MICROSCOPES[microscope].convergence_mrad
    with pytest.raises(IndexError):
        series[2]


def test_a_killed_tilt_leaves_nothing_that_counts(made, tmp_path, monkeypatch):
    i, tilt, path = missing_tilts("validation", tmp_path)[0]

    def broken(file, **arrays):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module.np, "savez", broken)
    with pytest.raises(KeyboardInterrupt):
        make_tilt("validation", i, tilt, path)
    assert not path.exists() and missing_tilts("validation", tmp_path)[0] == (i, tilt, path)


def test_particles_with_gaps_between_their_tilts_are_not_packed(made, tmp_path):
    for tilt in TILT_deg[:-1]:
        make_tilt("validation", 1, tilt, tilt_file(tmp_path, "validation", 1, tilt))
    with pytest.raises(TsgError, match="holds no particle of validation at all of 91 tilts"):
        pack("validation", tmp_path, tmp_path / "validation.npz")
    with pytest.raises(TsgError, match="every=4 does not lead"):
        pack("validation", tmp_path, tmp_path / "validation.npz", every=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exam", "aberrated"), "'exam' is not one of the sets training, validation, test"),
        (("training", "huge"), "microscope='huge' is not one of"),
        (
            ("training", "aberrated"),
            "training has no place in the package; give the file that `python benchmarks/multislice_sets",
        ),
    ],
)
def test_what_is_not_there_is_one_clear_line(arguments, message):
    with pytest.raises(TsgError, match=message):
        multislice_set(*arguments)
    with pytest.raises(TsgError, match="does not exist"):
        multislice_set(SETS[0], "aberrated", path="nowhere.npz")


@pytest.mark.parametrize("microscope", MICROSCOPES)
def test_the_shipped_test_set_holds_every_particle_over_the_half_turn(microscope):
    shipped = multislice_set("test", microscope)
    assert len(shipped) == len(set_particles("test"))
    for series in shipped:
        assert series.tilt_deg.tolist() == TILT_deg[::2].tolist()
        assert series.frames.min() >= 0 and series.frames.max() > 0
        # at +90 deg the particle is seen from the other side than at -90 deg: alike, not the same
        mirrored = series.frames[-1][:, ::-1]
        assert np.corrcoef(series.frames[0].ravel(), mirrored.ravel())[0, 1] > 0.9


def test_a_shipped_frame_is_the_one_that_the_engine_computes():
    i, tilt_deg = 7, 10.0
    computed = tilt_frames(set_particles("test")[i], tilt_deg)
    for microscope in MICROSCOPES:
        series = multislice_set("test", microscope)[i]
        shipped = series.frames[series.tilt_deg.tolist().index(tilt_deg)]
        np.testing.assert_allclose(shipped, computed[microscope], atol=3e-5 * series.frames.max())
