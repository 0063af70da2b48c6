import numpy as np
import pandas as pd
import pytest
import torch

from tsg_core.interpolation.informed.network import InformedNet
from tsg_core.interpolation.informed.views import ATOMS, CUBIC, N_CHANNELS
from tsgbook.networks.informed_cases import Cases
from tsgbook.networks.informed_training import (
    WITHOUT_ATOMS,
    InformedSettings,
    _augmented,
    _scores,
    objective,
    train_informed,
    validation_gains,
    widened,
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Errors that the third channel tells; every second target with atoms that explain half of them."""
    rng = np.random.default_rng(0)
    channels = rng.normal(size=(24, N_CHANNELS, 16, 16)).astype(np.float16)
    channels[:, ATOMS] = 0
    channels[::2, ATOMS.start], channels[::2, ATOMS.start + 1] = channels[::2, 2] / 2, 1
    path = tmp_path_factory.mktemp("cases") / "cases.npz"
    labels = {"microscope": np.full(24, "aberrated"), "engine": np.full(24, "incoherent")}
    np.savez(path, channels=channels, error=channels[:, 2], gap=np.full(24, 4), **labels)
    return Cases([path])


def test_training_learns_what_the_views_tell_and_goes_on_where_it_stopped(cases, tmp_path):
    settings = {"batch_size": 8, "learning_rate": 5e-3, "warmup_steps": 2, "validate_every": 20, "ema_decay": 0.8}
    first = objective(InformedNet(), *cases.batch(np.arange(8)))
    for n_steps in (20, 40):
        best = train_informed(cases, cases, settings=InformedSettings(n_steps=n_steps, **settings), folder=tmp_path)
    net = InformedNet()
    net.load_state_dict(torch.load(best, weights_only=True)["net"])
    assert objective(net, *cases.batch(np.arange(8))) < first - 0.3
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 2


def test_the_objective_asks_more_where_a_target_ends_up_worse_than_before():
    channels, error = torch.zeros(2, N_CHANNELS, 8, 8), torch.ones(2, 8, 8)
    channels[:, CUBIC] = 1.0
    nets = [InformedNet(), InformedNet(), InformedNet()]
    for net, correction in zip(nets, (0.0, 0.5, -1.0), strict=True):
        torch.nn.init.constant_(net.last.bias[:1], correction)
        torch.nn.init.constant_(net.last.bias[1:2], 20.0)  # the likelihood hardly depends on what is left
    same, better, worse = (objective(net, channels, error).item() for net in nets)
    assert same - better == pytest.approx(np.log(4), abs=0.05)
    assert worse - same == pytest.approx(4 * np.log(4), abs=0.05)


def test_before_the_network_stands_the_nearer_of_prior_and_atoms():
    channels, error = torch.zeros(1, N_CHANNELS, 8, 8), torch.ones(1, 8, 8)
    channels[:, CUBIC], channels[:, ATOMS.start], channels[:, ATOMS.start + 1] = 1.0, 0.9, 1.0
    net = InformedNet()
    torch.nn.init.constant_(net.last.bias[1:2], 20.0)
    torch.nn.init.constant_(net.last.bias[2:], 30.0)
    of_atoms = objective(net, channels, error).item()
    torch.nn.init.constant_(net.last.bias[2:], -30.0)
    assert objective(net, channels, error).item() - of_atoms == pytest.approx(4 * np.log(100), abs=0.5)


def test_gains_in_validation_are_those_with_and_without_atoms(cases):
    gains = validation_gains(InformedNet(), cases)
    with_atoms, without = gains[gains["atoms"]], gains[~gains["atoms"]]
    assert len(without) == 24 and (without["gain_dB"] == 0).all() and without["gain_over_atoms_dB"].isna().all()
    assert len(with_atoms) == 12  # half of the atoms' half: a fourth of the error is gone
    assert with_atoms["gain_dB"].to_numpy() == pytest.approx(20 * np.log10(4 / 3), abs=0.05)
    assert with_atoms["gain_over_atoms_dB"].to_numpy() == pytest.approx(20 * np.log10(2 / 3), abs=0.05)


def test_a_third_of_the_targets_is_told_of_no_atoms():
    channels = torch.ones(300, N_CHANNELS, 4, 4)
    told, _ = _augmented(channels, torch.ones(300, 4, 4), np.random.default_rng(0))
    kept = told[:, ATOMS].flatten(1)
    assert ((kept == 0).all(1) | (kept == 1).all(1)).all()
    assert (kept == 0).all(1).float().mean() == pytest.approx(WITHOUT_ATOMS, abs=0.08)
    assert told[:, : ATOMS.start].abs().min() == 1 and (channels == 1).all()


def test_widened_weights_do_what_the_narrower_ones_did():
    wide = InformedNet()
    narrow = {name: torch.randn_like(value) for name, value in wide.state_dict().items()}
    narrow["fine.0.weight"] = narrow["fine.0.weight"][:, : ATOMS.start]
    narrow["last.weight"], narrow["last.bias"] = narrow["last.weight"][:2], narrow["last.bias"][:2]
    wide.load_state_dict(widened(narrow, wide.state_dict()))
    channels = torch.randn(1, wide.fine[0].in_channels, 16, 16)
    weight, bias = narrow["fine.0.weight"], narrow["fine.0.bias"]
    before = torch.nn.functional.conv2d(channels[:, : ATOMS.start], weight, bias, padding=1)
    assert torch.allclose(wide.fine[0](channels), before, atol=1e-4)
    assert torch.equal(wide.last.weight[:2], narrow["last.weight"]) and not wide.last.weight[2].any()


def test_a_gap_that_loses_counts_against_the_weights():
    gains = pd.DataFrame(
        {
            "engine": "incoherent",
            "microscope": "aberrated",
            "gap": [4, 4, 8, 8],
            "gain_dB": [1.0, 1.0, -0.4, 0.0],
            "gain_over_atoms_dB": [0.5, np.nan, np.nan, np.nan],
            "atoms": [True, False, False, False],
        }
    )
    assert _scores(gains) == pytest.approx({"gain_dB": 0.275, "worst_gap_dB": -0.2, "score_dB": 0.275 - 1.0})
    gains["engine"] = ["incoherent", "incoherent", "multislice", "incoherent"]
    assert _scores(gains)["worst_gap_dB"] == pytest.approx(-0.4)
