"""Atoms fitted to tilt series: known particles are found, other objects refused, errors cover, frames predicted."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.cluster import Octahedron
from scipy.ndimage import gaussian_filter

from tsg_core.errors import TsgError
from tsg_core.evaluation.atom_peaks import match_atoms
from tsg_core.geometry import pixel_centres_A, rotate_about_y
from tsg_core.interpolation import densify
from tsg_core.interpolation.atoms.fit import AtomSettings, NotAtoms, fit_atoms
from tsg_core.interpolation.atoms.least_squares import OBJECT, AtomFrames, start_parameters
from tsg_core.interpolation.atoms.rendering import AtomRenderer
from tsg_core.interpolation.atoms.whitening import Whitening
from tsg_core.interpolation.densify import with_elements
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.reconstruction.projection import project
from tsg_core.samples.multislice_series import prism_series
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.noise import with_dose, with_drift
from tsg_core.tilt_series import TiltSeries

PLAIN = AtomSettings(channelling=False)
N_ATOMS, SHAPE = 16, (32, 36)
EVERY_12_deg = np.arange(-90.0, 90.0, 12.0)


def particle(n_atoms=N_ATOMS):
    atoms = Atoms(Octahedron("Au", 4, 1))
    atoms.positions -= atoms.positions.mean(axis=0)
    atoms.rotate(33, (1, 2, 3))
    nearest = np.argsort(np.linalg.norm(atoms.positions, axis=1), kind="stable")[:n_atoms]
    return Atoms(f"Au{n_atoms}", positions=atoms.positions[nearest])


def series_of(atoms, tilt_deg=EVERY_12_deg, **settings):
    return simulate_tilt_series(
        atoms, microscope=NON_ABERRATED, tilt_deg=tilt_deg, shape=SHAPE, field_of_view_A=10.8, **settings
    )


ATOMS = particle()
SERIES = series_of(ATOMS)


@pytest.fixture(scope="module")
def model():
    return fit_atoms(SERIES, settings=PLAIN)


def psnr_dB(frames, truth):
    return -10 * np.log10(np.mean((frames - truth) ** 2) / truth.max() ** 2)


def matched(model, atoms=ATOMS):
    return match_atoms(model.positions_A, atoms.positions, within_A=0.5)


def all_found(model, atoms=ATOMS):
    return (matched(model, atoms).missing, matched(model, atoms).invented) == (0, 0)


def test_a_known_particle_is_found_to_picometres_and_predicts_frames_between(model):
    assert all_found(model) and matched(model).rmsd_pm < 1
    found, true = matched(model).pairs.T
    assert np.linalg.norm(model.positions_A[found] - ATOMS.positions[true], axis=1).max() < 0.05
    between = SERIES.tilt_deg[:-1] + 6
    truth = series_of(ATOMS, between).frames
    assert psnr_dB(model.predict(between), truth) > psnr_dB(densify(SERIES, tilt_deg=between).frames, truth) + 15
    assert model.predict(between).dtype == np.float32 and model.channelling is None


def test_the_same_series_gives_the_same_atoms_bit_for_bit(model):
    again = fit_atoms(SERIES, settings=PLAIN)
    np.testing.assert_array_equal(again.positions_A, model.positions_A)
    np.testing.assert_array_equal(again.predict([1.0]), model.predict([1.0]))


def test_the_order_of_the_frames_does_not_matter(model):
    mirrored = TiltSeries(SERIES.frames[::-1], -SERIES.tilt_deg[::-1], SERIES.pixel_size_A, metadata=SERIES.metadata)
    turned = fit_atoms(mirrored, settings=PLAIN)
    seen_from_behind = Atoms(ATOMS.symbols, positions=ATOMS.positions * [1, 1, -1])
    assert all_found(turned, seen_from_behind) and matched(turned, seen_from_behind).rmsd_pm < 1


def test_intensities_may_have_any_unit_and_an_offset(model):
    other = fit_atoms(replace(SERIES, frames=1e-4 * (SERIES.frames + 0.02)), settings=PLAIN)
    assert all_found(other) and matched(other).rmsd_pm < 1
    assert other.offset == pytest.approx(1e-4 * (model.offset + 0.02), rel=0.02)
    assert other.cross_section_A2.mean() == pytest.approx(1e-4 * model.cross_section_A2.mean(), rel=0.01)


def test_a_vacancy_stays_empty():
    atoms = ATOMS[[i for i in range(len(ATOMS)) if i != 0]]  # the one nearest to the middle
    assert all_found(fit_atoms(series_of(atoms), settings=PLAIN), atoms)


@pytest.mark.parametrize("missing", [0, 7])
def test_atoms_are_found_anew_where_the_start_lacks_or_invents_them(monkeypatch, missing):
    from tsg_core.interpolation.atoms import fit as atoms

    def spoilt(*args, **kwargs):
        found = start_atoms(*args, **kwargs)
        ghosts_A = np.array([[0.9, 1.0, -0.7], [-3.0, 3.0, 3.0]])
        positions_A = np.concatenate([np.delete(found.positions_A, missing, axis=0), ghosts_A])
        return replace(found, positions_A=positions_A, height=np.ones(len(positions_A)))

    start_atoms = atoms.start_atoms
    monkeypatch.setattr(atoms, "start_atoms", spoilt)
    found = fit_atoms(SERIES, settings=PLAIN)
    assert all_found(found) and matched(found).rmsd_pm < 1


def test_errors_cover():
    """About 68 % of the deviations within one standard error, with Poisson noise."""
    within = []
    for seed in range(4):
        noisy = with_dose(SERIES, dose_per_A2=3e3, seed=seed)
        found = fit_atoms(noisy, settings=PLAIN)
        assert all_found(found)
        pairs = matched(found).pairs
        deviation_A = found.positions_A[pairs[:, 0]] - ATOMS.positions[pairs[:, 1]]
        within.append(np.abs(deviation_A) < found.position_error_A[pairs[:, 0]])
    assert 0.6 < np.mean(within) < 0.78


def test_noise_of_the_residual_does_not_come_back():
    between = SERIES.tilt_deg[:-1] + 6
    truth = series_of(ATOMS, between).frames
    noisy = fit_atoms(with_dose(SERIES, dose_per_A2=1e3, seed=0))
    with_residual, without = (psnr_dB(noisy.predict(between, residual=r), truth) for r in (True, False))
    assert all_found(noisy) and without > 35 and with_residual > without - 0.5


def test_channelling_is_fitted_and_adds_no_false_atoms():
    frames = series_of(ATOMS, np.arange(-90.0, 90.0, 6.0), channelling=True)
    known, between = frames.subset(slice(None, None, 2)), frames.subset(slice(1, -1, 2))
    fits = [fit_atoms(known, settings=s) for s in (PLAIN, AtomSettings())]
    plain_dB, channelling_dB = (psnr_dB(f.predict(between.tilt_deg), between.frames) for f in fits)
    assert all(map(all_found, fits)) and channelling_dB > plain_dB + 1.5
    assert fits[1].channelling.shape == (18,)


def test_light_atoms_of_an_alloy_are_found():
    symbols = np.where(np.arange(N_ATOMS) % 3 == 0, "Cu", "Au").tolist()
    series = series_of(Atoms(symbols, positions=ATOMS.positions), channelling=True)
    found = fit_atoms(series)
    assert all_found(found)
    light = found.cross_section_A2[np.argsort(matched(found).pairs[:, 1])] < 0.5 * np.median(found.cross_section_A2)
    np.testing.assert_array_equal(light, np.arange(N_ATOMS) % 3 == 0)


def test_atoms_as_light_as_a_named_element_are_no_artefacts():
    """Aluminium has a twentieth of the weight of gold."""
    symbols = np.where(np.arange(N_ATOMS) % 3 == 0, "Al", "Au")
    series = series_of(Atoms(symbols.tolist(), positions=ATOMS.positions))
    assert len(fit_atoms(series)) == (symbols == "Au").sum()
    found = fit_atoms(with_elements(series, "Al,Au"))
    assert all_found(found)
    assert found.elements("Al,Au").symbols[np.argsort(matched(found).pairs[:, 1])].tolist() == symbols.tolist()
    usual = AtomSettings().least_weight
    for names, microscope in ((None, NON_ABERRATED), ("Al,Au", None), (["Cu", "Ag"], NON_ABERRATED)):
        assert AtomSettings.usual(names=names, microscope=microscope).least_weight == usual


def test_multislice_frames_of_another_forward_model():
    series, true_A = prism_series()
    known, between = series.subset(slice(None, None, 4)), series.subset(slice(2, -2, 4))
    found = fit_atoms(known)
    match = match_atoms(found.positions_A, true_A)
    assert (match.matched, match.missing, match.invented) == (77, 0, 0) and match.rmsd_pm < 2
    linear = psnr_dB(densify(known, tilt_deg=between.tilt_deg).frames, between.frames)
    alone, whole = (psnr_dB(found.predict(between.tilt_deg, residual=r), between.frames) for r in (False, True))
    assert alone > linear + 12 and whole > alone


def test_a_wide_probe_with_a_halo_is_undone():
    settings = {"microscope": ABERRATED, "shape": 48, "field_of_view_A": 16.8}
    series = simulate_tilt_series(ATOMS, tilt_deg=EVERY_12_deg, **settings)
    found = fit_atoms(series, settings=PLAIN)
    assert all_found(found) and matched(found).rmsd_pm < 3
    between = simulate_tilt_series(ATOMS, tilt_deg=[0.0, 12.0], **settings)
    linear_dB = psnr_dB(densify(series, tilt_deg=between.tilt_deg).frames, between.frames)
    assert psnr_dB(found.predict(between.tilt_deg), between.frames) > linear_dB + 10


def test_a_wide_probe_is_undone_where_channelling_makes_frames_jump():
    atoms = Atoms(Octahedron("Ir", 5, 1))
    atoms.positions -= atoms.positions.mean(axis=0)
    atoms.rotate(33, (1, 2, 3))
    series = simulate_tilt_series(
        atoms,
        microscope=ABERRATED,
        tilt_deg=np.arange(-90.0, 90.0, 24.0),
        shape=56,
        field_of_view_A=22.4,
        channelling=True,
    )
    totals = series.frames.sum(axis=(1, 2))
    assert np.ptp(totals) > 0.03 * totals.mean()
    found = fit_atoms(series, settings=PLAIN)
    assert all_found(found, atoms) and matched(found, atoms).rmsd_pm < 5


@pytest.mark.parametrize("effect", ["gain", "shift", "tilt"])
def test_each_setting_finds_its_own_error_of_the_frames_and_is_off_unless_asked_for(effect):
    rng = np.random.default_rng(1)
    deviates = rng.normal(size=len(SERIES))
    if effect == "gain":
        truth, within = 0.05 * deviates, 0.01
        spoilt = replace(SERIES, frames=SERIES.frames * np.exp(truth)[:, None, None])
        found = fit_atoms(spoilt, settings=replace(PLAIN, frame_gain=True))
        known = np.log(found.gain)
    elif effect == "shift":
        spoilt = with_drift(SERIES, sigma_A=0.2, seed=1)
        truth, within = np.array(spoilt.metadata["effects"][0]["shifts_A"])[:, 0], 0.01
        found = fit_atoms(spoilt, settings=replace(PLAIN, frame_shift=True))
        known = found.shift_A[:, 1]
    else:
        truth, within = 0.5 * deviates, 0.1
        spoilt = replace(series_of(ATOMS, SERIES.tilt_deg + truth), tilt_deg=SERIES.tilt_deg)
        found = fit_atoms(spoilt, settings=replace(PLAIN, tilt_error=True))
        known = found.tilt_error_deg  # but for the mean, which turns the whole object
    assert np.abs(known - known.mean() - truth + truth.mean()).max() < within
    plain = fit_atoms(spoilt, settings=PLAIN)
    assert not np.any([np.log(plain.gain), *plain.shift_A.T, plain.tilt_error_deg])


def test_gains_shifts_and_tilt_errors_of_frames_are_found():
    rng = np.random.default_rng(0)
    gain = np.exp(rng.normal(0, 0.05, len(SERIES)))
    error_deg = rng.normal(0, 0.4, len(SERIES))
    true_deg = SERIES.tilt_deg + error_deg
    actual = series_of(ATOMS, true_deg)
    spoilt = TiltSeries(
        np.roll(actual.frames, 1, axis=2) * gain[:, None, None],  # one pixel to the right: 0.3 A
        SERIES.tilt_deg,
        SERIES.pixel_size_A,
        metadata=SERIES.metadata,
    )
    settings = AtomSettings(channelling=False, frame_gain=True, frame_shift=True, tilt_error=True)
    found = fit_atoms(spoilt, settings=settings)
    assert np.log(found.gain) - np.log(found.gain).mean() == pytest.approx(np.log(gain) - np.log(gain).mean(), abs=0.01)
    assert np.std(found.tilt_error_deg - error_deg) < 0.05
    # what moves the whole object is no shift of frames
    tilt_rad = np.deg2rad(true_deg)
    moves = np.stack([np.cos(tilt_rad), np.sin(tilt_rad)], axis=1)
    rest_A = found.shift_A[:, 0] - 0.3 - moves @ np.linalg.lstsq(moves, found.shift_A[:, 0] - 0.3)[0]
    assert np.abs(rest_A).max() < 0.03 and len(found) == N_ATOMS


def test_densify_knows_the_method(model):
    between = SERIES.tilt_deg[:2] + 6
    dense = densify(SERIES, tilt_deg=between, method="atoms")
    assert not dense.measured.any() and dense.metadata["method"] == "atoms"
    assert psnr_dB(dense.frames, series_of(ATOMS, between).frames) > 40


def test_irregular_angles_and_an_empty_frame():
    rng = np.random.default_rng(1)
    series = series_of(ATOMS, np.sort(rng.uniform(-70, 70, 16)))
    assert all_found(fit_atoms(series, settings=PLAIN))
    frames = SERIES.frames.copy()
    frames[4] = 0
    assert all_found(fit_atoms(replace(SERIES, frames=frames), settings=replace(PLAIN, frame_gain=True)))


def test_an_unknown_probe_is_fitted():
    grid, sigma_A = pixel_centres_A(36, pixel_size_A=0.3), 0.5
    x, y, z = ATOMS.positions.T
    t = np.deg2rad(EVERY_12_deg)[:, None]
    column, _ = rotate_about_y(x, z, np.cos(t), np.sin(t))
    along_x = np.exp(-((grid - column[..., None]) ** 2) / (2 * sigma_A**2))
    along_y = np.exp(-((grid - y[:, None]) ** 2) / (2 * sigma_A**2))
    series = TiltSeries(np.einsum("ay,tax->tyx", along_y, along_x), EVERY_12_deg, 0.3)
    found = fit_atoms(series, settings=PLAIN)
    assert all_found(found) and matched(found).rmsd_pm < 1
    assert found.sigma_A == pytest.approx(np.sqrt(sigma_A**2 - 0.3**2 / 12), abs=0.01)  # pixels have a width too


@pytest.mark.parametrize(
    ("frames", "pixel_size_A", "words"),
    [
        (np.zeros((12, 20, 20)), 0.5, "empty or constant"),
        (np.full((12, 20, 20), 0.3), 0.5, "empty or constant"),
        (np.random.default_rng(0).random((2, 20, 20)), 0.5, "2 measured frames"),
        (np.random.default_rng(0).random((12, 20, 20)), 5.0, "pixels of 5 A"),
    ],
    ids=["empty", "constant", "two frames", "coarse pixels"],
)
def test_frames_without_atoms_are_refused(frames, pixel_size_A, words):
    series = TiltSeries(frames, np.linspace(-80, 80, len(frames)), pixel_size_A)
    with pytest.raises(NotAtoms, match=words) as raised:
        fit_atoms(series)
    assert "\n" not in str(raised.value) and isinstance(raised.value, TsgError)


@pytest.mark.parametrize("shape", ["blobs", "needle", "noise"])
def test_objects_that_are_not_atoms_are_refused(shape):
    n, rng = 32, np.random.default_rng(0)
    volume = np.zeros((n, n, n), np.float32)
    if shape == "blobs":
        volume[tuple(rng.integers(9, 23, (3, 6)))] = 1
        volume = gaussian_filter(volume, 3)
    elif shape == "needle":
        y, z, x = np.indices(volume.shape) - (n - 1) / 2
        volume[(y / 14) ** 2 + (z / 4) ** 2 + (x / 4) ** 2 < 1] = 1
    tilt_deg = np.arange(-90.0, 90.0, 15.0)
    frames = rng.random((len(tilt_deg), n, n)) if shape == "noise" else project(volume, tilt_deg=tilt_deg)
    with pytest.raises(NotAtoms, match="does not apply"):
        fit_atoms(TiltSeries(frames, tilt_deg, 0.5), settings=PLAIN)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("distribution", ["random", "standard_normal"])
def test_white_noise_is_refused_before_atoms_are_fitted_to_it(distribution, seed, monkeypatch):
    """What atoms explain of it is the ratio of two chances, which may well be large."""
    monkeypatch.setattr(AtomFrames, "fitted", None)
    frames = getattr(np.random.default_rng(seed), distribution)((12, 32, 32))
    with pytest.raises(NotAtoms, match="no detail of atomic size beyond noise"):
        fit_atoms(TiltSeries(frames, np.arange(-90.0, 90.0, 15.0), 0.5), settings=PLAIN)


def test_frames_that_are_not_finite_and_settings_that_make_no_sense_are_refused(model):
    with pytest.raises(TsgError, match="not finite"):
        TiltSeries(np.where(SERIES.frames > 0.01, np.nan, SERIES.frames), SERIES.tilt_deg, 0.3)
    with pytest.raises(TsgError, match="finite angles"):
        model.predict([0.0, np.nan])
    with pytest.raises(TsgError, match="device='abacus' is not one that PyTorch has here"):
        fit_atoms(SERIES, settings=AtomSettings(device="abacus"))
    with pytest.raises(TsgError, match="min_distance_A=0 must be a positive"):
        AtomSettings(min_distance_A=0)
    with pytest.raises(TsgError, match="false_alarms=0 must be a positive"):
        AtomSettings(false_alarms=0)


@pytest.mark.parametrize("suffix", ["xyz", "cif"])
def test_atoms_are_written_and_read(model, tmp_path, suffix):
    path = tmp_path / f"atoms.{suffix}"
    ase.io.write(path, model.as_ase(elements="Au"))
    read = ase.io.read(path)
    assert read.get_chemical_symbols() == ["Au"] * N_ATOMS
    assert read.positions - read.cell.diagonal() / 2 == pytest.approx(model.positions_A, abs=1e-3)
    if suffix == "xyz":
        assert read.arrays["position_error_A"] == pytest.approx(model.position_error_A, abs=1e-6)


def test_a_small_memory_gives_the_same_fit(monkeypatch):
    renderer = AtomRenderer(shape=SHAPE, pixel_size_A=0.3, microscope=NON_ABERRATED, depth_A=6.0)
    scaled = torch.from_numpy(SERIES.frames / SERIES.frames.sum(axis=(1, 2)).mean() * N_ATOMS)
    plain = Whitening.of(scaled, scaled, part=0)
    frames = AtomFrames(renderer=renderer, tilt_deg=SERIES.tilt_deg, frames=scaled, whitening=plain)
    start = start_parameters(ATOMS.positions + 0.05, sigma_A=0.2, n_tilt=len(SERIES), device="cpu")
    fits = []
    for values in (10**9, 1):
        monkeypatch.setattr("tsg_core.interpolation.atoms.least_squares.BATCH_VALUES", values)
        fits.append(frames.fitted(start, free=OBJECT, n_iterations=15)["positions_A"].numpy())
    assert len(list(frames.batches(start))) == len(SERIES)
    np.testing.assert_allclose(fits[0], fits[1], atol=2e-3)
    np.testing.assert_allclose(fits[0], ATOMS.positions, atol=0.01)
