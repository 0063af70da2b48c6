"""What is read from the module agrees with the module, and the receptive field with what perturbations reach."""

import matplotlib.pyplot as plt
import pytest
import torch

from tsg_core.model import TSGNet
from tsgbook.figures.architecture import blocks, draw, receptive_field_px, sensitivity

TINY = (4, 6, 8, 10)


def test_blocks_hold_every_parameter_and_fit_together():
    model = TSGNet(residual_channels=3)
    found = blocks(model, size_px=128)
    assert [b.name for b in found] == [f"encoder{k}" for k in (1, 2, 3, 4)] + [f"decoder{k}" for k in (4, 3, 2, 1)]
    assert sum(b.parameters for b in found) == 4_959_116
    assert [b.size_out for b in found] == [64, 32, 16, 8, 16, 32, 64, 128]
    assert [(b.channels_in, b.channels_out) for b in found[4:]] == [(193, 76), (220, 52), (148, 36), (100, 8)]
    assert next(model.parameters()).device.type == "cpu"  # the model itself is left where it is


def test_the_sensitivity_is_the_derivative():
    torch.manual_seed(0)
    model = TSGNet(channels=TINY, he_start=True).double()
    a, b = torch.rand(2, 1, 1, 32, 64, dtype=torch.float64)
    seen = sensitivity(model, a, b)
    mean = (a.mean() + b.mean()).reshape(1, 1, 1, 1) / 2
    step = torch.zeros_like(a)
    step[0, 0, 18, 30] = 1e-3
    change = (model(a + step, b, 0.5, mean=mean) - model(a - step, b, 0.5, mean=mean))[0, 0, 16, 32] / 2e-3
    assert seen.shape == (32, 64) and seen[18, 30] == pytest.approx(abs(change.item()), rel=0.02)


def test_nothing_beyond_the_receptive_field_matters():
    width = receptive_field_px(TSGNet())
    assert width == receptive_field_px(TSGNet(channels=TINY, linear_start=True, motion_scaled=True))
    assert 300 < width < 700
    torch.manual_seed(0)
    model = TSGNet(channels=TINY, he_start=True).double()
    a, b = torch.rand(2, 1, 1, 16, 1024, dtype=torch.float64)
    far, near = a.clone(), a.clone()
    far[..., : 512 - width] += 1
    near[..., 480:510] += 1
    fixed = {"mean": torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)}
    with torch.inference_mode():
        here, with_far, with_near = (model(x, b, 0.5, **fixed)[0, 0, 8, 512].item() for x in (a, far, near))
    assert here == with_far != with_near


def test_the_picture_names_every_block_and_the_number_of_parameters():
    model = TSGNet(channels=TINY, motion_scaled=True)
    figure = draw(model)
    texts = " ".join(text.get_text() for text in figure.axes[0].texts)
    plt.close(figure)
    assert all(f"{b.name}: {b.channels_in} → {b.channels_out}" in texts for b in blocks(model))
    assert f"{sum(p.numel() for p in model.parameters()):,}" in texts and "displacement²" in texts
