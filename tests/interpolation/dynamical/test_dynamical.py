"""The dynamical method against multislice frames of another potential, other slices and other elements than its own."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from ase import Atoms
from ase.cluster import Icosahedron
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from tsg_core.errors import TsgError
from tsg_core.interpolation.atoms.fit import NotAtoms
from tsg_core.interpolation.choice import candidates_of
from tsg_core.interpolation.densify import with_elements
from tsg_core.interpolation.dynamical import microscope_fit, multislice_atoms
from tsg_core.interpolation.dynamical.multislice_atoms import MultisliceAtoms, bright_box_A
from tsg_core.interpolation.dynamical.scale import fitted_scale
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict
from tsg_core.microscope import NON_ABERRATED
from tsg_core.samples.multislice_series import prism_series
from tsg_core.simulation.detection_matrix import box_of
from tsg_core.simulation.multislice import frames_of_microscopes
from tsg_core.structures import random_rotation
from tsg_core.tilt_series import TiltSeries

MEASURED_deg = np.arange(-60.0, 61.0, 15.0)
BETWEEN_deg = np.array([-37.5, 7.5])
PIXEL_A, N_PIXELS = 0.3, 36


@pytest.fixture(autouse=True)
def stated_microscope(monkeypatch):
    """The microscope is taken as it is stated, unless a test asks otherwise."""
    monkeypatch.setattr(microscope_fit, "N_ROUNDS", 0)


@pytest.fixture(scope="module")
def truth():
    """A cluster of copper and gold, 5 pm off its sites, the measured frames, and frames between them."""
    rng = np.random.default_rng(3)
    atoms = random_rotation(Icosahedron("Cu", 2), seed=2)
    atoms.positions += rng.normal(0, 0.05, atoms.positions.shape) - atoms.positions.mean(axis=0)
    atoms.symbols[rng.permutation(13)[:5]] = "Au"
    frames = [
        frames_of_microscopes(
            atoms,
            microscopes={"one": NON_ABERRATED},
            tilt_deg=tilt,
            shape=(N_PIXELS, N_PIXELS),
            pixel_size_A=PIXEL_A,
            slice_thickness_A=1.5,
            parametrization="kirkland",
        )["one"]
        for tilt in (*MEASURED_deg, *BETWEEN_deg)
    ]
    n, metadata = len(MEASURED_deg), {"microscope": asdict(NON_ABERRATED)}
    return atoms, TiltSeries(np.stack(frames[:n]), MEASURED_deg, PIXEL_A, metadata=metadata), np.stack(frames[n:])


@pytest.fixture(scope="module")
def series(truth):
    """The measured series with all that was fitted to it, in counts on a constant, its elements named."""
    measured = truth[1]
    return FittedSeries.of(with_elements(replace(measured, frames=1e5 * measured.frames + 20), "Au,Cu"))


def count_matrices(monkeypatch, made):
    """Every detection matrix adds an item to the list `made`."""
    matrix = multislice_atoms.detection_matrix
    counting = lambda *args, **options: made.append(1) or matrix(*args, **options)  # noqa: E731
    monkeypatch.setattr(multislice_atoms, "detection_matrix", counting)


def psnr_dB(frames, true):
    return 10 * np.log10(true.max() ** 2 / np.mean((frames - true) ** 2))


def test_frames_are_nearer_than_those_of_spots(truth, series):
    true = 1e5 * truth[2] + 20
    by = {name: psnr_dB(predict(name, series, BETWEEN_deg), true) for name in ("linear", "atoms", "dynamical")}
    assert by["dynamical"] > by["atoms"] + 2 and by["dynamical"] > by["linear"] + 15
    assert psnr_dB(series.dynamical.predict(BETWEEN_deg, residual=False), true) > by["linear"] + 8


def test_elements_and_scale_are_found(truth, series):
    atoms, model = truth[0], series.dynamical
    assert len(model.spots) == len(atoms)
    distance_A, of = cKDTree(atoms.positions).query(model.spots.positions_A)
    assert distance_A.max() < 0.03
    assert (model.elements.symbols == np.array(atoms.get_chemical_symbols())[of]).all()
    assert model.scale.gain == pytest.approx(1e5, rel=0.05) and model.scale.offset == pytest.approx(20, abs=3)
    assert model.as_ase().get_chemical_formula() == atoms.get_chemical_formula()


WRONG = replace(NON_ABERRATED, convergence_mrad=36.4, defocus_A=15.0)


def test_a_microscope_that_is_a_little_wrong_is_found(truth):
    """The right one is left as it is."""
    atoms, measured, _ = truth
    sizes = {"atoms": atoms, "shape": (N_PIXELS, N_PIXELS), "pixel_size_A": PIXEL_A}
    wrong, right = (MultisliceAtoms(microscope=microscope, **sizes) for microscope in (WRONG, NON_ABERRATED))
    found = microscope_fit.fitted_microscope(measured, wrong)
    assert found.convergence_mrad == pytest.approx(35, abs=0.5) and found.defocus_A == pytest.approx(0, abs=5)
    assert microscope_fit.fitted_microscope(measured, right) is None
    assert microscope_fit.fitted_microscope(measured.subset(range(4)), wrong) is None


def test_atoms_are_fitted_anew_in_the_microscope_that_was_found(truth, monkeypatch):
    monkeypatch.setattr(microscope_fit, "N_ROUNDS", 1)
    monkeypatch.setattr(microscope_fit, "fitted_microscope", lambda *_: NON_ABERRATED)
    told = FittedSeries.of(with_elements(replace(truth[1], metadata={"microscope": asdict(WRONG)}), "Au,Cu"))
    assert told.microscope_remark == ""
    frames = predict("dynamical", told, BETWEEN_deg)
    assert psnr_dB(frames, truth[2]) > psnr_dB(predict("atoms", told, BETWEEN_deg), truth[2]) + 3
    fold = told.fold(np.arange(len(told) - 1))
    assert told.dynamical.multislice.microscope == fold.dynamical.multislice.microscope == NON_ABERRATED
    assert "with 35.0 mrad, Cs 0.0 um and defocus 0 A than with the stated 36.4 mrad" in told.microscope_remark


def test_no_frame_is_computed_twice(series, monkeypatch):
    made = []
    count_matrices(monkeypatch, made)
    before = predict("dynamical", series, BETWEEN_deg)
    del made[:]
    np.testing.assert_array_equal(predict("dynamical", series, BETWEEN_deg), before)
    assert not made


def test_each_measured_frame_is_computed_once(series, monkeypatch):
    """The frames that judge the microscope are among them."""
    made = []
    count_matrices(monkeypatch, made)
    again = series.seen_by(replace(NON_ABERRATED, Cs_um=1e-6))
    again.__dict__["_atoms_or_refusal"] = series.atoms
    assert again.dynamical.multislice.microscope == replace(NON_ABERRATED, Cs_um=1e-6)
    assert len(made) == len(series)


def test_a_fold_computes_only_the_frames_left_out(series, monkeypatch):
    """Its atoms are its own, fitted without the frames left out, and its prediction is as good as one."""
    made = []
    assert series.dynamical
    count_matrices(monkeypatch, made)
    out = np.array([4])
    fold = series.fold(np.setdiff1d(np.arange(len(series)), out))
    predicted = predict("dynamical", fold, series.tilt_deg[out])
    assert len(made) == 1
    assert not np.array_equal(fold.dynamical.spots.positions_A, series.dynamical.spots.positions_A)
    linear = predict("linear", fold, series.tilt_deg[out])
    assert psnr_dB(predicted, series.frames[out]) > psnr_dB(linear, series.frames[out]) + 10


def test_what_cannot_be_computed_is_said_in_one_line(truth, series):
    atoms, measured, _ = truth
    with pytest.raises(TsgError, match="needs the microscope"):
        predict("dynamical", spots_without_microscope(series), BETWEEN_deg)
    with pytest.raises(NotAtoms, match="at least 5 are needed"):
        predict("dynamical", measured.subset([0, 4, 8]), BETWEEN_deg)
    huge = MultisliceAtoms(atoms=atoms.copy(), microscope=NON_ABERRATED, shape=(36, 36), pixel_size_A=PIXEL_A)
    huge.atoms.positions *= 20
    with pytest.raises(TsgError, match=r"multislice of 13 atoms in a box of \d+ x \d+ A at 2 tilts would take about"):
        huge.frames(BETWEEN_deg)


def test_auto_tries_it_only_where_it_takes_minutes(truth):
    measured = truth[1]
    assert "dynamical" in candidates_of(measured)
    assert "dynamical" not in candidates_of(replace(measured, metadata={}))
    assert "dynamical" not in candidates_of(replace(measured, metadata=measured.metadata | {"engine": "incoherent"}))
    wide = np.pad(measured.frames, ((0, 0), (40, 40), (40, 40)))
    assert "dynamical" in candidates_of(replace(measured, frames=wide))  # vacuum costs nothing
    ytterbium, _ = prism_series()  # 24 A wide
    assert "dynamical" in candidates_of(ytterbium.subset(slice(None, None, 2)))
    assert "dynamical" not in candidates_of(ytterbium)


def test_the_cost_is_that_of_a_box_around_the_bright_part():
    ytterbium, positions_A = prism_series()
    true_A = box_of(Atoms("Yb77", positions=positions_A), sampling_A=0.5)
    noise = np.random.default_rng(0).normal(0, 0.1 * ytterbium.frames.max(), ytterbium.frames.shape)
    for frames in (ytterbium.frames, (ytterbium.frames + noise).astype(np.float32)):
        assert bright_box_A(replace(ytterbium, frames=frames)) == pytest.approx(true_A, abs=1.5)


def spots_without_microscope(series):
    """The series without its microscope, but with the atoms that were fitted with it."""
    bare = FittedSeries(series.frames, series.tilt_deg, series.pixel_size_A)
    bare.__dict__["_atoms_or_refusal"] = series.atoms
    return bare


def test_gain_offset_and_blur_are_those_of_the_frames():
    rng = np.random.default_rng(0)
    frames = rng.random((3, 20, 20)).astype(np.float32)
    measured = 7 * gaussian_filter(frames, (0, 0.8, 0.8), mode="reflect") + 3
    scale = fitted_scale(frames, measured, pixel_size_A=0.25)
    assert (scale.gain, scale.offset, scale.blur_A) == pytest.approx((7, 3, 0.2), rel=0.02)
    np.testing.assert_allclose(scale(frames, pixel_size_A=0.25), measured, atol=0.2)
