"""The engines against what an image must obey, against each other and against a stored frame."""

import importlib.util
import json
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from tsg_core.errors import TsgError
from tsg_core.geometry import pixel_centres_A, tilted_positions
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.optics.probe import probe_intensity
from tsg_core.optics.scattering import haadf_cross_section_A2
from tsg_core.simulation import simulate_tilt_series

DATA = Path(__file__).parents[1] / "data"
SHARP = {"microscope": NON_ABERRATED, "field_of_view_A": 20.0, "shape": 40}
ATOMS = Atoms("AuAlPt", positions=[[3.0, -5.0, 2.0], [-4.0, 1.0, 5.0], [1.0, 6.0, -3.0]])


@lru_cache
def reference():
    spec = importlib.util.spec_from_file_location("make_multislice_frame", DATA / "make_multislice_frame.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache
def sharp(engine):
    return reference().simulate(engine)


def centre_A(frame, pixel_size_A):
    """Place (x, y) of a single atom: the zero of the first moment in a window around the brightest pixel."""
    y, x = (pixel_centres_A(n, pixel_size_A=pixel_size_A) for n in frame.shape)
    row, column = np.unravel_index(frame.argmax(), frame.shape)
    at = np.array([x[column], y[row]])
    for _ in range(20):
        weight = np.exp(-((x - at[0]) ** 2 + (y[:, None] - at[1]) ** 2) / 0.5) * frame
        step = np.array([(weight.sum(0) * (x - at[0])).sum(), (weight.sum(1) * (y - at[1])).sum()]) / weight.sum()
        at = at + 2 * step
    return at


@pytest.mark.parametrize("microscope", [ABERRATED, NON_ABERRATED])
@pytest.mark.parametrize("shape", [40, 80, (60, 120)])
def test_total_intensity_is_the_cross_section_at_any_pixel_size(microscope, shape):
    atoms = Atoms("AuAl", positions=[[0.3, 0.2, 5.0], [-1.0, 0.4, -5.0]])
    n_x = shape[1] if isinstance(shape, tuple) else shape
    field = {"shape": shape, "field_of_view_A": n_x * 0.6}
    series = simulate_tilt_series(atoms, microscope=microscope, tilt_deg=[0, 40], **field)
    expected_A2 = sum(haadf_cross_section_A2(element, microscope) for element in ("Au", "Al"))
    lost = 1 - series.frames.sum((1, 2)) * 0.6**2 / expected_A2
    assert (np.abs(lost) < 0.03 if microscope == NON_ABERRATED or n_x > 60 else lost < 0.25).all()
    assert (series.frames >= 0).all()


def test_one_atom_is_the_probe_blurred_by_the_atom():
    atom = Atoms("C", positions=[[0, 0, 0]])
    n, pixel_A = 101, 0.1
    frame = simulate_tilt_series(
        atom, microscope=NON_ABERRATED, tilt_deg=[0], shape=n, field_of_view_A=n * pixel_A, thermal_displacement_A=0.0
    ).frames[0]
    probe = probe_intensity(NON_ABERRATED, extent_A=n * pixel_A, gpts=n) / pixel_A**2
    expected = haadf_cross_section_A2("C", NON_ABERRATED) * probe
    assert np.corrcoef(frame.ravel(), expected.ravel())[0, 1] > 0.97
    assert 0.6 < frame.max() / expected.max() < 1.0


@settings(max_examples=15, deadline=None)
@given(x=st.floats(-5, 5), y=st.floats(-5, 5), z=st.floats(-5, 5), tilt_deg=st.floats(-90, 90))
def test_an_atom_appears_where_the_geometry_says(x, y, z, tilt_deg):
    atom = Atoms("Au", positions=[[x, y, z]])
    series = simulate_tilt_series(atom, tilt_deg=[tilt_deg], **{**SHARP, "shape": 80})
    expected = tilted_positions(atom.positions, tilt_deg=tilt_deg)[0, 0, :2]
    assert np.allclose(centre_A(series.frames[0], 0.25), expected, atol=0.01)


def test_moving_an_atom_by_a_pixel_moves_its_image():
    atom = Atoms("Au", positions=[[0.13, 0.31, 0]])
    moved = Atoms("Au", positions=[[0.13 + 0.5, 0.31 - 1.0, 0]])
    first, second = (simulate_tilt_series(a, tilt_deg=[0], **SHARP).frames[0] for a in (atom, moved))
    assert np.allclose(np.roll(first, (-2, 1), (0, 1))[3:-3, 3:-3], second[3:-3, 3:-3], atol=1e-5 * first.max())


def test_frames_are_the_sum_of_the_atoms():
    tilt_deg = [-35.0, 0.0, 70.0]
    whole = simulate_tilt_series(ATOMS, tilt_deg=tilt_deg, **SHARP).frames
    parts = sum(simulate_tilt_series(ATOMS[[i]], tilt_deg=tilt_deg, **SHARP).frames for i in range(3))
    assert np.allclose(whole, parts, atol=1e-5 * whole.max())


def test_noisy_frames_are_the_same_in_any_split_of_the_tilts():
    tilt_deg = np.linspace(-90, 90, 13)
    options = {**SHARP, "dose_per_A2": 1e3, "seed": 7}
    whole = simulate_tilt_series(ATOMS, tilt_deg=tilt_deg, **options).frames
    split = [simulate_tilt_series(ATOMS, tilt_deg=part, **options).frames for part in np.array_split(tilt_deg, 5)]
    assert np.array_equal(whole, np.concatenate(split))
    assert not np.array_equal(whole, simulate_tilt_series(ATOMS, tilt_deg=tilt_deg, **{**options, "seed": 8}).frames)


def test_an_image_does_not_wrap_round():
    atom = Atoms("Au", positions=[[9.5, 0, 0]])
    frame = simulate_tilt_series(atom, microscope=ABERRATED, tilt_deg=[0], shape=40, field_of_view_A=20).frames[0]
    distant = simulate_tilt_series(atom, microscope=ABERRATED, tilt_deg=[0], shape=120, field_of_view_A=60).frames[0]
    assert np.abs(frame - distant[40:80, 40:80]).max() < 0.02 * frame.max()


def test_an_atom_out_of_focus_is_blurred_and_depth_can_be_refocused():
    high, middle = Atoms("Au", positions=[[0, 0, 40.0]]), Atoms("Au", positions=[[0, 0, 0.0]])
    refocused = replace(NON_ABERRATED, defocus_A=-40.0)
    blurred, sharp, again = (
        simulate_tilt_series(a, tilt_deg=[0], microscope=m, field_of_view_A=90.0, shape=180).frames[0]
        for a, m in ((high, NON_ABERRATED), (middle, NON_ABERRATED), (high, refocused))
    )
    assert blurred.max() < 0.5 * sharp.max()
    assert np.allclose(again, sharp, atol=1e-4 * sharp.max())


def test_metadata_says_what_was_done():
    series = simulate_tilt_series(ATOMS, tilt_deg=[0], **SHARP, dose_per_A2=100.0, seed=2)
    metadata = json.loads(json.dumps(dict(series.metadata)))
    assert metadata["microscope"] == asdict(NON_ABERRATED) and metadata["engine"] == "incoherent"
    assert metadata["probe_fraction"] >= 0.99 - 1e-6 and metadata["padding_A"] > 5
    assert metadata["dose_per_A2"] == 100.0 and metadata["seed"] == 2


def test_a_window_too_small_for_the_probe_warns_then_fails():
    options = {**SHARP, "microscope": ABERRATED, "tilt_deg": [0]}
    with pytest.warns(UserWarning, match=r"holds 8\d\.\d% of the probe; 99% lie within 19\.\d A"):
        simulate_tilt_series(ATOMS, padding_A=12.0, **options)
    with pytest.raises(TsgError, match="padding_A=2 holds"):
        simulate_tilt_series(ATOMS, padding_A=2.0, **options)


def test_multislice_repeats_the_stored_frame():
    module = reference()
    frame, stored = module.simulate("abtem_multislice"), np.load(module.PATH)["frame"]
    assert np.abs(frame - stored).max() < 1e-4 * stored.max()


def test_prism_is_multislice_where_its_window_is_the_box():
    multislice = np.load(reference().PATH)["frame"].astype(float)
    assert np.abs(sharp("abtem_prism") - multislice).max() < 1e-3 * multislice.max()


def test_incoherent_engine_is_on_the_scale_of_multislice():
    """In a box wide enough that the atoms' potentials do not overlap with their periodic images."""
    module = reference()
    prism = module.simulate("abtem_prism", padding_A=6.0)
    incoherent = module.simulate("incoherent", padding_A=6.0, thermal_displacement_A=0.0)
    assert incoherent.sum() == pytest.approx(prism.sum(), rel=0.05)
    assert incoherent.max() == pytest.approx(prism.max(), rel=0.1)
    assert np.corrcoef(incoherent.ravel(), prism.ravel())[0, 1] > 0.999


def test_a_finer_potential_shows_the_same():
    module = reference()
    coarse, fine = (module.simulate("abtem_prism", padding_A=2.0, sampling_A=s) for s in (0.1, 0.08))
    assert fine.sum() == pytest.approx(coarse.sum(), rel=0.1)
    assert not np.array_equal(coarse, fine) and np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.998


@pytest.mark.parametrize("engine", ["incoherent", "multislice", "abtem_prism"])
@pytest.mark.parametrize("incoherence", [{"source_size_A": 1.0}, {"defocus_spread_A": 60.0}])
def test_an_extended_source_and_a_spread_of_the_focus_blur_in_every_engine(engine, incoherence):
    module = reference()
    wide = replace(module.SETTINGS["microscope"], **incoherence)
    blurred = module.simulate(engine, microscope=wide)
    assert blurred.max() < 0.8 * sharp(engine).max()
    assert blurred.sum() == pytest.approx(sharp(engine).sum(), rel=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"atoms": Atoms()}, "no atoms"),
        ({"atoms": Atoms("Au", positions=[[np.nan, 0, 0]])}, "atom 0 has the position"),
        ({"atoms": Atoms("Au", positions=[[0, 11.0, 0]])}, "no atom lies in the frame"),
        (
            {"atoms": Atoms("Au", positions=[[0, 0, 11.0]])},
            "no atom lies in the frame, +-10.0 A along x and +-10.0 A along y, at 90 deg",
        ),
        ({"atoms": Atoms("Rf", positions=[[0, 0, 0]])}, "'Rf' has no scattering factor"),
        ({"dose_per_A2": 0}, "dose_per_A2=0"),
        ({"tilt_deg": [0, 0]}, "ascend"),
        ({"tilt_deg": []}, "finite angles"),
        ({"shape": (4, 4, 4)}, "shape="),
        ({"shape": 0}, "shape=0"),
        ({"field_of_view_A": -1.0}, "field_of_view_A=-1"),
        ({"engine": "bloch"}, "engine='bloch' is not one of incoherent, multislice, abtem_multislice"),
        ({"padding_A": -1.0}, "padding_A=-1"),
        ({"microscope": replace(NON_ABERRATED, detector_inner_mrad=0.0)}, "lies inside the convergent beam"),
        ({"thermal_width": 1.0}, "thermal_width"),
        ({"thermal_displacement_A": -1.0}, "thermal_displacement_A=-1"),
        ({"depth_step_A": 0.0}, "depth_step_A=0"),
        ({"engine": "abtem_multislice", "scan_step_A": 0.3}, "scan_step_A=0.3 must lie between"),
        ({"engine": "abtem_prism", "scan_step_A": 0.01}, "scan_step_A=0.01 must lie between"),
        ({"engine": "abtem_prism", "sampling_A": 0.3}, "sampling_A=0.3 must be above 0 and at most 0.1"),
    ],
)
def test_what_cannot_be_is_one_clear_line(change, message):
    arguments = {"atoms": ATOMS, "tilt_deg": [0.0, 90.0], **SHARP, **change}
    with pytest.raises(TsgError) as error:
        simulate_tilt_series(arguments.pop("atoms"), **arguments)
    assert message in str(error.value) and "\n" not in str(error.value)
