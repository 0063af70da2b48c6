"""Atoms of objects that go on outside the frames: found where enough frames look, drawn outside, predicted between."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tsg_core.evaluation.atom_peaks import match_atoms
from tsg_core.interpolation import densify
from tsg_core.interpolation.atoms.errors import MIN_FRAMES, least_agreement
from tsg_core.interpolation.atoms.fit import AtomSettings, fit_atoms
from tsg_core.interpolation.atoms.rendering import AtomRenderer
from tsg_core.microscope import NON_ABERRATED
from tsg_core.reconstruction.extent import Extent
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.noise import with_dose
from tsg_core.structures import film, width_seen_A

TILT_deg = np.arange(-56.0, 57.0, 8.0)
SHAPE, FIELD_A, THICK_A, MARGIN_A = (24, 24), 8.0, 6.0, 5.0
WIDE_A = width_seen_A(field_of_view_A=FIELD_A, thickness_A=THICK_A, tilt_deg=TILT_deg, margin_A=MARGIN_A)
SIZE = {"thickness_A": THICK_A, "width_A": WIDE_A, "height_A": FIELD_A + 2 * MARGIN_A, "seed": 2}
ATOMS = film("Ta", **SIZE)


def series_of(tilt_deg, atoms=ATOMS):
    series = simulate_tilt_series(
        atoms, microscope=NON_ABERRATED, tilt_deg=tilt_deg, shape=SHAPE, field_of_view_A=FIELD_A
    )
    return replace(series, metadata={**series.metadata, "extent": Extent(thickness_A=THICK_A)})


def n_seen(positions_A, renderer_shape=SHAPE):
    renderer = AtomRenderer(shape=renderer_shape, pixel_size_A=FIELD_A / SHAPE[1], extended=True)
    return renderer.seen(positions_A, tilt_deg=TILT_deg)[0].sum(axis=0)


def psnr_dB(frames, truth):
    return -10 * np.log10(np.mean((frames - truth) ** 2) / truth.max() ** 2)


@pytest.mark.parametrize(("dose_per_A2", "rmsd_pm", "gain_dB"), [(None, 0.5, 14), (1e5, 2, 13)])
def test_atoms_of_a_film_are_found_where_all_frames_look(dose_per_A2, rmsd_pm, gain_dB):
    clean = series_of(TILT_deg)
    series = clean if dose_per_A2 is None else with_dose(clean, dose_per_A2=dose_per_A2, seed=1)
    model = fit_atoms(series, settings=AtomSettings(channelling=False))
    match = match_atoms(model.positions_A, ATOMS.positions, within_A=0.8)
    found, true = match.pairs.T
    looked_at = n_seen(ATOMS.positions) == len(TILT_deg)
    assert np.isin(np.flatnonzero(looked_at), true).mean() >= 0.95
    invented = np.setdiff1d(np.arange(len(model)), found)
    assert not (n_seen(model.positions_A)[invented] == len(TILT_deg)).any()
    apart_A = np.linalg.norm(model.positions_A[found] - ATOMS.positions[true], axis=1)[looked_at[true]]
    assert looked_at.sum() > 15 and 100 * np.sqrt(np.mean(apart_A**2)) < rmsd_pm
    assert n_seen(model.positions_A).min() >= MIN_FRAMES and np.isfinite(model.position_error_A).all()
    between = TILT_deg[:-1] + 4
    truth = series_of(between).frames
    linear_dB = psnr_dB(densify(series, tilt_deg=between).frames, truth)
    assert psnr_dB(model.predict(between), truth) > linear_dB + gain_dB


def test_atoms_as_close_as_in_carbon_are_found():
    """Their bonds are shorter than the least distance that is tried first."""
    carbon = film("C", **SIZE)
    model = fit_atoms(series_of(TILT_deg, carbon), settings=AtomSettings(channelling=False))
    found, true = match_atoms(model.positions_A, carbon.positions, within_A=0.5).pairs.T
    looked_at = n_seen(carbon.positions) == len(TILT_deg)
    assert looked_at.sum() > 30 and np.isin(np.flatnonzero(looked_at), true).mean() >= 0.95
    invented = np.setdiff1d(np.arange(len(model)), found)
    assert not (n_seen(model.positions_A)[invented] == len(TILT_deg)).any()


def test_atoms_outside_are_drawn_as_in_a_wider_frame_and_do_not_come_in_at_the_other_side():
    places_A = torch.tensor([[-6.0, -4.3, 0.0, 4.1, 8.0, 40.0]]), torch.tensor([[0.0, 1.0, -4.5, 2.0, 0.0, 0.0]])
    depths_A, weights, sigma_A = torch.zeros(1, 6), torch.ones(1, 6), torch.tensor(0.2)
    options = {"pixel_size_A": FIELD_A / SHAPE[1], "microscope": NON_ABERRATED}
    narrow = AtomRenderer(shape=SHAPE, extended=True, **options)(*places_A, depths_A, weights, sigma_A)[0]
    wide = AtomRenderer(shape=(74, 280), **options)(*places_A, depths_A, weights, sigma_A)[0]
    np.testing.assert_allclose(narrow, wide[25:-25, 128:-128], atol=2e-3 * float(wide.max()))


def test_frames_that_do_not_show_an_atom_have_no_say_about_it():
    needed = least_agreement(np.array([5, 20]), n_places=100, false_alarms=0.01)
    assert needed[0] > needed[1] == least_agreement(20, n_places=100, false_alarms=0.01)
    renderer = AtomRenderer(shape=SHAPE, pixel_size_A=FIELD_A / SHAPE[1], extended=True)
    seen, depth_A = renderer.seen(np.array([[5.0, 0, 0], [0, 4.2, 0]]), tilt_deg=np.array([0.0, 60.0]))
    assert seen.tolist() == [[False, False], [True, False]] and depth_A == pytest.approx(5 * np.sin(np.pi / 3))
