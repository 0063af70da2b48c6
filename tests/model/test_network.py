"""The network against outputs of the published one, and what its inputs may be."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tsg_core.errors import TsgError
from tsg_core.losses import tsgnet_loss
from tsg_core.model import SMALL_CHANNELS, TSGNet, displacement_px, warp
from tsgbook.figures.architecture import sensitivity

TINY = (4, 6, 8, 10)
PARITY = Path(__file__).parents[1] / "data" / "tsgnet_parity.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(PARITY) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def formula_weights(golden):
    state = {}
    for i, (name, shape) in enumerate(zip(golden["parameter_names"], golden["parameter_shapes"], strict=True)):
        shape = json.loads(str(shape))
        x = np.sin(12.9898 * np.arange(np.prod(shape)) + 78.233 * i) * 43758.5453
        u = (x - np.floor(x) - 0.5).reshape(shape)
        if len(shape) == 4:
            transposed = name.startswith("decoder") and name.endswith("net.2.weight")
            fan = shape[0] * 4 if transposed else np.prod(shape[1:])
            u = u * np.sqrt(12) * 1.2 / np.sqrt(fan)
        elif name.endswith((".1.weight", "out_prelu.weight")):
            u = 0.25 + 0.1 * u
        else:
            u = 0.04 * u
        state[str(name)] = torch.tensor(u, dtype=torch.float32)
    return state


@pytest.fixture(scope="module")
def published(formula_weights):
    return TSGNet.from_published(formula_weights)


def _tensors(golden, *names):
    return [torch.tensor(golden[f"frame_{name}"]) for name in names]


def test_parameters_have_the_published_names_shapes_and_number(golden):
    model = TSGNet(residual_channels=3)
    assert sum(p.numel() for p in model.parameters()) == 4_959_116
    assert [n for n, _ in model.named_parameters()] == golden["parameter_names"].tolist()
    assert [json.dumps(list(p.shape)) for p in model.parameters()] == golden["parameter_shapes"].tolist()


@pytest.mark.parametrize(("t", "name"), [(0.5, "prediction_t050"), (0.25, "prediction_t025")])
def test_prediction_matches_the_published_network(golden, published, t, name):
    with torch.inference_mode():
        prediction = published(*_tensors(golden, "a", "b"), t)
    np.testing.assert_allclose(prediction.numpy(), golden[name], atol=1e-4)


def test_losses_and_gradient_match_the_published_network(golden, published):
    frame_a, frame_b, target = _tensors(golden, "a", "b", "target")
    frame_a.requires_grad_()
    loss = tsgnet_loss(published, frame_a, frame_b, target, torch.full((2,), 0.5))
    assert loss.reconstruction.item() == pytest.approx(float(golden["loss_reconstruction"]), rel=1e-5)
    assert loss.geometry.item() == pytest.approx(float(golden["loss_geometry"]), rel=1e-5)
    (gradient,) = torch.autograd.grad(sum(loss), frame_a)
    error = np.linalg.norm(gradient.numpy() - golden["grad_frame_a"])
    assert error < 1e-3 * np.linalg.norm(golden["grad_frame_a"])


def test_a_lightning_checkpoint_of_the_published_code_loads(tmp_path, formula_weights, golden):
    wrapped = {f"model.{name}": value for name, value in formula_weights.items()}
    torch.save({"state_dict": wrapped | {"loss.w": torch.ones(3)}, "epoch": 49}, tmp_path / "last.ckpt")
    model = TSGNet.from_published(tmp_path / "last.ckpt")
    assert model.architecture["residual_channels"] == 3
    torch.testing.assert_close(model.state_dict(), formula_weights, check_stride=False)


def test_other_files_than_published_checkpoints_are_named(tmp_path, formula_weights):
    with pytest.raises(TsgError, match="does not exist"):
        TSGNet.from_published(tmp_path / "absent.ckpt")
    torch.save(formula_weights, tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:-1000])
    with pytest.raises(TsgError, match="truncated"):
        TSGNet.from_published(tmp_path / "cut.pt")
    torch.save(nn.Linear(2, 2), tmp_path / "object.pt")
    with pytest.raises(TsgError, match="more than tensors"):
        TSGNet.from_published(tmp_path / "object.pt")
    with pytest.raises(TsgError, match="another architecture"):
        TSGNet.from_published(nn.Linear(2, 2).state_dict())


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (50, 33)])
def test_frames_of_any_size_are_predicted_at_their_size(size):
    frames = torch.rand(2, 3, 1, *size)
    prediction = TSGNet(channels=TINY)(frames[0], frames[1], torch.tensor([0.1, 0.5, 0.9]))
    assert prediction.shape == (3, 1, *size)
    assert prediction.min() >= 0


@pytest.mark.parametrize("t", [0.5, 0.2])
def test_linear_start_is_time_weighted_linear_interpolation(t):
    torch.manual_seed(0)
    a, b = 3 * torch.rand(2, 2, 1, 21, 40)
    prediction = TSGNet(channels=TINY, linear_start=True)(a, b, t)
    torch.testing.assert_close(prediction, (1 - t) * a + t * b, atol=1e-5, rtol=0)


def test_linear_start_can_learn_flow_mask_and_residual():
    torch.manual_seed(0)
    model = TSGNet(channels=TINY, linear_start=True)
    loss = tsgnet_loss(model, *torch.rand(3, 2, 1, 32, 32), torch.tensor([0.5, 0.3]))
    sum(loss).backward()
    last = model.decoder1.net[2].weight.grad
    coarse = model.decoder2.net[2].weight.grad[:, :4]
    assert (last.abs().amax(dim=(0, 2, 3)) > 0).all() and (coarse.abs().amax(dim=(0, 2, 3)) > 0).all()


def pattern(shift_px=0.0, n=48):
    """A smooth frame (1, 1, n, n), moved along x."""
    y, x = torch.meshgrid(torch.arange(n) / 3.0, (torch.arange(n) - shift_px) / 3.0, indexing="ij")
    return (0.5 + 0.25 * torch.sin(x) + 0.2 * torch.cos(y)).float()[None, None]


def corrections(model, a, b, t):
    with torch.inference_mode():
        return (model(a, b, t) - torch.lerp(a, b, t)).abs().mean().item()


@pytest.fixture
def motion_scaled():
    """A network far from linear interpolation whose blend alone starts there."""
    torch.manual_seed(0)
    model = TSGNet(channels=TINY, linear_start=True, motion_scaled=True)
    for decoder in (model.decoder1, model.decoder2, model.decoder3, model.decoder4):
        torch.nn.init.normal_(decoder.net[2].weight, std=0.1)
    return model.eval()


def test_the_displacement_is_the_shift_of_a_shifted_frame():
    frame = pattern()[..., 8:-8, 8:-8]
    along_x = 0.5 + 0.25 * torch.sin((torch.arange(48) - 24) / 3.0).expand(1, 1, 48, 48)
    moved = 0.5 + 0.25 * torch.sin((torch.arange(48) - 24.3) / 3.0).expand(1, 1, 48, 48)
    assert displacement_px(along_x, moved).item() == pytest.approx(0.3, rel=0.05)
    assert displacement_px(frame, frame).item() == 0
    flat = torch.ones(1, 1, 16, 16)
    assert displacement_px(flat, flat).item() == 0
    a, b = pattern(), pattern(1.0)
    torch.testing.assert_close(displacement_px(1e-5 * a, 1e-5 * b), displacement_px(a, b))


def test_an_untrained_motion_scaled_network_is_linear_interpolation():
    torch.manual_seed(0)
    a, b = torch.rand(2, 2, 1, 21, 40)
    prediction = TSGNet(channels=TINY, linear_start=True, motion_scaled=True)(a, b, 0.3)
    torch.testing.assert_close(prediction, torch.lerp(a, b, 0.3), atol=1e-5, rtol=0)


def test_a_motion_scaled_correction_vanishes_with_the_square_of_the_displacement(motion_scaled):
    sizes = [corrections(motion_scaled, pattern(), pattern(shift), 0.5) for shift in (0.4, 0.2, 0.1)]
    assert sizes[0] > 1e-5
    assert sizes[0] / sizes[1] == pytest.approx(4, rel=0.25) and sizes[1] / sizes[2] == pytest.approx(4, rel=0.25)
    unscaled = TSGNet(channels=TINY, linear_start=True).eval()
    unscaled.load_state_dict(motion_scaled.state_dict())
    assert corrections(unscaled, pattern(), pattern(0.1), 0.5) > 10 * sizes[2]


def test_a_motion_scaled_correction_vanishes_next_to_a_measured_frame(motion_scaled):
    sizes = [corrections(motion_scaled, pattern(), pattern(0.4), t) for t in (0.5, 0.02, 0.002, 0.998)]
    assert sizes[2] < 0.15 * sizes[1] < 0.15 * sizes[0] and sizes[3] < 0.15 * sizes[0]


def test_coarse_levels_take_part_from_the_first_step_where_the_start_keeps_sizes():
    shares = {}
    for he_start in (False, True):
        torch.manual_seed(0)
        model = TSGNet(channels=SMALL_CHANNELS, he_start=he_start)
        seen = sensitivity(model, *(10 + torch.rand(2, 1, 1, 32, 192))).sum(axis=0)
        shares[he_start] = 1 - seen[96 - 24 : 96 + 24].sum() / seen.sum()  # beyond the reach of the finest level alone
    assert shares[True] > 20 * shares[False]


def test_the_start_is_no_part_of_the_architecture():
    model = TSGNet(channels=TINY, he_start=True, linear_start=True, motion_scaled=True)
    assert model.architecture == TSGNet(channels=TINY, linear_start=True, motion_scaled=True).architecture
    a, b = torch.rand(2, 1, 1, 32, 32)
    torch.testing.assert_close(model(a, b, 0.25), torch.lerp(a, b, 0.25), atol=1e-5, rtol=0)


def test_each_sample_has_its_own_time():
    torch.manual_seed(0)
    model = TSGNet(channels=TINY)
    a, b = torch.rand(2, 2, 1, 32, 32)
    both = model(a, b, torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(both[1:], model(a[1:], b[1:], 0.75))
    assert not torch.allclose(both[1:], model(a[1:], b[1:], 0.25))


def test_a_bright_prediction_is_clamped_only_when_asked():
    a = torch.full((1, 1, 16, 16), 1.5)
    assert TSGNet(channels=TINY, linear_start=True)(a, a, 0.5).max().item() == pytest.approx(1.5)
    assert TSGNet(channels=TINY, linear_start=True, max_intensity=1.0)(a, a, 0.5).max() == 1.0


def test_warp_moves_along_x_then_y_and_repeats_the_border():
    x = torch.arange(20.0).reshape(1, 1, 4, 5)
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 0], flow[:, 1] = 1.0, -0.5
    expected = torch.tensor([[1, 2, 3, 4, 4]]) + 5 * torch.tensor([[0], [0.5], [1.5], [2.5]])
    torch.testing.assert_close(warp(x, flow)[0, 0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("t", [0.0, 1.0, -0.1, float("nan")])
def test_times_outside_the_gap_are_refused(t):
    with pytest.raises(TsgError, match="strictly between 0"):
        TSGNet(channels=TINY)(*torch.rand(2, 1, 1, 16, 16), t)


def test_unusable_frames_and_widths_are_refused():
    model, frame = TSGNet(channels=TINY), torch.rand(1, 1, 16, 16)
    with pytest.raises(TsgError, match="must both be"):
        model(frame, torch.rand(1, 1, 16, 32), 0.5)
    with pytest.raises(TsgError, match="not finite"):
        model(frame, frame * float("nan"), 0.5)
    with pytest.raises(TsgError, match="2 values for 1 samples"):
        model(frame, frame, torch.tensor([0.5, 0.5]))
    with pytest.raises(TsgError, match="four levels"):
        TSGNet(channels=(8, 8, 8))


def test_the_small_network_has_a_quarter_of_the_weights():
    count = {c: sum(p.numel() for p in TSGNet(channels=c).parameters()) for c in (SMALL_CHANNELS, (32, 48, 72, 96))}
    assert 0.24 < count[SMALL_CHANNELS] / count[(32, 48, 72, 96)] < 0.27
