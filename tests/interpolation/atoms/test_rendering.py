"""The renderer of atoms: its gradient, and the incoherent engine that it must agree with."""

import numpy as np
import pytest
import torch
from ase import Atoms

from tsg_core.geometry import tilted_positions
from tsg_core.interpolation.atoms.least_squares import AtomFrames
from tsg_core.interpolation.atoms.rendering import AtomRenderer
from tsg_core.interpolation.atoms.whitening import Whitening
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.simulation import incoherent, simulate_tilt_series


def places(n_atoms=12, tilt_deg=(-60.0, 0.0, 33.0), spread_A=2.5, seed=0):
    positions_A = np.random.default_rng(seed).normal(0, spread_A, (n_atoms, 3)).clip(-2 * spread_A, 2 * spread_A)
    columns, rows, depths = np.moveaxis(tilted_positions(positions_A, tilt_deg=tilt_deg), -1, 0)
    return positions_A, [torch.tensor(a, dtype=torch.float32) for a in (columns, rows, depths)]


@pytest.mark.parametrize("microscope", [None, NON_ABERRATED], ids=["Gaussian", "35 mrad"])
def test_gradients_are_those_of_finite_differences(microscope):
    renderer = AtomRenderer(shape=(10, 12), pixel_size_A=0.4, microscope=microscope, depth_A=3.0)
    _, at = places(n_atoms=2, tilt_deg=(-20.0, 40.0), spread_A=0.8)
    inputs = [a.double().requires_grad_() for a in (*at, torch.tensor([[1.0, 0.7], [0.9, 1.2]]), torch.tensor(0.4))]
    assert torch.autograd.gradcheck(renderer, inputs, eps=1e-4, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize(
    ("microscope", "pixel_size_A", "shape"),
    [(NON_ABERRATED, 0.25, (56, 64)), (NON_ABERRATED, 0.6, (24, 30)), (ABERRATED, 0.4, (40, 36))],
    ids=["fine", "coarse", "aberrated"],
)
def test_frames_are_those_of_the_incoherent_engine(monkeypatch, microscope, pixel_size_A, shape):
    monkeypatch.setattr(incoherent, "atom_transfer", lambda *_: (np.linspace(0, 6, 20), np.ones(20)))  # points
    tilt_deg = [-60.0, 0.0, 33.0]
    positions_A, at = places()
    renderer = AtomRenderer(shape=shape, pixel_size_A=pixel_size_A, microscope=microscope, depth_A=8.0)
    settings = {"thermal_displacement_A": 0.2, "depth_step_A": 0.2, "padding_A": renderer.frame.padding_A}
    series = simulate_tilt_series(
        Atoms("Au12", positions=positions_A),
        microscope=microscope,
        tilt_deg=tilt_deg,
        shape=shape,
        field_of_view_A=shape[1] * pixel_size_A,
        **settings,
    )
    frames = renderer(*at, torch.ones(3, 12), torch.tensor(0.2)).numpy() / pixel_size_A**2
    assert np.abs(frames - series.frames).max() < 1e-3 * series.frames.max()


def test_an_atom_of_weight_1_sums_up_to_1_and_counts_as_much_as_is_said():
    renderer = AtomRenderer(shape=(60, 60), pixel_size_A=0.25, microscope=NON_ABERRATED)

    def spot(column_A):
        column = torch.tensor([[column_A]], dtype=torch.float64)
        return renderer(column, 0 * column, 0 * column, 1 + 0 * column, torch.tensor(0.2)).numpy()[0]

    frames = torch.zeros((1, 60, 60))
    plain = Whitening.of(frames, frames, part=0)
    overlap, slope = AtomFrames(renderer=renderer, tilt_deg=np.zeros(1), frames=frames, whitening=plain).overlap(
        {"sigma_A": torch.tensor(0.2)}
    )
    assert spot(0.0).sum() == pytest.approx(1, abs=0.02)
    assert (spot(0.1) ** 2).sum() == pytest.approx(overlap, rel=0.01)
    assert (((spot(0.11) - spot(0.09)) / 0.02) ** 2).sum() == pytest.approx(slope, rel=0.01)


def test_the_blur_has_a_floor():
    renderer = AtomRenderer(shape=(20, 20), pixel_size_A=0.25)
    _, at = places(n_atoms=3, spread_A=0.5)
    sharp, floor, wide = (renderer(*at, torch.ones(3, 3), torch.tensor(s)) for s in (0.0, renderer.least_sigma_A, 0.6))
    assert torch.allclose(sharp, floor, atol=1e-6) and wide.max() < 0.9 * floor.max()
