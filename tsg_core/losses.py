"""The training losses: Charbonnier and census distances between frames, census distance between features, and gain."""

from typing import NamedTuple

import torch
from torch import Tensor

from .model.network import TSGNet, pad_to_stride, pair_mean

GEOMETRY_WEIGHT = 0.01  # eta of the paper


class Loss(NamedTuple):
    """The two terms of the loss; add them. `geometry` already includes its weight."""

    reconstruction: Tensor
    geometry: Tensor


def charbonnier(prediction: Tensor, target: Tensor, *, alpha: float = 0.5, eps: float = 1e-3) -> Tensor:
    """Mean of ((prediction - target)^2 + eps^2)^alpha; at alpha 0.5, a smooth absolute error."""
    return ((prediction - target) ** 2 + eps**2).pow(alpha).mean()


def census(prediction: Tensor, target: Tensor) -> Tensor:
    """Soft census distance of 7 x 7 patches of the channel means (Meister et al., AAAI 2018); target detached."""
    return _census_distance(_channel_mean(prediction), _channel_mean(target).detach(), patch=7)


def geometry_census(features: Tensor, target: Tensor) -> Tensor:
    """Soft census distance of 3 x 3 patches, channel by channel; neither side is detached (Kong et al., CVPR 2022)."""
    return _census_distance(features, target, patch=3)


def tsgnet_loss(
    model: TSGNet, frame_a: Tensor, frame_b: Tensor, target: Tensor, t: Tensor, *, eta: float = GEOMETRY_WEIGHT
) -> Loss:
    """The paper's loss L = L_r + eta L_g, returned as its two terms.

    L_r is Charbonnier plus census between prediction and target. L_g compares the decoder's features with the
    encoder's features of the true frame at the three finer levels. All frames are (n, 1, n_y, n_x), t is (n,).
    """
    mean = pair_mean(frame_a, frame_b)
    prediction, features = model.predict_with_features(frame_a, frame_b, t, mean=mean)
    reconstruction = charbonnier(prediction, target) + census(prediction, target)
    true_features = model.encoder(pad_to_stride(target - mean))
    pairs = zip(features, true_features, strict=False)
    geometry = torch.stack([geometry_census(feature.float(), true.float()) for feature, true in pairs]).sum()
    return Loss(reconstruction, eta * geometry)


def gain_loss(model: TSGNet, frame_a: Tensor, frame_b: Tensor, target: Tensor, t: Tensor) -> Tensor:
    """Mean over samples of log(squared error / squared error of linear interpolation): the gain in dB over -4.34.

    All gaps carry equal weight. An absolute error would all but ignore small gaps, where linear interpolation is
    already good. Gains beyond 40 dB earn nothing more. Frames are (n, 1, n_y, n_x), t is (n,).
    """
    prediction, _ = model.predict_with_features(frame_a, frame_b, t)
    linear = torch.lerp(frame_a, frame_b, t.reshape(-1, 1, 1, 1).to(frame_a.dtype))
    error, linear_error = (((x - target) ** 2).mean(dim=(1, 2, 3)) for x in (prediction, linear))
    floor = 1e-4 * linear_error + 1e-12
    return torch.log((error + floor) / (linear_error + floor)).mean()


def _channel_mean(frames: Tensor) -> Tensor:
    return frames.mean(dim=1, keepdim=True)


def _census_distance(x: Tensor, y: Tensor, *, patch: int) -> Tensor:
    """Mean over samples, channels, pixels and the differences in a patch; pixels too near the border count as 0.

    The loop shifts the frame instead of extracting patches, so no array of all patches is ever held. The difference of
    two pixels belongs to the patches of both. Half of the shifts are therefore enough, and each difference is weighted
    by the number of patches it belongs to.
    """
    border = patch // 2
    total = x.new_zeros(())
    for dy in range(border + 1):
        for dx in range(-border if dy else 1, border + 1):
            q2 = (_soft_difference(x, dy, dx, border) - _soft_difference(y, dy, dx, border)) ** 2
            weight = _patches_served(q2, dy, dx, border)
            total = total + (q2 / (0.1 + q2) * weight).sum()
    return total / (x.numel() * patch**2)


def _soft_difference(frames: Tensor, dy: int, dx: int, border: int) -> Tensor:
    """d / sqrt(0.81 + d^2) for pixels p with a patch around p or p + (dy, dx) inside the frame."""
    n_y, n_x = frames.shape[2:]
    top, bottom = border - dy, n_y - border
    left, right = border - max(dx, 0), n_x - border - min(dx, 0)
    d = frames[..., top + dy : bottom + dy, left + dx : right + dx] - frames[..., top:bottom, left:right]
    return d * (d * d + 0.81).rsqrt()


def _patches_served(like: Tensor, dy: int, dx: int, border: int) -> Tensor:
    """How many of the pixels p and p + (dy, dx) have their whole patch inside the frame: 0, 1 or 2."""
    weight = torch.zeros(like.shape[2:], dtype=like.dtype, device=like.device)
    height, width = weight.shape[0] - dy, weight.shape[1] - abs(dx)
    weight[dy:, max(dx, 0) : max(dx, 0) + width] += 1
    weight[:height, max(-dx, 0) : max(-dx, 0) + width] += 1
    return weight
