"""How the learning rate changes over the steps of a training."""

import math
from typing import Protocol


class Scheduled(Protocol):
    """The training settings that determine the learning rate."""

    n_steps: int
    warmup_steps: int
    learning_rate: float
    final_learning_rate: float


def learning_rate_at(settings: Scheduled, step: int) -> float:
    """The learning rate at step 0, 1, ...: it rises over the warm-up, then falls on a cosine to its final value."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(settings.n_steps - settings.warmup_steps, 1)
    return settings.final_learning_rate + (settings.learning_rate - settings.final_learning_rate) * (
        0.5 + 0.5 * math.cos(math.pi * done)
    )
