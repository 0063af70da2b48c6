"""The training loss of TSGNet: Charbonnier and census distance of the frames, census distance of the features."""

from typing import NamedTuple

from torch import Tensor

from .model import TSGNet, pad_to_stride, pair_mean

GEOMETRY_WEIGHT = 0.01  # eta of the paper


class Loss(NamedTuple):
    """The two terms of the loss; `geometry` is weighted already."""

    reconstruction: Tensor
    geometry: Tensor


def charbonnier(prediction: Tensor, target: Tensor, *, alpha: float = 0.5, eps: float = 1e-3) -> Tensor:
    """Mean of ((prediction - target)^2 + eps^2)^alpha; with alpha 0.5 a smooth absolute error."""
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
    """L = L_r + eta L_g of the paper, as its two terms.

    L_r is Charbonnier plus census between prediction and target. L_g compares the decoder's features with the
    encoder's features of the true frame at the three finer levels. All frames are (n, 1, n_y, n_x), t is (n,).
    """
    mean = pair_mean(frame_a, frame_b)
    prediction, features = model.predict_with_features(frame_a, frame_b, t, mean=mean)
    reconstruction = charbonnier(prediction, target) + census(prediction, target)
    true_features = model.encoder(pad_to_stride(target - mean))
    pairs = zip(features, true_features, strict=False)
    return Loss(reconstruction, eta * sum(geometry_census(feature.float(), true.float()) for feature, true in pairs))


def _channel_mean(frames: Tensor) -> Tensor:
    return frames.mean(dim=1, keepdim=True)


def _census_distance(x: Tensor, y: Tensor, *, patch: int) -> Tensor:
    """Mean over samples, channels, pixels and the patch's differences; the border that patches overhang counts as 0.

    Patches are visited as shifts of the frame, so that no array of all patches is ever held.
    """
    n_y, n_x = x.shape[2:]
    border = patch // 2
    height, width = n_y - 2 * border, n_x - 2 * border

    def inner(frames: Tensor, dy: int, dx: int) -> Tensor:
        return frames[..., border + dy : border + dy + height, border + dx : border + dx + width]

    def difference(frames: Tensor, dy: int, dx: int) -> Tensor:
        d = inner(frames, dy, dx) - inner(frames, 0, 0)
        return d * (0.81 + d * d).rsqrt()

    total = 0.0
    for dy in range(-border, border + 1):
        for dx in range(-border, border + 1):
            if dy or dx:
                q2 = (difference(x, dy, dx) - difference(y, dy, dx)) ** 2
                total = total + (q2 / (0.1 + q2)).sum()
    return total / (x.numel() * patch**2)
