"""How well a network predicts midpoints of series outside its training set, compared with linear interpolation."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import TsgError
from ..evaluation.metrics import psnr_dB
from ..sparsity import midpoint_trios
from ..tilt_series import TiltSeries
from .samples import largest_rate


class Validation:
    """Fixed trios of the validation series: one trio of every rate from each series, at a random start.

    PSNR is in dB and averaged over the trios; its peak is the brightest pixel of the trio's series. Frames are divided
    by the brightest pixel of the frames that a series with the trio's gap would have measured.
    """

    def __init__(
        self,
        series: Sequence[TiltSeries],
        *,
        max_rate: int,
        seed: int,
        min_rate: int = 1,
        max_gap_deg: float | None = None,
    ):
        if len(series) == 0:
            raise TsgError("there are no validation series; without them no model can be chosen")
        self.groups = []
        for i, one in enumerate(series):
            rates = range(min_rate, largest_rate(one, max_rate=max_rate, max_gap_deg=max_gap_deg) + 1)
            self.groups.append(_trios(one, rates, np.random.default_rng([seed, i])))
        self.linear_dB = float(np.mean([_mean_psnr_dB((a + b) / 2, c, peak) for a, b, c, peak in self.groups]))

    def psnr_dB(self, model: nn.Module, *, batch_size: int) -> float:
        """Mean PSNR of the model's predictions, computed on the model's device in float32."""
        device = next(model.parameters()).device
        means = []
        with torch.inference_mode():
            for a, b, c, peak in self.groups:
                pairs = zip(a.split(batch_size), b.split(batch_size), strict=True)
                predicted = [model(x.to(device), y.to(device), 0.5).mean(1, keepdim=True).cpu() for x, y in pairs]
                means.append(_mean_psnr_dB(torch.cat(predicted), c, peak))
        return float(np.mean(means))


def _trios(series: TiltSeries, rates: range, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frames a, b, target (n, 1, n_y, n_x) and peaks (n,), all divided by the scales of their trios."""
    if not rates:
        raise TsgError(f"a validation series of {len(series)} frames has none of the gaps to judge by")
    chosen = np.array([rng.choice(midpoint_trios(len(series), rate=rate)) for rate in rates])
    scales = [float(series.frames[a % (c - a) :: c - a].max()) or 1.0 for a, _, c in chosen]
    frames = torch.from_numpy(series.frames[chosen]) / torch.tensor(scales)[:, None, None, None]
    a, target, b = (f[:, None] for f in frames.unbind(1))
    return a, b, target, series.intensity_scale / torch.tensor(scales)


def _mean_psnr_dB(prediction: Tensor, target: Tensor, peak: Tensor) -> float:
    mse = ((prediction - target) ** 2).mean(dim=(1, 2, 3)).clamp(min=1e-12)
    return float(psnr_dB(mse.numpy(), peak.numpy()).mean())
