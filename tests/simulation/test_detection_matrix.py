"""Frames from detection matrices are those of multislice, whatever the box, the probe, the detector and the device."""

from dataclasses import replace

import abtem
import numpy as np
import pytest
import torch
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, MICROSCOPES, NON_ABERRATED
from tsg_core.optics.pixels import PaddedFrame
from tsg_core.optics.probe import abtem_lens, probe_wave
from tsg_core.simulation import detection_matrix as module
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.detection_matrix import FLANK_A, box_of, detection_matrix
from tsg_core.simulation.matrix_scan import scan_spectra, window_coefficients
from tsg_core.simulation.multislice import frames_of_microscopes
from tsg_core.simulation.specimen import tilted_cell

TILT_deg, SAMPLING_A, SLICE_A = 20.0, 0.09375, 1.5
# unequal atoms at places that no flip or transposition maps onto one another
ATOMS = Atoms("AuPtAg", positions=[[-1.2, 0.8, 2.0], [1.4, -0.9, -1.5], [0.3, 1.6, 0.4]])
PLACES_A = np.random.default_rng(0).uniform(-3.0, 3.0, size=(24, 2))  # (y, x)
FRAME = PaddedFrame(shape=(20, 24), pixel_size_A=0.4, padding_A=8.0)
EXACT = {"sampling_A": SAMPLING_A, "slice_thickness_A": SLICE_A}


@pytest.fixture(scope="module")
def matrix():
    return made()


def made(**options):
    options = {"microscope": NON_ABERRATED, "tilt_deg": TILT_deg, **EXACT, **options}
    return detection_matrix(options.pop("atoms", ATOMS), **options)


def at_places(matrix, microscope, *, period_A=40.0):
    spectrum = matrix.spectra([microscope], period_A=(period_A, period_A + 1))[0].numpy()
    k_y, k_x = (np.arange(-(n // 2), n // 2 + 1) for n in spectrum.shape)
    along_y = np.exp(2j * np.pi * k_y * PLACES_A[:, :1] / period_A)
    along_x = np.exp(2j * np.pi * k_x * PLACES_A[:, 1:] / (period_A + 1))
    return np.einsum("yx,py,px->p", spectrum, along_y, along_x).real


def by_abtem(microscope, *, extent_A, parametrization="lobato"):
    """abTEM's multislice at the same places, in a box that holds the whole probe, equally sampled."""
    gpts = round(extent_A / SAMPLING_A)
    cell = tilted_cell(ATOMS, tilt_deg=TILT_deg, extent_A=(gpts * SAMPLING_A,) * 2)
    lens = abtem_lens(replace(microscope, defocus_A=microscope.defocus_A + cell.cell[2, 2] / 2))
    with abtem.config.set({"diagnostics.progress_bar": False}):
        potential = abtem.Potential(cell, gpts=gpts, slice_thickness=SLICE_A, parametrization=parametrization)
        detector = abtem.AnnularDetector(microscope.detector_inner_mrad, microscope.detector_outer_mrad)
        scan = abtem.CustomScan(PLACES_A[:, ::-1] + gpts * SAMPLING_A / 2)
        return np.asarray(abtem.Probe(**lens).scan(potential, scan=scan, detectors=detector).compute().array)


def likeness(found, true):
    return np.corrcoef(found.ravel(), true.ravel())[0, 1], found.sum() / true.sum()


@pytest.mark.parametrize(
    ("microscope", "extent_A"),
    [
        (NON_ABERRATED, 24.0),
        (ABERRATED, 36.0),
        (replace(NON_ABERRATED, convergence_mrad=28.0, defocus_A=60.0, detector_inner_mrad=36.0), 24.0),
    ],
)
def test_values_are_those_of_abtem_s_multislice_for_probes_narrower_and_wider_than_the_box(microscope, extent_A):
    found = at_places(made(microscope=microscope), microscope)
    r, total = likeness(found, by_abtem(microscope, extent_A=extent_A))
    assert r > 0.9999 and total == pytest.approx(1, abs=0.01)


def test_one_matrix_serves_both_microscopes(matrix):
    r, total = likeness(at_places(matrix, ABERRATED), at_places(made(microscope=ABERRATED), ABERRATED))
    assert r > 0.9999 and total == pytest.approx(1, abs=0.01)


def test_a_wider_box_and_cone_change_nothing(matrix):
    wide = at_places(made(box_A=(128 * SAMPLING_A, 144 * SAMPLING_A), cone_mrad=43), NON_ABERRATED)
    r, total = likeness(at_places(matrix, NON_ABERRATED), wide)
    assert r > 0.9999 and total == pytest.approx(1, abs=0.005)


def test_the_scan_is_the_quadratic_form_of_each_windowed_probe():
    """Against the definition: probes cut by the window on a grid, their Fourier coefficients, c* D c."""
    box_A, period_A, rng = (6.0, 7.5), (12.0, 12.0), np.random.default_rng(1)
    waves = np.array([(y, x) for y in range(-12, 13) for x in range(-15, 16)])
    some = rng.normal(size=(len(waves), 5, 2)) @ [1, 1j]
    dense = some @ some.conj().T
    spectrum = scan_spectra(
        torch.as_tensor(dense, dtype=torch.complex64),
        waves,
        microscopes=[NON_ABERRATED],
        box_A=box_A,
        flank_A=FLANK_A,
        period_A=period_A,
    )[0].numpy()
    n = 240
    wave = probe_wave(NON_ABERRATED, extent_A=period_A, gpts=(n, n)) * n / 12.0  # integral of |.|^2 is 1
    x = (np.arange(n) - n // 2) * 12.0 / n
    window = [np.clip((edge / 2 - np.abs(x)) / FLANK_A, 0, 1) for edge in box_A]
    window = np.outer(*[np.sin(np.pi / 2 * w) ** 2 for w in window])
    onto = [np.exp(-2j * np.pi * np.outer(k, x) / edge) for k, edge in zip(waves.T, box_A, strict=True)]
    for steps_y, steps_x in [(0, 0), (13, -22), (-40, 5)]:
        cut = np.roll(wave, (steps_y, steps_x), axis=(0, 1)) * window
        c = np.einsum("ky,yx,kx->k", onto[0], cut, onto[1], optimize=True) * (12.0 / n) ** 2 / np.prod(box_A)
        expected = (c.conj() @ dense @ c).real * np.prod(box_A)
        k_y, k_x = (np.arange(-(m // 2), m // 2 + 1) for m in spectrum.shape)
        phases = np.outer(np.exp(2j * np.pi * k_y * steps_y / n), np.exp(2j * np.pi * k_x * steps_x / n))
        assert (spectrum * phases).sum().real == pytest.approx(expected, rel=2e-3)


def test_coefficients_of_the_window_are_its_integrals():
    x = np.linspace(-4, 4, 80001)
    window = np.sin(np.pi / 2 * np.clip((4 - np.abs(x)) / FLANK_A, 0, 1)) ** 2
    frequency = np.array([0.0, 0.1, -0.25, 0.25, 1.3])  # one at the formula's pole
    expected = [np.trapezoid(window * np.cos(2 * np.pi * f * x), x) / 8 for f in frequency]
    np.testing.assert_allclose(window_coefficients(frequency, box_A=8.0, flank_A=FLANK_A), expected, atol=1e-7)


def test_the_matrix_is_hermitian_and_positive(matrix):
    dense = matrix.matrix.numpy()
    np.testing.assert_allclose(dense, dense.conj().T, atol=1e-6 * np.abs(dense).max())
    assert np.linalg.eigvalsh(dense.astype(np.complex128)).min() > -1e-5 * np.abs(dense).max()


def test_a_frame_is_the_mean_over_its_pixels_with_the_tilt_axis_in_its_middle(matrix):
    frame = matrix.frame(NON_ABERRATED, frame=FRAME)
    assert frame.shape == (20, 24) and frame.dtype == np.float32 and frame.min() >= 0
    fine = matrix.frame(NON_ABERRATED, frame=replace(FRAME, shape=(100, 120), pixel_size_A=0.08))
    means = fine.reshape(20, 5, 24, 5).mean(axis=(1, 3))
    np.testing.assert_allclose(frame, means, atol=2e-3 * frame.max())
    y, x = np.unravel_index(frame.argmax(), frame.shape)
    gold_x = -1.2 * np.cos(np.deg2rad(TILT_deg)) + 2.0 * np.sin(np.deg2rad(TILT_deg))
    platinum_x = 1.4 * np.cos(np.deg2rad(TILT_deg)) - 1.5 * np.sin(np.deg2rad(TILT_deg))
    brightest = np.array([(y - 9.5) * 0.4, (x - 11.5) * 0.4])
    assert min(np.abs(brightest - [0.8, gold_x]).max(), np.abs(brightest - [-0.9, platinum_x]).max()) <= 0.3


def test_the_engine_is_abtem_s_in_the_same_frame():
    blurred = replace(NON_ABERRATED, convergence_mrad=15.0, source_size_A=0.6)
    options = {"microscope": blurred, "tilt_deg": [TILT_deg], "shape": (14, 12), "field_of_view_A": 6.0}
    atoms = Atoms("AuPt", positions=[[-0.7, 0.9, 0.5], [1.1, -0.8, -0.6]])
    frame = PaddedFrame(shape=(14, 12), pixel_size_A=0.5, padding_A=8.0)
    sampling_A = frame.extent_A[1] / 160  # divides both boxes
    options.update(padding_A=8.0, slice_thickness_A=2.0, sampling_A=sampling_A)
    theirs = simulate_tilt_series(atoms, engine="abtem_multislice", **options)
    ours = simulate_tilt_series(atoms, engine="multislice", **options)
    r, total = likeness(ours.frames, theirs.frames)
    assert r > 0.9999 and total == pytest.approx(1, abs=0.02)  # abTEM's ring is made of whole pixels of a small box


def test_frames_of_several_microscopes_are_those_of_each():
    options = {"microscopes": MICROSCOPES, "tilt_deg": TILT_deg, "cone_mrad": 38.0, **EXACT}
    frames = frames_of_microscopes(ATOMS, shape=(20, 24), pixel_size_A=0.4, **options)
    alone = simulate_tilt_series(
        ATOMS,
        microscope=NON_ABERRATED,
        tilt_deg=[TILT_deg],
        shape=(20, 24),
        field_of_view_A=9.6,
        engine="multislice",
        cone_mrad=38.0,
        **EXACT,
    )
    np.testing.assert_allclose(frames["non_aberrated"], alone.frames[0], atol=1e-5 * alone.frames.max())
    assert frames["aberrated"].max() < 0.5 * frames["non_aberrated"].max()
    other = {**MICROSCOPES, "bright": replace(ABERRATED, detector_inner_mrad=50.0)}
    with pytest.raises(TsgError, match="make another for this microscope"):
        frames_of_microscopes(ATOMS, shape=(20, 24), pixel_size_A=0.4, **{**options, "microscopes": other})


def test_frozen_phonons_average_displaced_atoms(matrix):
    still = made(phonon_configurations=2, thermal_displacement_A=0.0)
    torch.testing.assert_close(still.matrix, matrix.matrix, rtol=1e-5, atol=1e-9)
    once = made(phonon_configurations=2, phonon_seed=3)
    again, other = made(phonon_configurations=2, phonon_seed=3), made(phonon_configurations=2, phonon_seed=4)
    assert torch.equal(once.matrix, again.matrix) and not torch.equal(once.matrix, other.matrix)
    assert 0 < (once.matrix - matrix.matrix).abs().max() < matrix.matrix.abs().max()


def test_little_memory_takes_longer_and_gives_the_same(matrix, monkeypatch):
    passes = []
    parts = module._parts
    monkeypatch.setattr(module, "_parts", lambda weights, n: passes.append(n) or parts(weights, n))
    narrow = made(memory_GB=(9 * len(matrix.waves) ** 2 + 3.06e8) / 1e9)
    assert passes[0] > 1
    torch.testing.assert_close(narrow.matrix, matrix.matrix, rtol=1e-4, atol=1e-6 * matrix.matrix.abs().max().item())


def test_a_tall_particle_takes_a_tall_box():
    tall = Atoms("Au5", positions=[[0.2, y, 0.1] for y in (-6.0, -3.0, 0.0, 3.0, 6.0)])
    height_A, width_A = box_of(tall, sampling_A=0.1)
    assert height_A >= 18 and width_A < 8
    frame = detection_matrix(tall, microscope=ABERRATED, tilt_deg=0.0).frame(
        ABERRATED, frame=PaddedFrame(shape=(30, 12), pixel_size_A=0.5, padding_A=16.0)
    )
    peaks = frame[:, 5:7].mean(axis=1)
    assert (np.diff(np.sort(np.argsort(peaks)[-10:])) <= 5).all()  # two rows at each of five atoms, six rows apart


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same(matrix):
    gpu = made(device="cuda")
    frames = [m.frame(ABERRATED, frame=FRAME) for m in (matrix, gpu)]
    np.testing.assert_allclose(frames[1], frames[0], atol=1e-4 * frames[0].max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box_A": 7.5}, "a box of 7.5 A along x cuts the particle, .* reach 2.3 A .*; one of 10.7 A holds"),
        ({"box_A": (4.0, 12.0)}, "a box of 4 A along y cuts the particle"),
        ({"box_A": float("nan")}, "cuts the particle"),
        ({"microscope": replace(NON_ABERRATED, detector_inner_mrad=20.0)}, "reaches the detector, from 20 mrad on"),
        ({"cone_mrad": 30.0}, "cone_mrad=30 leaves out waves of the probe"),
        ({"memory_GB": 0.2}, "needs 0.3 GB of memory and has 0.2 GB; a smaller box, down to"),
        ({"device": "cuda:99"}, "device='cuda:99' is not there"),
        ({"sampling_A": 0.3}, "sampling_A=0.3 must be above 0 and at most 0.1"),
        ({"slice_thickness_A": 0.0}, "slice_thickness_A=0 must be"),
        ({"phonon_configurations": -1}, "phonon_configurations=-1"),
        ({"parametrization": "smith"}, "parametrization='smith' is not one of"),
        ({"atoms": Atoms()}, "no atoms"),
    ],
)
def test_what_cannot_be_is_one_clear_line(options, message):
    with pytest.raises(TsgError, match=message) as error:
        made(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"convergence_mrad": 44.0}, "holds waves of up to 40 mrad and the microscope converges by 44 mrad"),
        ({"detector_outer_mrad": 70.0}, "a detector of 45 to 80 mrad; make another"),
        ({"energy_keV": 300.0}, "is of 200 keV"),
    ],
)
def test_a_microscope_that_the_matrix_was_not_made_for_is_refused(matrix, change, message):
    with pytest.raises(TsgError, match=message):
        matrix.frame(replace(NON_ABERRATED, **change), frame=FRAME)
