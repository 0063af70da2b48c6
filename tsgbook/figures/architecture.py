"""The structure of a TSGNet, read from the module itself: its blocks, a picture of them, and its receptive field."""

import copy
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from tsg_core.model.network import TSGNet, displacement_px, pair_mean

ENCODER, DECODER, FRAME = "#56B4E9", "#E69F00", "#DDDDDD"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A level of the encoder, or a decoder: channels and edge of the square maps at its input and output."""

    name: str
    channels_in: int
    channels_out: int
    size_in: int
    size_out: int
    parameters: int


def blocks(model: TSGNet, *, size_px: int = 64) -> list[Block]:
    """The blocks in the order of evaluation, for frames of `size_px` (a multiple of 16); nothing is evaluated."""
    shell = copy.deepcopy(model).to("meta")
    found: list[Block] = []

    def note(name: str):
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            (x,) = inputs
            n = sum(p.numel() for p in module.parameters())
            sizes = {"size_in": x.shape[-1], "size_out": output.shape[-1]}
            found.append(Block(name=name, channels_in=x.shape[1], channels_out=output.shape[1], parameters=n, **sizes))

        return hook

    for name, module in [*shell.encoder.named_children(), *shell.named_children()]:
        if name != "encoder":
            module.register_forward_hook(note(name.replace("pyramid", "encoder")))
    frame = torch.empty(1, 1, size_px, size_px, device="meta")
    shell.predict_with_features(frame, frame, torch.empty(1, device="meta"))
    return found


def sensitivity(model: TSGNet, frame_a: Tensor, frame_b: Tensor, *, t: float = 0.5) -> np.ndarray:
    """|Derivative| (n_y, n_x) of the prediction's middle pixel with respect to each pixel of frame a.

    Frames are (1, 1, n_y, n_x). The mean and the displacement are held fixed, because they depend a little on every
    pixel of a frame.
    """
    frame_a = frame_a.detach().clone().requires_grad_()
    whole = {"mean": pair_mean(frame_a, frame_b).detach(), "moved_px": displacement_px(frame_a, frame_b).detach()}
    n_y, n_x = frame_a.shape[2:]
    predicted = model(frame_a, frame_b, t, **whole)[0, :, n_y // 2, n_x // 2].mean()
    (gradient,) = torch.autograd.grad(predicted, frame_a)
    return gradient[0, 0].abs().numpy()


def receptive_field_px(model: TSGNet) -> int:
    """Width of the window of a frame on which a predicted pixel can depend, from the support of a gradient.

    It is a property of the design, not of the weights; they are drawn anew so that none is zero.
    """
    narrow = {"channels": (4, 4, 4, 4), "linear_start": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        probe = TSGNet(**model.architecture | narrow).double()
        frames = 10 + torch.rand(2, 1, 1, 32, 1024, dtype=torch.float64)  # far from the clamp at zero
        reached = sensitivity(probe, *frames)
    columns = np.flatnonzero(reached.any(axis=0))
    return int(columns[-1] - columns[0] + 1)


def draw(model: TSGNet, *, size_px: int = 64) -> Figure:
    """Draw the encoder on the left and the decoders on the right, one row for each size of maps; returns the figure."""
    found = {block.name: block for block in blocks(model, size_px=size_px)}
    figure, axis = plt.subplots(figsize=(8.6, 5.4))
    axis.set(xlim=(-0.3, 10.4), ylim=(-5.0, 0.75))
    axis.set_axis_off()
    for level in range(5):
        size = size_px // 2**level
        axis.text(-0.25, -level, f"{size} × {size}", va="center", fontsize=8, color="#666666")
    for x, label in ((1.6, "frame a"), (3.2, "frame b")):
        _box(axis, x, 0.0, 1.2, f"{label}\n1 channel", FRAME)
        _arrow(axis, (x, -0.32), (2.4 if x < 2 else 2.5, -0.68))
    for level in range(1, 5):
        encoder, decoder = found[f"encoder{level}"], found[f"decoder{level}"]
        _box(axis, 2.45, -level, 2.3, _words(encoder), ENCODER)
        _box(axis, 6.9, -level, 2.7, _words(decoder), DECODER)
        if level < 4:
            _arrow(axis, (2.45, -level - 0.32), (2.45, -level - 0.68))
            _arrow(axis, (6.9, -level - 0.68), (6.9, -level - 0.32), "flows, feature" if level == 3 else "")
        _arrow(axis, (3.62, -level), (5.53, -level), "features of a and b" if level == 4 else "warped by the flows")
    _arrow(axis, (9.2, -4.0), (8.27, -4.0))
    axis.text(9.25, -4.0, "time t", va="center", fontsize=8)
    _arrow(axis, (6.9, -0.68), (6.9, -0.32))
    _box(axis, 6.9, 0.0, 4.6, "warp a and b by the flows, blend by the mask,\nadd the residual", FRAME)
    _arrow(axis, (3.82, 0.0), (4.58, 0.0))
    if model.motion_scaled:
        axis.text(7.0, -0.5, "× 4 t (1 − t) · displacement²", va="center", fontsize=8, color="#D55E00")
    total = sum(p.numel() for p in model.parameters())
    axis.text(4.9, -4.75, f"{total:,} parameters; the encoder works on both frames", ha="center", fontsize=9)
    return figure


def _words(block: Block) -> str:
    return f"{block.name}: {block.channels_in} → {block.channels_out}\n{block.parameters:,} parameters"


def _box(axis, x: float, y: float, width: float, text: str, colour: str) -> None:
    corner = (x - width / 2, y - 0.28)
    axis.add_patch(FancyBboxPatch(corner, width, 0.56, boxstyle="round,pad=0.03", fc=colour, ec="#444444", lw=0.8))
    axis.text(x, y, text, ha="center", va="center", fontsize=8)


def _arrow(axis, start: tuple[float, float], end: tuple[float, float], label: str = "") -> None:
    axis.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "lw": 1, "color": "#444444"})
    (x0, y0), (x1, y1) = start, end
    if label and x0 == x1:
        axis.text(x0 + 0.1, (y0 + y1) / 2, label, va="center", fontsize=7)
    elif label:
        axis.text((x0 + x1) / 2, y0 + 0.07, label, ha="center", va="bottom", fontsize=7)
