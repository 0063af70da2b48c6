"""Training of `InformedNet`: the objective, the steps, and the results."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from tsg_core.interpolation.informed.network import GAINS, WEIGHTS, InformedNet
from tsg_core.interpolation.informed.views import AROUND, ATOMS, ATOMS_AROUND, N_CHANNELS, PLACE
from tsg_core.tools.files import replaced_when_whole
from tsg_core.training.averaging import exponential_average
from tsg_core.training.processes import bf16_is_fast
from tsg_core.training.schedule import learning_rate_at

from .informed_cases import Cases

NLL_WEIGHT = 0.2  # weight of the likelihood of the uncertainty, relative to the gain
WORSE_WEIGHT = 3.0  # weight of the loss of targets that end up worse than what the network was given
LEAST_GAIN_dB = -0.1  # mean gain at a gap over the prior or the atoms; any shortfall counts tenfold
WITHOUT_ATOMS = 1 / 3  # fraction of the targets whose atoms are hidden from the network


@dataclass(frozen=True, kw_only=True)
class InformedSettings:
    """AdamW on a cosine, with averaged weights; those best in validation are kept."""

    n_steps: int = 9000
    batch_size: int = 8
    learning_rate: float = 2e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 100
    weight_decay: float = 0.01
    ema_decay: float = 0.998
    validate_every: int = 500
    seed: int = 0


def objective(net: InformedNet, channels: Tensor, error: Tensor) -> Tensor:
    """Mean over targets of log(squared error / error before), plus a penalty for losses and the Laplace likelihood.

    The error before the network is that of the prior or of the atoms' frame, if there is one, whichever is smaller. All
    targets carry equal weight, whatever their spacing. Gains beyond 30 dB earn nothing more.
    """
    difference, log_size = net(channels)
    left = error - difference
    now, prior, atoms = ((x**2).mean(dim=(1, 2)) for x in (left, error, error - channels[:, ATOMS.start]))
    before = torch.minimum(prior, atoms)  # equal without atoms
    floor = 1e-3 * before + 1e-8
    relative = torch.log((now + floor) / (before + floor))
    likelihood = (left.detach().abs() / log_size.exp() + log_size).mean()
    return relative.mean() + WORSE_WEIGHT * relative.relu().mean() + NLL_WEIGHT * likelihood


def train_informed(
    training: Cases,
    validation: Cases,
    *,
    settings: InformedSettings,
    folder: Path,
    start: Mapping[str, Tensor] | None = None,
) -> Path:
    """Train, resuming from the state in the folder; returns the path of the weights that were best in validation.

    `start` holds initial weights, possibly of a network with fewer inputs or outputs; see `widened`.
    """
    torch.manual_seed(settings.seed)
    net = InformedNet()
    if start is not None:
        net.load_state_dict(widened(start, net.state_dict()))
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    average = exponential_average(net, decay=settings.ema_decay)
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
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_fast(on_gpu=False)):
            loss = objective(net, channels.contiguous(memory_format=torch.channels_last), error)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(net)
        if (step + 1) % settings.validate_every == 0 or step + 1 == settings.n_steps:
            scores = _scores(validation_gains(average.module, validation))
            if scores["score_dB"] > best:
                best = scores["score_dB"]
                torch.save({"net": average.module.state_dict(), "step": step + 1} | scores, best_path)
            with log_path.open("a") as log:
                log.write(json.dumps({"step": step + 1, "loss": loss.item()} | scores) + "\n")
            state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "average": average.state_dict()}
            with replaced_when_whole(state_path, overwrite=True) as (partial,):
                torch.save(state | {"step": step + 1, "best": best, "settings": asdict(settings)}, partial)
    return best_path


def widened(start: Mapping[str, Tensor], to: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights `start` in the shapes of `to`; missing channels, the last of their layer, are filled with zeros."""
    wide = {name: torch.zeros_like(value) for name, value in to.items()}
    for name, value in start.items():
        wide[name][tuple(slice(n) for n in value.shape)] = value
    return wide


def validation_gains(net: InformedNet, cases: Cases) -> pd.DataFrame:
    """Gains of every target without its atoms, and again with its atoms if it has any.

    Columns: engine, microscope, gap, gain_dB over the prior, gain_over_atoms_dB (NaN without atoms), atoms (True if the
    network was told of them).
    """
    with torch.inference_mode():
        parts = [
            _gains(net, cases, chosen, atoms=atoms)
            for atoms, every in ((False, np.arange(len(cases))), (True, np.flatnonzero(cases.atoms)))
            for chosen in np.array_split(every, -(-len(every) // 32))
        ]
    return pd.concat(parts, ignore_index=True)


def ship(best_path: Path, validation: Cases) -> list[Path]:
    """Put the best weights, in 16 bits, and their gains in validation into the package."""
    state = torch.load(best_path, weights_only=True)["net"]
    net = InformedNet()
    net.load_state_dict({name: value.half().float() for name, value in state.items()})
    with replaced_when_whole(WEIGHTS, GAINS, overwrite=True) as (weights, gains):
        save_file({name: value.half().contiguous() for name, value in state.items()}, weights)
        validation_gains(net.eval(), validation).round(3).to_csv(gains, index=False)
    return [WEIGHTS, GAINS]


def _gains(net: InformedNet, cases: Cases, chosen: np.ndarray, *, atoms: bool) -> pd.DataFrame:
    channels, error = cases.batch(chosen)
    told = channels if atoms else _without_atoms(channels, np.ones(len(chosen), bool))
    now, prior, of_atoms = (
        (x**2).mean(dim=(1, 2)).log10().numpy() for x in (error - net(told)[0], error, error - told[:, ATOMS.start])
    )
    return pd.DataFrame(
        {
            "engine": cases.engine[chosen],
            "microscope": cases.microscope[chosen],
            "gap": cases.gap[chosen],
            "gain_dB": 10 * (prior - now),
            "gain_over_atoms_dB": 10 * (of_atoms - now) if atoms else math.nan,
            "atoms": atoms,
        }
    )


def _scores(gains: pd.DataFrame) -> dict[str, float]:
    """Mean gain over the better of prior and atoms, the lowest mean gain over either at any gap, and the criterion."""
    nearer = gains[["gain_dB", "gain_over_atoms_dB"]].min(axis=1)
    by_gap = gains.groupby(["engine", "microscope", "gap", "atoms"])[["gain_dB", "gain_over_atoms_dB"]].mean()
    gain_dB, worst_dB = float(nearer.mean()), float(by_gap.min().min())
    score_dB = gain_dB + 10 * min(0.0, worst_dB - LEAST_GAIN_dB)
    return {"gain_dB": gain_dB, "worst_gap_dB": worst_dB, "score_dB": score_dB}


def _augmented(channels: Tensor, error: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mirror rows in half of the batches; mirror columns and reverse time in half; hide the atoms of some targets.

    A particle mirrored along x gives mirrored columns at the opposite tilt.
    """
    if rng.random() < 0.5:
        channels, error = channels.flip(2), error.flip(1)
    if rng.random() < 0.5:
        channels, error = _backwards(channels.flip(3)), error.flip(2)
    return _without_atoms(channels, rng.random(len(channels)) < WITHOUT_ATOMS), error


def _backwards(channels: Tensor) -> Tensor:
    """The input of the network for the frames in reverse order."""
    order = np.arange(N_CHANNELS)
    for frames in (AROUND, ATOMS_AROUND):
        order[frames] = order[frames][::-1].copy()
    signs = torch.ones(N_CHANNELS, 1, 1)
    signs[PLACE] = -1
    return channels[:, order] * signs


def _without_atoms(channels: Tensor, which: np.ndarray) -> Tensor:
    """The channels with the atoms of some targets, given by a mask (n,), hidden."""
    told = channels.clone()
    told[torch.from_numpy(which), ATOMS] = 0
    return told
