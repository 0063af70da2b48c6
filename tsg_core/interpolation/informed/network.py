"""A network that corrects the reprojection: it sees what the object explains, what it misses, and what changes nearby.

TSGNet sees two frames; this network sees what `views` describes. For every pixel it returns a correction of the prior,
the weight of the frame of the fitted atoms (if there are any), and the size of the error it expects.
"""

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from ...tilt_series import TiltSeries
from ..fitted_series import FittedSeries
from ..large_series import is_wide
from ..reprojection import reprojection
from .views import ATOMS, CUBIC, N_CHANNELS, views

WEIGHTS = Path(__file__).parent / "informed.safetensors"
GAINS = WEIGHTS.with_name("informed_validation.csv")  # over the prior and the atoms, for every validation target
N_OUT = 3  # correction, logarithm of the error, and weight of the atoms
STRIDE = 4
STRIP_px, REACH_px = 128, 32  # multiples of the stride
SEEN_px = 100_000  # of wide frames at a time; a strip of them takes about 0.1 GB
DRAWN = 12  # frames of the object at a time: its whole volume is read for them
_MORE = 3  # channels that the network derives from the views: cubic and atoms over the reach, and the reach
_LEAST_REACH = 1e-3


class InformedNet(nn.Module):
    """A small U-Net (Ronneberger et al., MICCAI 2015) from views to a weight of the atoms, a correction, and its size.

    It starts without a correction: untrained, it returns the prior or, if there are atoms, the mean of both, weighted
    by the inverse squares of what they miss in the measured frames.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 48, 72)):
        super().__init__()
        self.widths = tuple(widths)
        a, b, c = widths
        self.fine = _Block(N_CHANNELS + _MORE, a)
        self.middle, self.coarse = _Block(a, b, stride=2), _Block(b, c, stride=2)
        self.to_middle, self.to_fine = nn.ConvTranspose2d(c, b, 2, 2), nn.ConvTranspose2d(b, a, 2, 2)
        self.middle_again, self.fine_again = _Block(2 * b, b), _Block(2 * a, a)
        self.last = nn.Conv2d(a, N_OUT, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, channels: Tensor, *, reach: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Difference from the prior and logarithm of its Laplace scale, (n, n_y, n_x) each, for a scale of 1.

        The difference of a pixel is w times that of the atoms, plus the correction. Correction and size are in units of
        the frame's reach, the distance of the cubic spline from the prior, which is about the error of the prior if
        frames are dense. Where atoms are trusted, the unit is what they miss, if that is smaller. For parts of frames,
        pass the `reach_of` the whole frames.
        """
        difference, there, log_ratio = channels[:, ATOMS][:, :3].unbind(1)
        log_ratio = log_ratio * math.log(10)
        reach = (reach_of(channels) if reach is None else reach)[:, None, None]
        log_reach = reach.log().expand_as(difference)
        more = torch.stack([channels[:, CUBIC] / reach, difference / reach, log_reach], dim=1)
        correction, log_size, believed = self._outputs(torch.cat([channels, more], dim=1)).float().unbind(1)
        weight = there * torch.sigmoid(believed - 2 * log_ratio)
        log_unit = log_reach + weight.detach() * (log_ratio - log_reach).clamp(max=0)
        return weight * difference + log_unit.exp() * correction, log_unit + log_size.clamp(-8, 4)

    def _outputs(self, channels: Tensor) -> Tensor:
        """Correction, logarithm of its size, and logit of the atoms' weight (n, N_OUT, n_y, n_x), each in its unit."""
        n_y, n_x = channels.shape[2:]
        x = F.pad(channels.clamp(-20, 20), (0, -n_x % STRIDE, 0, -n_y % STRIDE), mode="replicate")
        fine = self.fine(x)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.middle_again(torch.cat([middle, self.to_middle(coarse)], dim=1))
        fine = self.fine_again(torch.cat([fine, self.to_fine(middle)], dim=1))
        return self.last(fine)[..., :n_y, :n_x]


def reach_of(channels: Tensor) -> Tensor:
    """(n,): distance of the cubic spline from the prior in each frame, root mean square over its pixels."""
    return channels[:, CUBIC].square().mean(dim=(1, 2)).sqrt().clamp(_LEAST_REACH, 1)


class _Block(nn.Sequential):
    def __init__(self, n_in: int, n_out: int, *, stride: int = 1):
        super().__init__(nn.Conv2d(n_in, n_out, 3, stride, 1), nn.SiLU(), nn.Conv2d(n_out, n_out, 3, 1, 1), nn.SiLU())


@lru_cache(maxsize=1)
def shipped_net() -> InformedNet:
    """The shipped network, made by `benchmarks/train_informed.py`."""
    net = InformedNet()
    net.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return net.eval().to(memory_format=torch.channels_last)  # convolutions take two thirds of the time


def predict_informed(
    net: InformedNet, series: TiltSeries, tilt_deg: np.ndarray, *, batch_size: int = 16, with_sigma: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Frames and their standard deviations (or None), (n, n_y, n_x) each, in the unit of the series.

    The standard deviations apply to noise-free frames like those of the training; `calibration` adapts them to the
    series at hand. Wide frames are processed a few at a time, and in strips.
    """
    series = FittedSeries.of(series)
    frames = reprojection(series, tilt_deg)
    sigma = np.empty_like(frames) if with_sigma else None
    n_at_once = max(1, SEEN_px // series.frames[0].size) if is_wide(series.frames) else len(tilt_deg)
    n_drawn = -(-DRAWN // n_at_once) * n_at_once
    for first in range(0, len(tilt_deg), n_at_once):
        some = slice(first, first + n_at_once)
        if first % n_drawn == 0:
            drawn = series.object.frames(tilt_deg[first : first + n_drawn])
        here = slice(first % n_drawn, first % n_drawn + n_at_once)
        seen = views(series, tilt_deg[some], prior=frames[some], drawn=drawn[here])
        difference, size = _seen_by(net, seen.channels, batch_size=batch_size)
        scale = seen.scale[:, None, None].astype(np.float32)
        frames[some] = seen.prior + difference * scale
        if with_sigma:
            sigma[some] = np.sqrt(2) * size * scale
    return frames, sigma


def _seen_by(net: InformedNet, channels: np.ndarray, *, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Difference and Laplace scale (n, n_y, n_x), in units of the scale, for channels (n, N_CHANNELS, n_y, n_x)."""
    device = next(net.parameters()).device
    differences, sizes = [], []
    with torch.inference_mode():
        for batch in torch.from_numpy(channels).split(batch_size):
            difference, log_size = _in_strips(net, batch.to(device))
            differences.append(difference.cpu())
            sizes.append(log_size.exp().cpu())
    return torch.cat(differences).numpy(), torch.cat(sizes).numpy()


def _in_strips(net: InformedNet, channels: Tensor) -> list[Tensor]:
    """`net(channels)`, strip by strip for tall frames: a pixel depends on nothing beyond `REACH_px`."""
    n_y, reach = channels.shape[2], reach_of(channels)
    if n_y <= STRIP_px:
        return list(net(channels, reach=reach))
    parts = []
    for first in range(0, n_y, STRIP_px):
        start = max(first - REACH_px, 0)
        own = slice(first - start, min(first + STRIP_px, n_y) - start)
        seen = net(channels[:, :, start : first + STRIP_px + REACH_px], reach=reach)
        parts.append([out[:, own] for out in seen])
    return [torch.cat(outs, dim=1) for outs in zip(*parts, strict=True)]
