"""The learning rate over the steps of a training."""

import math
from typing import Protocol


class Scheduled(Protocol):
    """Settings of a training that say how its learning rate goes."""

    n_steps: int
    warmup_steps: int
    learning_rate: float
    final_learning_rate: float


def learning_rate_at(settings: Scheduled, step: int) -> float:
    """The learning rate of step 0, 1, ...: rising over the warm-up, then falling on a cosine to the final one."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(settings.n_steps - settings.warmup_steps, 1)
    return settings.final_learning_rate + (settings.learning_rate - settings.final_learning_rate) * (
        0.5 + 0.5 * math.cos(math.pi * done)
    )
