"""TSGNet: predicts the frame between two measured frames of a tilt series.

An intermediate-feature network after IFRNet (Kong et al., CVPR 2022). Both frames share an encoder. A decoder refines,
from coarse to fine, the flow towards each frame and a feature of the frame in between. The modules keep the names of
the published network, so that its checkpoints load.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import TsgError
from ..tools.files import existing

PUBLISHED_CHANNELS = (32, 48, 72, 96)
SMALL_CHANNELS = (16, 24, 36, 48)
STRIDE = 16  # the coarsest level is a sixteenth of the frame in height and width
PRELU_SLOPE = 0.25  # at the start of training
N_FLOW = 4  # two components towards frame a, two towards frame b


def _conv(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1), nn.PReLU(n_out))


class Encoder(nn.Module):
    """Features at 1/2, 1/4, 1/8 and 1/16 of the resolution."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        for level, (n_in, n_out) in enumerate(zip((1, *channels), channels, strict=False), start=1):
            setattr(self, f"pyramid{level}", nn.Sequential(_conv(n_in, n_out, stride=2), _conv(n_out, n_out)))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for level in self.children():
            x = level(x)
            features.append(x)
        return features


class ResBlock(nn.Module):
    """Residual block whose last `side` channels pass through two convolutions of their own."""

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.main_path = nn.ModuleList([_conv(channels, channels), _conv(channels, channels)])
        self.side_path = nn.ModuleList([_conv(side, side), _conv(side, side)])
        self.out_conv = nn.Conv2d(channels, channels, 3, 1, 1)
        self.out_prelu = nn.PReLU(channels)
        self.split = [channels - side, side]

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for main, side in zip(self.main_path, self.side_path, strict=True):
            kept, refined = main(y).split(self.split, dim=1)
            y = torch.cat([kept, side(refined)], dim=1)
        return self.out_prelu(x + self.out_conv(y))


class Decoder(nn.Module):
    """From one level's features to flows and features at twice the resolution."""

    def __init__(self, n_in: int, n_mid: int, n_out: int, side: int):
        super().__init__()
        self.net = nn.Sequential(
            _conv(n_in, n_mid), ResBlock(n_mid, side), nn.ConvTranspose2d(n_mid, n_out, 4, stride=2, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TSGNet(nn.Module):
    """The published network, 4,959,116 parameters with `residual_channels=3`, or a narrower one of the same design.

    residual_channels  channels of the additive correction, and so of the prediction; published 3, here 1
    channels           of the four encoder levels; they set the decoder's (three times as many, twice at the coarsest)
    linear_start       the untrained network is time-weighted linear interpolation: flows and residual start at zero,
                       and log((1 - t) / t) is added to the logit of the blend. Off in the published network.
    motion_scaled      flows, blend and residual are multiplied by 4 t (1 - t) times the squared `displacement_px`. The
                       error of linear interpolation scales the same way, so the correction vanishes at small gaps and
                       next to a measured frame. Off in the published network.
    he_start           initial weights preserve the size of what passes a layer (He et al., ICCV 2015); biases are
                       zero. Off in the published network. There each layer halves the signal at first, and the coarse
                       levels hardly take part, even after thousands of steps. It does not affect trained weights.
    max_intensity      upper clamp of the prediction; published 1. None by default, since a frame along a zone axis
                       may be brighter than all measured frames. The lower clamp is always 0.

    Raises TsgError for numbers of channels that this design does not allow.
    """

    def __init__(
        self,
        *,
        residual_channels: int = 1,
        channels: tuple[int, int, int, int] = PUBLISHED_CHANNELS,
        linear_start: bool = False,
        motion_scaled: bool = False,
        he_start: bool = False,
        max_intensity: float | None = None,
    ):
        super().__init__()
        if len(channels) != 4 or min(channels) < 1 or residual_channels < 1:
            raise TsgError(
                f"channels={tuple(channels)} with residual_channels={residual_channels}: four levels of at least one "
                "channel and one residual channel are needed"
            )
        c1, c2, c3, c4 = channels
        self.architecture = {
            "residual_channels": residual_channels,
            "channels": list(channels),
            "linear_start": linear_start,
            "motion_scaled": motion_scaled,
            "max_intensity": max_intensity,
        }
        self.linear_start, self.motion_scaled, self.max_intensity = linear_start, motion_scaled, max_intensity
        self.encoder = Encoder(tuple(channels))
        self.decoder4 = Decoder(2 * c4 + 1, 2 * c4, N_FLOW + c3, side=c1)
        self.decoder3 = Decoder(3 * c3 + N_FLOW, 3 * c3, N_FLOW + c2, side=c1)
        self.decoder2 = Decoder(3 * c2 + N_FLOW, 3 * c2, N_FLOW + c1, side=c1)
        self.decoder1 = Decoder(3 * c1 + N_FLOW, 3 * c1, N_FLOW + 1 + residual_channels, side=c1)
        if he_start:
            self._start_he()
        if linear_start:
            self._start_linear()

    @classmethod
    def of_weights(cls, weights: Mapping[str, Tensor], **architecture) -> "TSGNet":
        """The network with these weights, as float32; takes no more memory than they do, whatever is asked for.

        Raises RuntimeError for weights of another architecture, and TsgError for those that are not finite.
        """
        with torch.device("meta"):
            model = cls(**architecture)
        model.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
        for parameter in model.parameters():  # those given stay as they are
            parameter.data = parameter.data.clone()
        if not all(torch.isfinite(value).all() for value in model.parameters()):
            raise TsgError("its weights are not finite")
        return model

    @classmethod
    def from_published(cls, source: Mapping[str, Tensor] | str | Path) -> "TSGNet":
        """The published network with its weights and its clamp to [0, 1].

        `source` is a state dict, or the path of a state dict or a Lightning checkpoint; only tensors are unpickled. The
        weights tell the widths. Raises TsgError if the file can't be read or holds another architecture.
        """
        state = source if isinstance(source, Mapping) else _load_tensors(Path(source))
        state = _network_entries(state.get("state_dict", state))
        try:
            channels = tuple(len(state[f"encoder.pyramid{level}.0.0.bias"]) for level in (1, 2, 3, 4))
            residual_channels = len(state["decoder1.net.2.bias"]) - N_FLOW - 1
            model = cls.of_weights(state, residual_channels=residual_channels, channels=channels, max_intensity=1.0)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError, TsgError) as error:
            cause = " ".join(str(error).split())[:200]
            raise TsgError(f"the checkpoint holds another architecture than TSGNet: {cause}") from error
        return model.eval()

    def forward(
        self,
        frame_a: Tensor,
        frame_b: Tensor,
        t: float | Tensor,
        *,
        mean: Tensor | None = None,
        moved_px: Tensor | None = None,
    ) -> Tensor:
        """Predict the frame at the fraction t of the way from frame a to frame b.

        frame_a, frame_b  (n, 1, n_y, n_x) of any size; the brightest measured pixel of the series is about 1
        t                 one number, or one for each sample, strictly between 0 and 1
        mean              (n, 1, 1, 1) subtracted before the encoder; by default the mean of both frames
        moved_px          (n, 1, 1, 1) scale for `motion_scaled`; by default the frames' `displacement_px`
        Returns (n, residual_channels, n_y, n_x). Raises TsgError for unlike shapes, NaN, or t outside (0, 1).
        """
        _check_frames(frame_a, frame_b)
        t = _check_t(t, frame_a)
        return self.predict_with_features(frame_a, frame_b, t, mean=mean, moved_px=moved_px)[0]

    def predict_with_features(
        self,
        frame_a: Tensor,
        frame_b: Tensor,
        t: Tensor,
        *,
        mean: Tensor | None = None,
        moved_px: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """`forward` without its checks, for t (n,). Also returns the decoder's features of the frame in between.

        The features belong to levels 1, 2 and 3 of the encoder (1/2, 1/4 and 1/8 of the padded size).
        """
        n, _, n_y, n_x = frame_a.shape
        mean = pair_mean(frame_a, frame_b) if mean is None else mean
        pair = pad_to_stride(torch.cat([frame_a - mean, frame_b - mean]))
        level1, level2, level3, level4 = self.encoder(pair)
        t = t.to(pair.dtype).reshape(n, 1, 1, 1)

        t_plane = t.to(level4.dtype).expand(n, 1, *level4.shape[2:])
        flow, feature3 = _split(self.decoder4(torch.cat([*level4.chunk(2), t_plane], dim=1)), None)
        flow, feature2 = _split(self.decoder3(_decoder_input(feature3, level3, flow)), flow)
        flow, feature1 = _split(self.decoder2(_decoder_input(feature2, level2, flow)), flow)
        flow, head = _split(self.decoder1(_decoder_input(feature1, level1, flow)), flow)

        logit, residual = head[:, :1].to(pair.dtype), head[:, 1:]
        if self.motion_scaled:
            moved_px = displacement_px(frame_a, frame_b) if moved_px is None else moved_px
            scale = 4 * t * (1 - t) * moved_px**2
            flow, logit, residual = flow * scale, logit * scale, residual * scale
        if self.linear_start:
            logit = logit + torch.log((1 - t) / t)
        warped_a, warped_b = warp(pair, _stack_flows(flow)).chunk(2)
        prediction = torch.lerp(warped_b, warped_a, torch.sigmoid(logit)) + mean + residual
        prediction = prediction[..., :n_y, :n_x].clamp(0, self.max_intensity)
        return prediction, [feature1, feature2, feature3]

    def _start_he(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d):  # four of the sixteen kernel weights reach each pixel
                nn.init.normal_(module.weight, std=(4 * module.in_channels) ** -0.5)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=PRELU_SLOPE)
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            for block in (module for module in self.modules() if isinstance(module, ResBlock)):
                block.out_conv.weight.mul_(0.1)  # a block starts close to the identity

    def _start_linear(self) -> None:
        with torch.no_grad():
            for decoder in (self.decoder4, self.decoder3, self.decoder2):
                decoder.net[2].weight[:, :N_FLOW] = 0
                decoder.net[2].bias[:N_FLOW] = 0
            self.decoder1.net[2].weight.zero_()
            self.decoder1.net[2].bias.zero_()


def pair_mean(frame_a: Tensor, frame_b: Tensor) -> Tensor:
    """Mean (n, 1, 1, 1) over both frames of each sample."""
    return (frame_a.mean(dim=(1, 2, 3), keepdim=True) + frame_b.mean(dim=(1, 2, 3), keepdim=True)) / 2


def displacement_px(frame_a: Tensor, frame_b: Tensor) -> Tensor:
    """Estimated motion between two frames, |a - b| / |gradient of their mean|, (n, 1, 1, 1); 0 for flat frames.

    The error of linear interpolation is about 0.3 to 0.5 times its square, in units of that gradient.
    """
    across, middle = (1, 2, 3), (frame_a + frame_b) / 2
    steps = sum(torch.diff(middle, dim=axis).square().sum(dim=across, keepdim=True) for axis in (2, 3))
    moved = torch.linalg.vector_norm(frame_a - frame_b, dim=across, keepdim=True)
    return moved / steps.sqrt().clamp(min=1e-12)


def pad_to_stride(frames: Tensor) -> Tensor:
    """Frames padded to multiples of 16 by repeating the last row and column."""
    pad_y, pad_x = (-size % STRIDE for size in frames.shape[2:])
    return F.pad(frames, (0, pad_x, 0, pad_y), mode="replicate") if pad_y or pad_x else frames


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Sample x (n, c, y, x) bilinearly at each pixel plus its flow (n, 2, y, x) in pixels, x component first.

    Samples beyond the border take the value at the border.
    """
    n_y, n_x = x.shape[2:]
    flow = flow.float()  # half precision can't resolve positions within a pixel
    column = torch.arange(n_x, device=x.device, dtype=flow.dtype) + flow[:, 0]
    row = torch.arange(n_y, device=x.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    grid = torch.stack([column * (2 / (n_x - 1)) - 1, row * (2 / (n_y - 1)) - 1], dim=-1)
    return F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="border", align_corners=True).to(x.dtype)


def _stack_flows(flow: Tensor) -> Tensor:
    return torch.cat([flow[:, :2], flow[:, 2:]])


def _decoder_input(feature: Tensor, level: Tensor, flow: Tensor) -> Tensor:
    warped = warp(level, _stack_flows(flow))
    return torch.cat([feature, *warped.chunk(2), flow.to(feature.dtype)], dim=1)


def _split(output: Tensor, coarser_flow: Tensor | None) -> tuple[Tensor, Tensor]:
    """Split a decoder's output into the flows, which refine those of the coarser level, and the rest."""
    flow = output[:, :N_FLOW].float()
    if coarser_flow is not None:
        flow = flow + 2 * F.interpolate(coarser_flow, scale_factor=2.0, mode="bilinear", align_corners=False)
    return flow, output[:, N_FLOW:]


def _check_frames(frame_a: Tensor, frame_b: Tensor) -> None:
    if frame_a.shape != frame_b.shape or frame_a.ndim != 4 or frame_a.shape[1] != 1:
        shapes = f"{tuple(frame_a.shape)} and {tuple(frame_b.shape)}"
        raise TsgError(f"frames of shapes {shapes} must both be (n, 1, n_y, n_x)")
    if not (torch.isfinite(frame_a).all() and torch.isfinite(frame_b).all()):
        raise TsgError("the frames hold values that are not finite")


def _check_t(t: float | Tensor, frames: Tensor) -> Tensor:
    t = torch.as_tensor(t, dtype=frames.dtype, device=frames.device).flatten()
    if t.numel() not in (1, len(frames)):
        raise TsgError(f"t has {t.numel()} values for {len(frames)} samples; give one value, or one for each sample")
    if not ((t > 0) & (t < 1)).all():
        outside = next(v for v in t.tolist() if not (math.isfinite(v) and 0 < v < 1))
        raise TsgError(f"t={outside:g} must lie strictly between 0 (frame a) and 1 (frame b)")
    return t.expand(len(frames))


def _load_tensors(path: Path) -> Mapping[str, Tensor]:
    path = existing(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes it raise anything
        raise TsgError(f"{path} is truncated or holds more than tensors; export its state dict alone") from error
    if not isinstance(state, Mapping):
        raise TsgError(f"{path} holds a {type(state).__name__}, not a state dict")
    return state


def _network_entries(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Entries of the encoder and the decoders under their own names, whatever module wrapped them."""
    entries = {}
    for name, value in state.items():
        parts = str(name).split(".")
        start = next((i for i, part in enumerate(parts) if part == "encoder" or part[:-1] == "decoder"), None)
        if start is not None:
            entries[".".join(parts[start:])] = value
    return entries
