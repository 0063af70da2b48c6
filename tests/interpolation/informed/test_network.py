import numpy as np
import pandas as pd
import pytest
import torch

from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.informed.network import GAINS, InformedNet, predict_informed
from tsg_core.interpolation.informed.views import ATOMS, CUBIC, N_CHANNELS
from tsg_core.interpolation.methods import predict

WANTED_deg = np.array([-65.0, -5.0])


@pytest.fixture(scope="module")
def smooth(series):
    """Three frames, too few for atoms."""
    return FittedSeries.of(series.subset([10, 18, 26]))


def test_without_atoms_an_untrained_network_returns_the_reprojection(series, smooth):
    wanted_deg = series.tilt_deg[[14, 23]]
    frames, sigma = predict_informed(InformedNet(), smooth, wanted_deg)
    np.testing.assert_allclose(frames.clip(0), predict("reprojection", smooth, wanted_deg), atol=1e-6)
    assert sigma.shape == frames.shape and (sigma > 0).all()


def test_with_atoms_an_untrained_network_leans_to_what_misses_less_of_the_measured_frames(sparse):
    frames, _ = predict_informed(InformedNet(), sparse, WANTED_deg)
    prior, atoms = predict("reprojection", sparse, WANTED_deg), sparse.atoms.predict(WANTED_deg)
    assert np.abs(frames - atoms).mean() < 0.3 * np.abs(prior - atoms).mean()


def test_the_atoms_weight_is_one_of_three_outputs():
    net = InformedNet()
    channels = torch.zeros(1, N_CHANNELS, 8, 8)
    channels[:, ATOMS.start : ATOMS.start + 2] = 1.0
    with torch.no_grad():
        for believed, expected in ((-30.0, 0.0), (0.0, 0.5), (30.0, 1.0)):
            net.last.bias[2] = believed
            assert net(channels)[0].mean() == pytest.approx(expected)
        channels[:, ATOMS.start + 1] = 0.0  # there are none
        assert net(channels)[0].abs().max() == 0


@pytest.mark.parametrize(
    "reach, believed, unit", [(0.5, -30.0, 0.5), (0.5, 30.0, 0.1), (0.05, 30.0, 0.05), (7.0, -30.0, 1.0)]
)
def test_a_correction_is_counted_in_what_cubic_or_the_believed_atoms_are_off(reach, believed, unit):
    net = InformedNet()
    channels = torch.zeros(1, N_CHANNELS, 8, 8)
    channels[:, CUBIC], channels[:, ATOMS.start + 1], channels[:, ATOMS.start + 2] = reach, 1.0, -1.0
    with torch.no_grad():
        net.last.bias[:] = torch.tensor([1.0, 0.0, believed])
        correction, log_size = net(channels)
    assert correction.mean() == pytest.approx(unit, rel=1e-3)
    assert log_size.mean() == pytest.approx(np.log(unit), abs=1e-3)


@pytest.mark.parametrize("known", ["sparse", "smooth"])
def test_the_shipped_network_gains_on_a_particle_it_has_not_met(series, known, request):
    known = request.getfixturevalue(known)
    measured = np.searchsorted(series.tilt_deg, known.tilt_deg)
    middles = (measured[:-1] + measured[1:]) // 2
    true = series.frames[middles]

    def mse(method):
        return ((predict(method, known, series.tilt_deg[middles]) - true) ** 2).mean()

    assert mse("informed") < 1.02 * mse("reprojection") < mse("linear")


def test_in_validation_the_network_gains_at_every_gap():
    gains = pd.read_csv(GAINS)
    by_gap = gains.groupby(["engine", "microscope", "atoms", "gap"])
    assert by_gap.size().min() >= 15
    means = by_gap[["gain_dB", "gain_over_atoms_dB"]].mean()
    assert means["gain_dB"].groupby(["engine", "microscope", "atoms"]).mean().min() > 1
    assert means["gain_dB"].min() > 0.3
    over_atoms = means["gain_over_atoms_dB"].unstack("atoms")
    assert over_atoms[False].isna().all() and over_atoms[True].min() > -0.15
