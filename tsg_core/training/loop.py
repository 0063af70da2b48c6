"""Training TSGNet with Lightning Fabric, on a CPU or on GPUs. A training can be interrupted and resumed at any time."""

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..errors import TsgError
from ..losses import GEOMETRY_WEIGHT, gain_loss, tsgnet_loss
from ..model.file import model_metadata, save_model
from ..model.network import STRIDE, TSGNet
from ..sparsity import MAX_GAP
from ..tilt_series import TiltSeries
from ..tools.digests import plain
from ..tools.files import readable, replaced_when_whole
from ..tools.progress import track
from .averaging import exponential_average
from .processes import launched_fabric
from .samples import Batch, SampleSource
from .schedule import learning_rate_at
from .validation import Validation

MODEL_FILE, HISTORY_FILE, STATE_FILE = "model.safetensors", "history.csv", "training_state.pt"
LOSSES = ("published", "gain")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of a training. They follow the paper where it states them, with samples of every rate.

    n_steps, batch_size    the samples of each step are divided among the devices
    crop_px                edge of the random square crops, a multiple of 16
    learning_rate          of AdamW; it rises over `warmup_steps`, then falls on a cosine to `final_learning_rate`. With
                           the paper's 1e-4, a training of hundreds of steps stayed below linear interpolation in
                           validation; with 1e-3 it rose above it.
    loss                   "published": the paper's; "gain": `losses.gain_loss`, in which all rates carry equal weight
    eta                    weight of the geometry loss in the published loss
    min_rate, max_rate, midpoint   set the gaps and times to draw; see `training.samples.SampleSource`. The paper trains
                           one model for all rates, and one model for each rate: there both rates are equal and
                           midpoint is 1.
    max_gap_deg            the widest gap to draw, for data whose series have several steps; None: max_rate decides
    dose_per_A2            (low, high) dose of the noise added to the input frames of half of the samples, or None
    ema_decay              of the averaged weights, which are validated and kept; lower during the first steps
    max_gradient_norm      gradients with a larger norm are scaled down to it
    precision              of the convolutions: "32-true", "bf16-mixed", "16-mixed", or "auto": bf16-mixed where that
                           is faster. Weights, losses and warping stay in float32.
    validate_every, checkpoint_every, log_every   in steps

    Raises TsgError for values that no training can use.
    """

    n_steps: int
    batch_size: int = 8
    crop_px: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 20
    weight_decay: float = 0.02
    loss: str = "published"
    eta: float = GEOMETRY_WEIGHT
    min_rate: int = 1
    max_rate: int = MAX_GAP
    midpoint: float = 0.5
    max_gap_deg: float | None = None
    dose_per_A2: tuple[float, float] | None = None
    ema_decay: float = 0.999
    max_gradient_norm: float = 1.0
    precision: str = "auto"
    seed: int = 0
    validate_every: int = 100
    checkpoint_every: int = 100
    log_every: int = 10

    def __post_init__(self):
        counts = ("n_steps", "batch_size", "crop_px", "min_rate", "max_rate")
        for name in (*counts, "validate_every", "checkpoint_every", "log_every"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) >= 1):
                raise TsgError(f"{name}={getattr(self, name)} must be a whole number of at least 1")
        if self.min_rate > self.max_rate:
            raise TsgError(f"min_rate={self.min_rate} must not be above max_rate={self.max_rate}")
        if self.crop_px % STRIDE:
            raise TsgError(f"crop_px={self.crop_px} must be a multiple of {STRIDE}")
        if not 0 < self.final_learning_rate <= self.learning_rate:
            raise TsgError(f"learning_rate={self.learning_rate} must be at least final_learning_rate, above 0")
        if not (0 <= self.midpoint <= 1 and 0 <= self.ema_decay < 1 and self.warmup_steps >= 0):
            raise TsgError("midpoint and ema_decay must lie in 0..1, ema_decay below 1, and warmup_steps not below 0")
        if self.max_gap_deg is not None and not self.max_gap_deg > 0:
            raise TsgError(f"max_gap_deg={self.max_gap_deg} must be above 0")
        if self.dose_per_A2 is not None and not 0 < self.dose_per_A2[0] <= self.dose_per_A2[1]:
            raise TsgError(f"dose_per_A2={self.dose_per_A2} must be (low, high), both above 0")
        if self.loss not in LOSSES:
            raise TsgError(f"loss={self.loss!r} is not one of {', '.join(LOSSES)}")
        if self.precision not in PRECISIONS:
            raise TsgError(f"precision={self.precision!r} is not one of {', '.join(PRECISIONS)}")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate at step 0, 1, ..."""
        return learning_rate_at(self, step)


def train(
    training: Sequence[TiltSeries],
    *,
    validation: Sequence[TiltSeries],
    settings: TrainingSettings,
    folder: str | Path,
    model: TSGNet | None = None,
    accelerator: str = "auto",
    devices: int | str | None = None,
    tensorboard: bool = False,
) -> Path:
    """Train, and return the path of `folder`/model.safetensors: the averaged weights that were best in validation.

    training, validation  anything with len and [i] -> TiltSeries, such as a list or a `simulation.datasets.Dataset`
    model                 the network to continue from; by default a TSGNet that starts as linear interpolation, with
                          weights drawn from the seed
    accelerator, devices  as in Lightning Fabric; several devices train together (DDP). By default there is one, or as
                          many as torchrun or SLURM's srun have started, on one machine or several.
    tensorboard           also write event files; needs the package tensorboard

    `folder` also receives history.csv (step, loss, learning_rate, validation_psnr_dB, linear_psnr_dB, samples_per_s)
    and, until the last step, training_state.pt. Calling `train` again with the same settings resumes an interrupted
    training from there; on one CPU it arrives at exactly the same weights. A finished training is left as it is.
    Several processes share the folder, in which the first one writes. Raises TsgError if the folder holds a training
    with other settings, if processes do not see the same folder, and if they cannot share a batch evenly.
    """
    folder = Path(folder)
    fabric = launched_fabric(accelerator=accelerator, devices=devices, precision=settings.precision)
    if settings.batch_size % fabric.world_size:
        raise TsgError(f"batch_size={settings.batch_size} can't be shared by {fabric.world_size} devices")
    if model is None:
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = TSGNet(linear_start=True)
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(model, settings, fabric, folder)
    run.resume()
    run.check_together()
    if not run.finished:
        gaps = {name: getattr(settings, name) for name in ("min_rate", "max_rate", "max_gap_deg", "seed")}
        source = SampleSource(
            training,
            crop_px=settings.crop_px,
            midpoint=settings.midpoint,
            dose_per_A2=settings.dose_per_A2,
            **gaps,
        )
        judge = writer = None
        if fabric.is_global_zero:
            judge = Validation(validation, **gaps)
            writer = _tensorboard_writer(folder) if tensorboard else None
        run.to_the_end(source, judge, writer=writer)
    return folder / MODEL_FILE


class _Objective(nn.Module):
    """The module that Fabric wraps: it computes the loss of a batch."""

    def __init__(self, model: TSGNet, settings: TrainingSettings):
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, batch: Batch) -> Tensor:
        samples = (batch.frame_a, batch.frame_b, batch.target, batch.t)
        if self.settings.loss == "gain":
            return gain_loss(self.model, *samples)
        return sum(tsgnet_loss(self.model, *samples, eta=self.settings.eta))


class _Run:
    """One training: weights, optimiser, averaged weights, history and current step."""

    KEPT = ("step", "best_dB", "validation_dB", "linear_dB", "history", "losses", "seconds")
    WITH_STATE = ("model", "optimizer", "average", "precision")

    def __init__(self, model: TSGNet, settings: TrainingSettings, fabric: Fabric, folder: Path):
        self.settings, self.fabric, self.folder = settings, fabric, folder
        model = copy.deepcopy(model).train().to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.objective, self.optimizer = fabric.setup(_Objective(model, settings), optimizer)
        self.model = self.objective.module.model
        self.precision = fabric.strategy.precision  # its state is the loss scale of 16-mixed
        self.average = exponential_average(self.model, decay=settings.ema_decay).eval()
        self.step, self.best_dB, self.validation_dB, self.linear_dB = 0, -math.inf, math.nan, math.nan
        self.history: list[dict] = []
        self.losses: list[float] = []  # like `seconds`, of the steps since the last line of history
        self.seconds = 0.0

    @property
    def finished(self) -> bool:
        return self.step == self.settings.n_steps

    def to_the_end(self, source: SampleSource, judge: Validation | None, *, writer) -> None:
        """Train to the last step. Only the process that validates and writes gets a `judge`."""
        settings, fabric = self.settings, self.fabric
        if judge and self.step == 0:
            self.validate(judge)
            self.log(validated=True, writer=writer)
        part = slice(fabric.global_rank, None, fabric.world_size)
        steps = range(self.step, settings.n_steps)
        if judge:
            steps = track(steps, label=_Label(self), total=settings.n_steps, done=self.step)
        for step in steps:
            started = time.perf_counter()
            batch = source.batch(step, size=settings.batch_size, part=part)
            self.losses.append(self.update(Batch(*(fabric.to_device(x) for x in batch))))
            self.seconds += time.perf_counter() - started
            self.step = step + 1
            if judge:
                self.report(judge, writer)
        fabric.barrier()

    def report(self, judge: Validation, writer) -> None:
        """Do what is due after this step: validate, write history or a checkpoint; remove it at the end."""
        every = self.settings
        validated = self.finished or self.step % every.validate_every == 0
        if validated:
            self.validate(judge)
        if validated or self.step % every.log_every == 0:
            self.log(validated=validated, writer=writer)
        if self.finished:
            (self.folder / STATE_FILE).unlink(missing_ok=True)
        elif self.step % every.checkpoint_every == 0:
            self.save()

    def update(self, batch: Batch) -> float:
        """One step of the optimiser; returns the loss of the whole batch."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate_at(self.step)
        self.optimizer.zero_grad()
        loss = self.objective(batch)
        self.fabric.backward(loss)
        self.fabric.clip_gradients(
            self.objective,
            self.optimizer,
            max_norm=self.settings.max_gradient_norm,
            error_if_nonfinite=not self.precision.state_dict(),  # too high a loss scale skips the step instead
        )
        self.optimizer.step()
        self.average.update_parameters(self.model)
        return self.fabric.all_reduce(loss.detach(), reduce_op="mean").item()

    def validate(self, judge: Validation) -> None:
        self.linear_dB = judge.linear_dB
        self.validation_dB = judge.psnr_dB(self.average.module, batch_size=self.settings.batch_size)
        if self.validation_dB > self.best_dB:
            self.best_dB = self.validation_dB
            scores = {"step": self.step, "validation_psnr_dB": self.best_dB, "linear_psnr_dB": self.linear_dB}
            save_model(
                self.average.module, self.folder / MODEL_FILE, notes={**scores, "settings": asdict(self.settings)}
            )

    def log(self, *, validated: bool, writer) -> None:
        n = len(self.losses)
        row = {
            "step": self.step,
            "loss": sum(self.losses) / n if n else math.nan,
            "learning_rate": self.settings.learning_rate_at(self.step),
            "validation_psnr_dB": self.validation_dB if validated else math.nan,
            "linear_psnr_dB": self.linear_dB if validated else math.nan,
            "samples_per_s": n * self.settings.batch_size / self.seconds if self.seconds else math.nan,
        }
        self.history.append(row)
        self.losses, self.seconds = [], 0.0
        with replaced_when_whole(self.folder / HISTORY_FILE, overwrite=True) as (partial,):
            pd.DataFrame(self.history).to_csv(partial, index=False)
        if writer:
            for name in row.keys() - {"step"}:
                writer.add_scalar(name, row[name], self.step)
            writer.flush()

    def save(self) -> None:
        state = {name: getattr(self, name) for name in self.KEPT}
        state |= {name: getattr(self, name).state_dict() for name in self.WITH_STATE}
        state |= self.identity()
        with replaced_when_whole(self.folder / STATE_FILE, overwrite=True) as (partial,):
            torch.save(state, partial)

    def resume(self) -> None:
        """Continue from the state in the folder; a finished training there leaves nothing to do."""
        path = self.folder / STATE_FILE
        if not path.exists():
            self._recognise_finished()
            return
        with readable(path):
            state = torch.load(path, map_location=self.fabric.device, weights_only=True)
            self._check_same(path, settings=state["settings"], architecture=state["architecture"])
        for name in self.KEPT:
            setattr(self, name, state[name])
        for name in self.WITH_STATE:
            if name in state:  # earlier versions stored no loss scale
                getattr(self, name).load_state_dict(state[name])

    def check_together(self) -> None:
        """Check that all processes go on from the same step: each has read the folder for itself."""
        first = self.fabric.broadcast(self.step)
        if self.fabric.all_reduce(float(self.step != first), reduce_op="sum"):
            raise TsgError(
                f"the processes found different steps in {self.folder}, the first one {first}, this one {self.step}; "
                "choose a folder on a disk that all machines share"
            )

    def _recognise_finished(self) -> None:
        path, history = self.folder / MODEL_FILE, self.folder / HISTORY_FILE
        if not (path.exists() and history.exists()):
            return
        with readable(history):
            last = int(pd.read_csv(history)["step"].iloc[-1])
        made = model_metadata(path)
        settings = made.get("notes", {}).get("settings", {})
        if last == settings.get("n_steps"):
            self._check_same(path, settings=settings, architecture=made["architecture"])
            self.step = last

    def _check_same(self, path: Path, **found: Mapping[str, Any]) -> None:
        """Check what must agree for a training to resume, or to count as the requested one."""
        before = {"settings": plain(TrainingSettings(n_steps=1))}  # a setting added later had its default before
        for name, wanted in self.identity().items():
            there = {**before.get(name, {}), **found[name]}
            other = sorted(key for key in wanted if wanted[key] != there.get(key))
            if other:
                raise TsgError(
                    f"{path} is of a training with {other[0]}={there.get(other[0])}, not {wanted[other[0]]}; "
                    "choose another folder or delete it"
                )

    def identity(self) -> dict[str, Mapping[str, Any]]:
        return plain({"settings": self.settings, "architecture": self.model.architecture})


class _Label:
    """The state of the run as text, read anew each time the progress display updates."""

    def __init__(self, run: _Run):
        self.run = run

    def __str__(self) -> str:
        run = self.run
        losses = run.losses or [row["loss"] for row in run.history[-1:]]
        loss = f"loss {losses[-1]:.4f}, " if losses else ""
        return f"training: {loss}{run.validation_dB:.2f} dB (linear {run.linear_dB:.2f}), step"


def _tensorboard_writer(folder: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TsgError("tensorboard is not installed: pip install tensorboard, or leave tensorboard out") from error
    return SummaryWriter(folder / "tensorboard")
