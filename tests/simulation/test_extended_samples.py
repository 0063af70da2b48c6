"""Samples that go on outside the frame: against wide frames, mass against tilt, and multislice."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.cluster import Octahedron

from tsg_core.errors import TsgError
from tsg_core.microscope import NON_ABERRATED
from tsg_core.optics.scattering import haadf_cross_section_A2
from tsg_core.reconstruction.extent import bright_sides
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.extended_samples import SAMPLES, extended_sample
from tsg_core.structures import film

TILTS_deg = np.array([-60.0, -20.0, 0.0, 40.0])
FIELD_A = 12.0
GEOMETRY = {"microscope": NON_ABERRATED, "tilt_deg": TILTS_deg}
FRAMES = {**GEOMETRY, "field_of_view_A": FIELD_A, "shape": 24}


@pytest.fixture(scope="module")
def ta_film():
    return extended_sample("Ta", sample="film", **GEOMETRY, field_of_view_A=2 * FIELD_A, thickness_A=15.0, seed=2)


def test_a_frame_is_the_middle_of_a_wider_one(ta_film):
    frames = simulate_tilt_series(ta_film, **FRAMES).frames
    wide = simulate_tilt_series(ta_film, **GEOMETRY, field_of_view_A=2 * FIELD_A, shape=48).frames[:, 12:36, 12:36]
    np.testing.assert_allclose(frames, wide, atol=0.015 * wide.mean())


def test_the_mass_of_a_film_per_area_of_a_frame_grows_as_one_over_cos(ta_film):
    series = simulate_tilt_series(ta_film, **FRAMES)
    thickness_A = 15.0
    density_A3 = len(ta_film) / np.ptp(ta_film.positions, axis=0)[:2].prod() / thickness_A
    expected = density_A3 * thickness_A / np.cos(np.deg2rad(TILTS_deg)) * haadf_cross_section_A2("Ta", NON_ABERRATED)
    np.testing.assert_allclose(series.frames.mean(axis=(1, 2)), expected, rtol=0.04)
    assert bright_sides(series) and "goes on outside the frames" in series.history[-1]


def test_an_atom_outside_the_frame_adds_its_tail_and_one_far_away_nothing():
    alone = Atoms("Au", positions=[[0, 0, 0]])
    places = ([[0, 0, 0], [FIELD_A / 2 + 1, 0, 0]], [[0, 0, 0], [FIELD_A / 2 + 30, 0, 0]])
    without, near, far = (
        simulate_tilt_series(Atoms(["Au"] * len(p), positions=p), **{**FRAMES, "tilt_deg": [0.0]}).frames[0]
        for p in (alone.positions, *places)
    )
    added = near - without
    assert 0.005 < added.sum() / without.sum() < 0.2
    assert added[:, -4:].sum() > 0.8 * added.sum() and np.abs(added[:, :4]).max() < 2e-3 * without.max()
    np.testing.assert_allclose(far, without, atol=2e-3 * without.max())


def test_each_frame_depends_on_its_own_tilt_alone(ta_film):
    whole = simulate_tilt_series(ta_film, **FRAMES).frames
    one = simulate_tilt_series(ta_film, **{**FRAMES, "tilt_deg": TILTS_deg[1:2]}).frames
    np.testing.assert_array_equal(one[0], whole[1])


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_fills_its_frames_as_far_as_it_should(sample, tmp_path):
    Octahedron("Ag", 3).write(tmp_path / "silver.xyz")
    source = tmp_path / "silver.xyz" if sample == "on-carbon" else "W"
    said = []
    atoms = extended_sample(source, sample=sample, **GEOMETRY, field_of_view_A=FIELD_A, seed=0, say=said.append)
    frames = simulate_tilt_series(atoms, **FRAMES).frames
    ends, sides = (frames[:, [0, -1]], frames[..., [0, -1]])
    assert said and "Made: " in said[-1]
    assert (ends.mean(axis=(1, 2)) > 0.02 * frames.max()).all()
    assert sample == "needle" or (sides.mean(axis=(1, 2)) > 0.01 * frames.max()).all()


@pytest.mark.filterwarnings("ignore:padding_A")  # a smaller box than usual, to be quick
def test_multislice_of_a_film_is_near_the_incoherent_frame_and_does_not_depend_on_the_box():
    thin = film("C", thickness_A=4.0, width_A=22.0, height_A=22.0, seed=0)
    narrow = replace(NON_ABERRATED, detector_outer_mrad=90.0)
    small = {"microscope": narrow, "tilt_deg": [10.0], "field_of_view_A": 4.0, "shape": 12, "padding_A": 5.0}
    incoherent = simulate_tilt_series(thin, **small).frames
    frames = simulate_tilt_series(thin, **small, engine="multislice").frames
    wider = simulate_tilt_series(thin, **small, engine="multislice", box_A=16.0).frames
    assert frames.mean() == pytest.approx(incoherent.mean(), rel=0.2)  # tails beyond so small a box are lost
    assert np.corrcoef(frames.ravel(), incoherent.ravel())[0, 1] > 0.97
    np.testing.assert_allclose(frames, wider, atol=0.03 * frames.max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": "sheet"}, "sample='sheet' is not one of film, lamella"),
        ({"tilt_deg": np.array([0, 85.0])}, "tilted by 85 deg never ends"),
        ({"source": "missing.cif"}, "missing.cif does not exist"),
    ],
)
def test_samples_that_cannot_be(change, message):
    options = {"source": "Ta", "sample": "film", **GEOMETRY, "field_of_view_A": FIELD_A, **change}
    with pytest.raises(TsgError, match=message):
        extended_sample(options.pop("source"), **options)


def test_a_box_that_cuts_the_probe_is_refused():
    thin = film("C", thickness_A=6.0, width_A=30.0, height_A=30.0, seed=0)
    small = {**FRAMES, "tilt_deg": [10.0], "field_of_view_A": 5.0, "shape": 16}
    with pytest.raises(TsgError, match="too small for a sample that goes on outside the frame"):
        simulate_tilt_series(thin, **small, engine="multislice", box_A=8.0)
