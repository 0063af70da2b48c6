"""The exponential average of weights that is validated and kept in place of the latest ones."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def exponential_average(model: nn.Module, *, decay: float) -> AveragedModel:
    """An average of the model's weights for `update_parameters`; `.module` is the model with these weights.

    The average looks back 1 / (1 - decay) steps, but at first only over those that were made: after n steps the decay
    is at most (1 + n) / (10 + n).
    """

    def step(averaged, current, n_averaged) -> None:
        n = int(n_averaged)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, n_averaged)

    return AveragedModel(model, multi_avg_fn=step)
