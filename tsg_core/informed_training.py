"""Training `informed.InformedNet`: cases of sparse series of training particles, and the steps that follow."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from .errors import TsgError
from .files import replaced_when_whole
from .informed import GAINS, WEIGHTS, InformedNet, views
from .microscope import MICROSCOPES
from .noise import with_dose
from .progress import track
from .recipes import RecipeData
from .schedule import learning_rate_at
from .simulation import simulate_tilt_series
from .sparsity import MAX_GAP
from .tilt_series import TiltSeries

NLL_WEIGHT = 0.2  # of the likelihood of the uncertainty beside the gain


@dataclass(frozen=True, kw_only=True)
class CaseSettings:
    """What is drawn for the cases: sparse series, of each of which `n_targets` frames are to be predicted.

    data           the particles, their pixel sizes and frames, as of TSGNet's recipes
    n_cases        of each particle and microscope
    channelling    (low, high) part of the channelling correction that a series' frames have; half of them have none
    dose_per_A2    (low, high) dose of the measured frames, log-uniform; half of the cases have no noise
    """

    data: RecipeData
    n_cases: int = 6
    n_targets: int = 8
    channelling: tuple[float, float] = (0.3, 1.5)
    dose_per_A2: tuple[float, float] = (1e3, 1e6)


@dataclass(frozen=True, kw_only=True)
class InformedSettings:
    """AdamW on a cosine, averaged weights; the best of them in validation are kept."""

    n_steps: int = 5000
    batch_size: int = 8
    learning_rate: float = 2e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 100
    weight_decay: float = 0.01
    ema_decay: float = 0.998
    validate_every: int = 250
    seed: int = 0


def write_cases(settings: CaseSettings, folder: Path, *, validation: bool) -> list[Path]:
    """Files of the cases of every particle and microscope, made where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    data = settings.data
    jobs = [
        (pixel_size_A, k, atoms, name)
        for pixel_size_A in data.pixel_sizes_A
        for k, atoms in enumerate(data.particles(pixel_size_A, validation=validation))
        for name in MICROSCOPES
    ]
    use = "validation" if validation else "training"
    paths = []
    for pixel_size_A, k, atoms, name in track(jobs, label=f"{use} particles"):
        path = folder / f"{use}_{pixel_size_A:g}A_{k}_{name}.npz"
        paths.append(path)
        if not path.exists():
            rng = np.random.default_rng([data.seed, int(validation), int(1000 * pixel_size_A), k, name == "aberrated"])
            series = _dense_series(atoms, pixel_size_A, name, settings, rng)
            cases = [_case(series, settings, rng) for _ in range(settings.n_cases)]
            arrays = {key: np.concatenate([case[key] for case in cases]) for key in cases[0]}
            with replaced_when_whole(path) as (partial,):
                np.savez(partial, **arrays)
    return paths


def _dense_series(atoms, pixel_size_A: float, microscope: str, settings: CaseSettings, rng) -> TiltSeries:
    """A full series, half of them with a random part of the channelling correction."""
    n = settings.data.n_pixels
    options = {
        "microscope": MICROSCOPES[microscope],
        "tilt_deg": np.arange(-90.0, 90.5, settings.data.tilt_step_deg),
        "shape": n,
        "field_of_view_A": n * pixel_size_A,
    }
    plain = simulate_tilt_series(atoms, **options)
    if rng.random() < 0.5:
        return plain
    part = rng.uniform(*settings.channelling)
    channelled = simulate_tilt_series(atoms, **options, channelling=True)
    frames = plain.frames + np.float32(part) * (channelled.frames - plain.frames)
    return TiltSeries(frames.clip(0), plain.tilt_deg, plain.pixel_size_A, metadata=plain.metadata)


def _case(series: TiltSeries, settings: CaseSettings, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A gap, an offset, a dose, a wedge and targets: what the network is told of them, and the truth."""
    gap = int(rng.integers(2, 2 * MAX_GAP + 1))
    edge = int(rng.choice([0, 0, 15, 30]))  # frames left out at both ends: a missing wedge in one of two cases
    measured = np.arange(edge + rng.integers(min(gap, 12)), len(series) - edge, gap)
    between = np.setdiff1d(np.arange(measured[0], measured[-1]), measured)
    middle = np.intersect1d(between, measured[:-1] + gap // 2)
    halves = [rng.choice(middle, min(len(middle), settings.n_targets // 2), replace=False)]
    halves.append(rng.choice(between, min(len(between), settings.n_targets - len(halves[0])), replace=False))
    targets = np.unique(np.concatenate(halves))
    sparse = series.subset(measured)
    if rng.random() < 0.5:
        dose_per_A2 = float(np.exp(rng.uniform(*np.log(settings.dose_per_A2))))
        sparse = with_dose(sparse, dose_per_A2=dose_per_A2, seed=int(rng.integers(2**31)))
    seen = views(sparse, series.tilt_deg[targets])
    error = (series.frames[targets] - seen.prior) / seen.scale[:, None, None]
    return {
        "channels": seen.channels.astype(np.float16),
        "error": error.astype(np.float16),
        "gap": np.full(len(targets), gap),
        "scale": seen.scale,
    }


class Cases:
    """All targets of some files in memory: channels (n, N_CHANNELS, n_y, n_x), error of the prior (n, n_y, n_x)."""

    def __init__(self, paths: list[Path]):
        if not paths:
            raise TsgError("there are no cases to train with")
        loaded = [np.load(path) for path in paths]
        self.channels, self.error, self.gap = (
            np.concatenate([arrays[key] for arrays in loaded]) for key in ("channels", "error", "gap")
        )

    def __len__(self) -> int:
        return len(self.error)

    def batch(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        return tuple(torch.from_numpy(a[chosen].astype(np.float32)) for a in (self.channels, self.error))


def objective(net: InformedNet, channels: Tensor, error: Tensor) -> Tensor:
    """Mean over targets of log(squared error / the prior's), and the Laplace likelihood of what is left.

    All targets count alike, whatever their spacing. Gains beyond 30 dB count no further.
    """
    correction, log_size = net(channels)
    left = error - correction
    now, before = ((x**2).mean(dim=(1, 2)) for x in (left, error))
    floor = 1e-3 * before + 1e-8
    likelihood = (left.detach().abs() / log_size.exp() + log_size).mean()
    return torch.log((now + floor) / (before + floor)).mean() + NLL_WEIGHT * likelihood


def train_informed(training: Cases, validation: Cases, *, settings: InformedSettings, folder: Path) -> Path:
    """Train, going on from the folder's state; returns the path of the weights that were best in validation."""
    torch.manual_seed(settings.seed)
    net = InformedNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(settings.ema_decay)
    )
    folder.mkdir(parents=True, exist_ok=True)
    state_path, best_path, log_path = (folder / name for name in ("state.pt", "best.pt", "history.jsonl"))
    first, best = 0, -math.inf
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        net.load_state_dict(state["net"]), optimizer.load_state_dict(state["optimizer"])
        average.load_state_dict(state["average"])
        first, best = state["step"], state["best"]
    for step in range(first, settings.n_steps):
        rng = np.random.default_rng([settings.seed, step])
        channels, error = _augmented(*training.batch(rng.integers(len(training), size=settings.batch_size)), rng)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(settings, step)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported()):
            loss = objective(net, channels.contiguous(memory_format=torch.channels_last), error)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(net)
        if (step + 1) % settings.validate_every == 0 or step + 1 == settings.n_steps:
            gain_dB = validation_gain_dB(average.module, validation)
            if gain_dB.mean() > best:
                best = float(gain_dB.mean())
                torch.save({"net": average.module.state_dict(), "step": step + 1, "gain_dB": best}, best_path)
            with log_path.open("a") as log:
                record = {"step": step + 1, "loss": loss.item(), "gain_dB": float(gain_dB.mean())}
                log.write(json.dumps(record) + "\n")
            state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "average": average.state_dict()}
            with replaced_when_whole(state_path, overwrite=True) as (partial,):
                torch.save(state | {"step": step + 1, "best": best, "settings": asdict(settings)}, partial)
    return best_path


def validation_gain_dB(net: InformedNet, cases: Cases) -> np.ndarray:
    """Gain over the prior of every target, (n,) in dB."""
    gains = []
    with torch.inference_mode():
        for chosen in np.array_split(np.arange(len(cases)), max(1, len(cases) // 32)):
            channels, error = cases.batch(chosen)
            left = error - net(channels)[0]
            gains.append(10 * torch.log10((error**2).mean(dim=(1, 2)) / (left**2).mean(dim=(1, 2))))
    return torch.cat(gains).numpy()


def ship(best_path: Path, validation: dict[str, Cases]) -> list[Path]:
    """Put the best weights, in 16 bits, and what they gain in validation into the package; `validation` by microscope."""
    state = torch.load(best_path, weights_only=True)["net"]
    net = InformedNet()
    net.load_state_dict({name: value.half().float() for name, value in state.items()})
    rows = [
        pd.DataFrame({"microscope": name, "gap": cases.gap, "gain_dB": validation_gain_dB(net.eval(), cases)})
        for name, cases in validation.items()
    ]
    with replaced_when_whole(WEIGHTS, GAINS, overwrite=True) as (weights, gains):
        save_file({name: value.half().contiguous() for name, value in state.items()}, weights)
        pd.concat(rows).round(3).to_csv(gains, index=False)
    return [WEIGHTS, GAINS]


def _augmented(channels: Tensor, error: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Rows mirrored for half of the batches; for half, columns mirrored and time running backwards.

    A particle mirrored along x gives mirrored columns at the opposite tilt.
    """
    if rng.random() < 0.5:
        channels, error = channels.flip(2), error.flip(1)
    if rng.random() < 0.5:
        channels, error = channels.flip(3), error.flip(2)
        channels = torch.cat([channels[:, :5], channels[:, 5:9].flip(1), -channels[:, 9:10], channels[:, 10:]], dim=1)
    return channels, error
