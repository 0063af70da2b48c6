"""A network that corrects the reprojection: it sees what the object explains, what it misses, and what changes nearby.

TSGNet is told two frames. Here the prior is the frame that an object fitted to all frames projects to (`reprojection`),
and the network is given that frame, what the object misses in the four measured frames around it, and the
interpolations' difference from it. It returns a correction and, for every pixel, how far off it expects to be.
Everything is divided by the size of what the object misses, so that one network serves dense and sparse series.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from .reprojection import (
    ReprojectionSettings,
    fitted_object,
    missed_by_object,
    reprojection,
    residual_weights_of,
)
from .residual import white_noise_bound
from .tilt_series import TiltSeries

WEIGHTS = Path(__file__).parent / "data" / "informed.safetensors"
GAINS = WEIGHTS.with_name("informed_validation.csv")  # over the prior, of every frame of the validation particles
N_NEAREST = 4
N_CHANNELS = 12 + N_NEAREST
STRIDE = 4
_SMALLEST_SPREAD = 0.05  # of the difference between linear interpolation and prior, in the scale of an exact fit


@dataclass(frozen=True, eq=False, kw_only=True)
class Views:
    """What the network is told of n targets.

    prior     (n, n_y, n_x) the reprojection's frames, in the unit of the series
    channels  (n, N_CHANNELS, n_y, n_x) float32, see `views`
    scale     (n,) by which differences were divided, in the unit of the series
    """

    prior: np.ndarray
    channels: np.ndarray
    scale: np.ndarray


def views(series: TiltSeries, tilt_deg: np.ndarray) -> Views:
    """The network's view of the frames at `tilt_deg` (n,), made of all frames of `series`.

    Channels: prior and object over the brightest pixel; linear and cubic interpolation less the prior, the carried
    residual, and the residuals of the four nearest frames, in ascending angle, all over the scale; then, even over the
    frame, t - 1/2, the logarithms of the spacing, of the scale and of the noise over the brightest pixel, the share of
    the residual that left-out frames confirm, the number of frames, and the probe's width.
    """
    from .methods import cubic, linear  # which hold this method too

    settings = ReprojectionSettings()
    prior = reprojection(series, tilt_deg, settings=settings)
    fitted = fitted_object(series, settings)
    drawn = fitted.frames(tilt_deg)
    missed = missed_by_object(series, settings)
    differences = np.stack([linear(series, tilt_deg) - prior, cubic(series, tilt_deg) - prior], axis=1)
    upper = np.clip(np.searchsorted(series.tilt_deg, tilt_deg), 1, len(series) - 1)
    nearest = np.clip(upper[:, None] + np.arange(-2, 2), 0, len(series) - 1)
    around = missed[nearest]
    scale = _rms(around[:, 1:3]) + _SMALLEST_SPREAD * _rms(differences[:, :1]) + 1e-6 * series.intensity_scale
    peak = series.intensity_scale or 1.0
    below_deg, above_deg = series.tilt_deg[upper - 1], series.tilt_deg[upper]
    even = np.stack(
        [
            (tilt_deg - below_deg) / (above_deg - below_deg) - 0.5,
            np.log10((above_deg - below_deg) / 6),
            np.log10(scale / peak) / 2 + 1,
            np.full(len(tilt_deg), np.log10(np.sqrt(white_noise_bound(missed)) / peak + 1e-6) / 2 + 1),
            np.full(len(tilt_deg), residual_weights_of(series, settings).mean()),
            np.full(len(tilt_deg), np.log10(len(series) / 20)),
            np.full(len(tilt_deg), 0.0 if fitted.blur is None else 1.0),
        ],
        axis=1,
    )
    over = scale[:, None, None, None]
    channels = np.concatenate(
        [
            np.stack([prior, drawn], axis=1) / peak,
            np.concatenate([differences, (prior - drawn)[:, None], around], axis=1) / over,
            np.broadcast_to(even[:, :, None, None], (*even.shape, *prior.shape[1:])),
        ],
        axis=1,
    )
    return Views(prior=prior, channels=channels.astype(np.float32), scale=scale)


class InformedNet(nn.Module):
    """A small U-Net (Ronneberger et al., MICCAI 2015) from `N_CHANNELS` to a correction and the logarithm of its error.

    It begins at no correction: untrained, it returns the prior.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 48, 72)):
        super().__init__()
        self.widths = tuple(widths)
        a, b, c = widths
        self.fine, self.middle, self.coarse = _Block(N_CHANNELS, a), _Block(a, b, stride=2), _Block(b, c, stride=2)
        self.to_middle, self.to_fine = nn.ConvTranspose2d(c, b, 2, 2), nn.ConvTranspose2d(b, a, 2, 2)
        self.middle_again, self.fine_again = _Block(2 * b, b), _Block(2 * a, a)
        self.last = nn.Conv2d(a, 2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Correction and logarithm of the Laplace scale, (n, n_y, n_x) each, in units of the views' scale."""
        n_y, n_x = channels.shape[2:]
        x = F.pad(channels.clamp(-20, 20), (0, -n_x % STRIDE, 0, -n_y % STRIDE), mode="replicate")
        fine = self.fine(x)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.middle_again(torch.cat([middle, self.to_middle(coarse)], dim=1))
        fine = self.fine_again(torch.cat([fine, self.to_fine(middle)], dim=1))
        correction, log_size = self.last(fine)[..., :n_y, :n_x].unbind(1)
        return correction, log_size.clamp(-8, 4)


class _Block(nn.Sequential):
    def __init__(self, n_in: int, n_out: int, *, stride: int = 1):
        super().__init__(nn.Conv2d(n_in, n_out, 3, stride, 1), nn.SiLU(), nn.Conv2d(n_out, n_out, 3, 1, 1), nn.SiLU())


@lru_cache(maxsize=1)
def shipped_net() -> InformedNet:
    """The network that comes with the package, made by `benchmarks/train_informed.py`."""
    net = InformedNet()
    net.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return net.eval()


def predict_informed(
    net: InformedNet, series: TiltSeries, tilt_deg: np.ndarray, *, batch_size: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Frames and their standard deviations, (n, n_y, n_x) each, in the unit of the series."""
    seen = views(series, tilt_deg)
    device = next(net.parameters()).device
    corrections, sizes = [], []
    with torch.inference_mode():
        for batch in torch.from_numpy(seen.channels).split(batch_size):
            correction, log_size = net(batch.to(device))
            corrections.append(correction.cpu())
            sizes.append(log_size.exp().cpu())
    scale = seen.scale[:, None, None].astype(np.float32)
    frames = seen.prior + torch.cat(corrections).numpy() * scale
    return frames, np.sqrt(2) * torch.cat(sizes).numpy() * scale


def _rms(frames: np.ndarray) -> np.ndarray:
    return np.sqrt((frames.astype(np.float64) ** 2).mean(axis=tuple(range(1, frames.ndim))))
