import numpy as np
import pandas as pd
import pytest
import torch

from tsg_core.informed import GAINS, N_CHANNELS, InformedNet, predict_informed, shipped_net, views
from tsg_core.informed_training import Cases, InformedSettings, _augmented, objective, train_informed
from tsg_core.methods import predict
from tsg_core.microscope import NON_ABERRATED
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import test_particles


@pytest.fixture(scope="module")
def series():
    particle = test_particles(1, seed=5, diameter_A=(8.0, 12.0))[0]
    return simulate_tilt_series(
        particle, microscope=NON_ABERRATED, tilt_deg=np.arange(-90.0, 91.0, 5.0), shape=(34, 37), field_of_view_A=16.0
    )


@pytest.fixture(scope="module")
def sparse(series):
    return series.subset(np.arange(0, len(series), 2))


def test_an_untrained_network_returns_the_reprojection(series, sparse):
    wanted = series.tilt_deg[[5, 17]]
    frames, sigma = predict_informed(InformedNet(), sparse, wanted)
    np.testing.assert_allclose(frames.clip(0), predict("reprojection", sparse, wanted), atol=1e-6)
    assert sigma.shape == frames.shape and (sigma > 0).all()


def test_the_views_do_not_depend_on_the_unit(sparse):
    wanted = np.array([1.0, -77.0])
    plain = views(sparse, wanted)
    scaled = views(type(sparse)(256 * sparse.frames, sparse.tilt_deg, 0.5, metadata=sparse.metadata), wanted)
    assert plain.channels.shape == (2, N_CHANNELS, 34, 37)
    np.testing.assert_allclose(scaled.scale, 256 * plain.scale, rtol=1e-2)


def test_the_shipped_network_gains_on_a_particle_it_has_not_met(series, sparse):
    middles = np.arange(1, len(series) - 1, 2)
    true = series.frames[middles]

    def mse(method):
        return ((predict(method, sparse, series.tilt_deg[middles]) - true) ** 2).mean()

    assert mse("informed") < 1.02 * mse("reprojection") < mse("linear")


def test_in_validation_the_network_gains_at_nearly_every_gap():
    gains = pd.read_csv(GAINS).groupby(["microscope", "gap"])["gain_dB"].mean()
    assert gains.groupby("microscope").mean().min() > 1
    assert gains.min() > -0.3 and (gains > 0).mean() > 0.95


def test_mirrored_views_are_those_of_the_mirrored_series(series, sparse):
    flipped = type(sparse)(
        sparse.frames[::-1, :, ::-1].copy(), -sparse.tilt_deg[::-1], sparse.pixel_size_A, metadata=sparse.metadata
    )
    here, there = views(sparse, np.array([2.0])), views(flipped, np.array([-2.0]))
    draws_both = next(rng for k in range(99) if (rng := np.random.default_rng(k)) and _draws(k) == (False, True))
    mirrored, _ = _augmented(torch.from_numpy(here.channels), torch.zeros(1, 34, 37), draws_both)
    for channel, expected in zip(mirrored[0].numpy(), there.channels[0], strict=True):
        if np.ptp(expected) == 0:
            assert channel == pytest.approx(expected, abs=0.05)
        else:  # the object's subsets of frames are others, and so is what it misses, a little
            assert np.corrcoef(channel.ravel(), expected.ravel())[0, 1] > 0.7


def _draws(seed):
    rng = np.random.default_rng(seed)
    return rng.random() < 0.5, rng.random() < 0.5


def test_training_learns_what_the_views_tell_and_goes_on_where_it_stopped(tmp_path):
    rng = np.random.default_rng(0)
    channels = rng.normal(size=(24, N_CHANNELS, 16, 16)).astype(np.float16)
    path = tmp_path / "cases.npz"
    np.savez(path, channels=channels, error=channels[:, 2], gap=np.full(24, 4))
    cases = Cases([path])
    settings = {"batch_size": 8, "learning_rate": 5e-3, "warmup_steps": 2, "validate_every": 20, "ema_decay": 0.8}
    first = objective(InformedNet(), *cases.batch(np.arange(8)))
    for n_steps in (20, 40):
        best = train_informed(
            cases, cases, settings=InformedSettings(n_steps=n_steps, **settings), folder=tmp_path / "work"
        )
    net = InformedNet()
    net.load_state_dict(torch.load(best, weights_only=True)["net"])
    assert objective(net, *cases.batch(np.arange(8))) < first - 0.3
    assert len((tmp_path / "work" / "history.jsonl").read_text().splitlines()) == 2
