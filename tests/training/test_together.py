"""Two processes that train together, started as torchrun starts them: the curve of one, one writer, and resuming."""

import multiprocessing
import os
import re
import socket
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_work import SERIES

from tsg_core.errors import TsgError
from tsg_core.model import TSGNet
from tsg_core.model.file import load_model
from tsg_core.training import HISTORY_FILE, MODEL_FILE, STATE_FILE, TrainingSettings, loop, processes, train

CURVE, WEIGHTS = 1e-4, 1e-3  # relative differences: floats are added in another order
N_STEPS, N_BEFORE = 8, 5


def training(folder: Path, *, batch_size: int = 4, **options):
    torch.manual_seed(0)
    sizes = {"n_steps": N_STEPS, "batch_size": batch_size, "crop_px": 16, "max_rate": 3, "precision": "32-true"}
    settings = TrainingSettings(**sizes, validate_every=4, checkpoint_every=1, log_every=1)
    model = TSGNet(channels=(2, 3, 4, 5), linear_start=True)
    return train(SERIES[:2], validation=SERIES[2:], settings=settings, folder=folder, model=model, accelerator="cpu",
                 **options)  # fmt: skip


class Interrupted(Exception):
    pass


def interrupted(folder: Path) -> None:
    """The training up to a step, at which every process stops."""
    update = loop._Run.update

    def until(self, batch):
        if self.step == N_BEFORE:
            raise Interrupted
        return update(self, batch)

    loop._Run.update = until
    with pytest.raises(Interrupted):
        training(folder)
    loop._Run.update = update


def refusals(folder: Path, rank: int) -> list[str]:
    """What is said of a batch that two cannot share, of other devices, and of folders that only one of them sees."""
    said = []
    apart = folder / f"of {rank}"
    if rank:
        apart.mkdir(parents=True)
        (apart / STATE_FILE).write_bytes((folder.parent / "interrupted" / STATE_FILE).read_bytes())
    for refused, options in ((folder, {"batch_size": 3}), (folder, {"devices": 3}), (apart, {})):
        try:
            training(refused, **options)
        except TsgError as error:
            said.append(str(error))
    return said


def one_of_two(rank: int, port: int, folder: Path, said) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    torch.set_num_threads(1)
    judge = loop.Validation

    def noted(*args, **options):
        (folder / f"judged by {rank}").touch()
        return judge(*args, **options)

    loop.Validation = noted
    training(folder / "together")
    interrupted(folder / "interrupted")
    said.put((rank, refusals(folder / "refused", rank)))
    training(folder / "interrupted")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of all trainings, and what each of two processes was refused."""
    folder = tmp_path_factory.mktemp("together")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()
    pair = [context.Process(target=one_of_two, args=(rank, port, folder, said)) for rank in (0, 1)]
    for process in pair:
        process.start()
    training(folder / "alone")
    for process in pair:
        process.join(300)
        process.kill()
    assert [process.exitcode for process in pair] == [0, 0]
    return folder, dict(said.get() for _ in pair)


def history(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / HISTORY_FILE).drop(columns="samples_per_s")


def test_two_processes_have_the_loss_curve_of_one_with_the_whole_batch(trained):
    folder, _ = trained
    alone, together = history(folder / "alone"), history(folder / "together")
    assert together.step.tolist() == list(range(N_STEPS + 1)) and alone.loss.nunique() == N_STEPS
    pd.testing.assert_frame_equal(together, alone, check_exact=False, rtol=CURVE)
    for one, other in zip(
        *(load_model(folder / n / MODEL_FILE).parameters() for n in ("alone", "together")), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=WEIGHTS, atol=WEIGHTS * float(one.detach().abs().max()))


def test_only_the_first_process_validates_and_writes(trained):
    folder, _ = trained
    assert [path.name for path in folder.glob("judged by *")] == ["judged by 0"]
    assert {path.name for path in (folder / "together").iterdir()} == {MODEL_FILE, HISTORY_FILE}


def test_two_interrupted_processes_go_on_to_the_same_weights(trained):
    folder, _ = trained
    pd.testing.assert_frame_equal(history(folder / "interrupted"), history(folder / "together"))
    weights = [load_model(folder / n / MODEL_FILE).state_dict() for n in ("interrupted", "together")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_what_several_processes_cannot_do_is_said_by_each(trained):
    _, said = trained
    for rank in (0, 1):
        assert said[rank][0] == "batch_size=3 can't be shared by 2 devices"
        assert said[rank][1].startswith("devices=3, but 2 were started on each machine")
        told = re.fullmatch(
            r"the processes found different steps in .*, the first one 0, this one (\d); .*", said[rank][2]
        )
        assert (int(told[1]) > 0) == (rank == 1)


def test_srun_says_how_many_processes_there_are(monkeypatch):
    monkeypatch.setattr(processes.SLURMEnvironment, "detect", lambda: True)
    for name, value in {"SLURM_NTASKS": "8", "SLURM_NNODES": "2"}.items():
        monkeypatch.setenv(name, value)
    assert processes.started_processes() == (4, 2)
    monkeypatch.undo()
    assert processes.started_processes() == (0, 0)
