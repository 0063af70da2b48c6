"""Training: it learns, goes on bit for bit, keeps its best model, and says what it can't do."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hostile_files import pickled
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from tsg_core.errors import TsgError
from tsg_core.geometry import pixel_centres_A, tilted_positions
from tsg_core.model import TSGNet
from tsg_core.model.file import load_model, model_metadata
from tsg_core.tilt_series import TiltSeries
from tsg_core.training import HISTORY_FILE, LOSSES, MODEL_FILE, STATE_FILE, TrainingSettings, loop, train

TINY = (4, 6, 8, 10)


def spots(seed, n_px=32, n_atoms=6):
    rng = np.random.default_rng(seed)
    tilt_deg = np.arange(-30.0, 31.0, 2.0)
    positions_A = tilted_positions(rng.uniform(-4, 4, (n_atoms, 3)), tilt_deg=tilt_deg)
    grid_A = pixel_centres_A(n_px, pixel_size_A=0.4)
    columns, rows = (np.exp(-0.5 * (positions_A[:, :, k, None] - grid_A) ** 2) for k in (0, 1))
    return TiltSeries(np.einsum("tay,tax->tyx", rows, columns), tilt_deg, 0.4)


TRAINING, VALIDATION = [spots(1), spots(2)], [spots(3)]


def settings(**changes):
    options = {"n_steps": 6, "batch_size": 2, "crop_px": 16, "max_rate": 4, "precision": "32-true"}
    return TrainingSettings(**options | {"validate_every": 3, "checkpoint_every": 3, "log_every": 2} | changes)


def network():
    torch.manual_seed(0)
    return TSGNet(channels=TINY, linear_start=True)


def run(folder, **changes):
    return train(TRAINING, validation=VALIDATION, settings=settings(**changes), folder=folder, model=network(),
                 accelerator="cpu")  # fmt: skip


class Interrupted(Exception):
    pass


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks this small are slower on several, most of all beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def kept_states(monkeypatch):
    """The state at the end of each training, in order: the file itself is gone by then."""
    states, report = [], loop._Run.report

    def keeping(self, judge, writer):
        if self.finished:
            self.save()
            states.append(torch.load(self.folder / STATE_FILE))
        report(self, judge, writer)

    monkeypatch.setattr(loop._Run, "report", keeping)
    return states


def half_precision_with_loss_scale(*_, **__):
    """Fabric itself falls back to bfloat16 on a processor."""
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", device="cpu")])
    fabric.launch()
    return fabric


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
def test_a_resumed_training_ends_with_the_same_weights(tmp_path, monkeypatch, kept_states, precision):
    if precision == "16-mixed":
        monkeypatch.setattr(loop, "launched_fabric", half_precision_with_loss_scale)
    run(tmp_path / "straight", precision=precision)
    whole = loop._Run.update

    def update(self, batch):
        if self.step == 4:
            raise Interrupted
        return whole(self, batch)

    monkeypatch.setattr(loop._Run, "update", update)
    with pytest.raises(Interrupted):
        run(tmp_path / "resumed", precision=precision)
    assert torch.load(tmp_path / "resumed" / STATE_FILE)["step"] == 3
    monkeypatch.setattr(loop._Run, "update", whole)
    run(tmp_path / "resumed", precision=precision)

    straight, resumed = kept_states
    for part in ("model", "average"):
        torch.testing.assert_close(straight[part], resumed[part], rtol=0, atol=0)
    torch.testing.assert_close(straight["optimizer"]["state"], resumed["optimizer"]["state"], rtol=0, atol=0)
    assert straight["precision"] == resumed["precision"]
    assert ("scale" in straight["precision"]) == (precision == "16-mixed")
    tables = [pd.read_csv(tmp_path / n / HISTORY_FILE).drop(columns="samples_per_s") for n in ("straight", "resumed")]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0].step.tolist() == [0, 2, 3, 4, 6]


@pytest.mark.parametrize("loss", LOSSES)
def test_training_changes_every_parameter_and_lowers_the_loss(tmp_path, kept_states, loss):
    run(tmp_path, n_steps=30, learning_rate=2e-3, validate_every=30, log_every=10, batch_size=4, loss=loss)
    history = pd.read_csv(tmp_path / HISTORY_FILE)
    assert history.loss.iloc[-1] < history.loss.iloc[1]
    before, after = network().state_dict(), kept_states[0]["model"]
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_an_untrained_network_scores_like_linear_interpolation(tmp_path):
    run(tmp_path, n_steps=1)
    first = pd.read_csv(tmp_path / HISTORY_FILE).iloc[0]
    assert first.validation_psnr_dB == pytest.approx(first.linear_psnr_dB, abs=1e-3)
    assert 15 < first.linear_psnr_dB < 60


def test_the_kept_model_is_the_one_that_validated_best(tmp_path):
    path = run(tmp_path, learning_rate=0.3, final_learning_rate=0.3, ema_decay=0.0)  # gets worse at once
    assert path == tmp_path / MODEL_FILE
    history = pd.read_csv(tmp_path / HISTORY_FILE)
    notes = model_metadata(path)["notes"]
    best = history.loc[history.validation_psnr_dB.idxmax()]
    assert (notes["step"], notes["validation_psnr_dB"]) == (best.step, pytest.approx(best.validation_psnr_dB))
    assert history.validation_psnr_dB.iloc[-1] < best.validation_psnr_dB
    assert load_model(path).architecture == network().architecture


def test_networks_are_judged_when_it_is_due_and_the_history_says_so(tmp_path, monkeypatch):
    steps, validate = [], loop._Run.validate
    monkeypatch.setattr(loop._Run, "validate", lambda run, judge: steps.append(run.step) or validate(run, judge))
    run(tmp_path)
    judged = pd.read_csv(tmp_path / HISTORY_FILE).set_index("step")["validation_psnr_dB"].dropna()
    assert steps == [0, 3, 6] == list(judged.index)


def test_a_finished_training_keeps_model_and_history_and_is_left_as_it_is(tmp_path):
    run(tmp_path)
    times = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert times.keys() == {MODEL_FILE, HISTORY_FILE}
    run(tmp_path)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == times


@pytest.mark.parametrize("finished", [True, False])
def test_a_training_of_other_settings_or_widths_is_not_gone_on_with(tmp_path, monkeypatch, finished):
    if not finished:
        monkeypatch.setattr(loop._Run, "finished", False)  # as if interrupted after the last checkpoint
    run(tmp_path)
    assert (tmp_path / STATE_FILE).exists() != finished
    with pytest.raises(TsgError, match="n_steps=6, not 8"):
        run(tmp_path, n_steps=8)
    with pytest.raises(TsgError, match="channels"):
        other = TSGNet(channels=(4, 4, 4, 4))
        train(TRAINING, validation=VALIDATION, settings=settings(), folder=tmp_path, model=other, accelerator="cpu")
    decisive = tmp_path / (MODEL_FILE if finished else STATE_FILE)
    decisive.write_bytes(decisive.read_bytes()[:1000])
    with pytest.raises(TsgError, match="truncated"):
        run(tmp_path)


def test_a_state_that_holds_a_program_is_refused_and_not_run(tmp_path):
    pickled(tmp_path / STATE_FILE)
    with pytest.raises(TsgError, match=f"{STATE_FILE} is truncated or not"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]


def test_a_model_without_its_history_is_no_finished_training(tmp_path):
    run(tmp_path)
    (tmp_path / HISTORY_FILE).unlink()
    run(tmp_path)
    assert pd.read_csv(tmp_path / HISTORY_FILE).step.iloc[-1] == 6


def test_the_learning_rate_rises_then_falls_on_a_cosine():
    s = settings(n_steps=110, warmup_steps=10, learning_rate=1e-3, final_learning_rate=1e-5)
    rates = [s.learning_rate_at(i) for i in range(111)]
    assert rates[0] == pytest.approx(1e-4) and rates[9] == rates[10] == 1e-3
    assert rates[60] == pytest.approx((1e-3 + 1e-5) / 2) and rates[110] == pytest.approx(1e-5)
    assert all(np.diff(rates[10:]) < 0)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"crop_px": 20}, "crop_px=20"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"learning_rate": 0.0}, "learning_rate=0"),
        ({"dose_per_A2": (0.0, 5.0)}, "dose_per_A2"),
        ({"precision": "8"}, "precision='8'"),
        ({"loss": "l2"}, "loss='l2' is not one of published, gain"),
        ({"ema_decay": 1.0}, "ema_decay"),
    ],
)
def test_settings_that_cannot_be_trained_with_are_refused(changes, cause):
    with pytest.raises(TsgError, match=cause):
        settings(**changes)


def test_missing_or_short_validation_series_are_refused(tmp_path):
    for validation in ([], [spots(3).subset([0, 1])]):
        with pytest.raises(TsgError, match="validation series"):
            train(TRAINING, validation=validation, settings=settings(), folder=tmp_path, model=network(),
                  accelerator="cpu")  # fmt: skip


def test_half_precision_trains_to_finite_weights(tmp_path):
    path = run(tmp_path, precision="bf16-mixed")
    assert all(torch.isfinite(p).all() for p in load_model(path).parameters())
    assert math.isfinite(pd.read_csv(tmp_path / HISTORY_FILE).loss.iloc[-1])


def test_tensorboard_files_are_written_on_request(tmp_path):
    pytest.importorskip("tensorboard")
    train(TRAINING, validation=VALIDATION, settings=settings(n_steps=1), folder=tmp_path, model=network(),
          accelerator="cpu", tensorboard=True)  # fmt: skip
    assert list((tmp_path / "tensorboard").iterdir())
