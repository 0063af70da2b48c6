"""Predicting frames of a series: neighbours, times, units, tiles, and the checkpoint's file."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tsg_core.errors import TsgError
from tsg_core.interpolation.tsgnet import predict_frames, predict_tiled
from tsg_core.model import TSGNet
from tsg_core.model.file import load_model, model_metadata, save_model
from tsg_core.tilt_series import TiltSeries

TINY = (4, 6, 8, 10)


@pytest.fixture
def series():
    frames = np.random.default_rng(0).random((5, 20, 24))
    return TiltSeries(frames, [-10, -5, 0, 4, 10], 0.5, measured=[True, False, True, True, True])


@pytest.fixture
def linear():
    return TSGNet(channels=TINY, linear_start=True)


def trained_like(**options):
    """A network far from linear interpolation, its flows a few pixels wide."""
    torch.manual_seed(1)
    model = TSGNet(channels=TINY, **options)
    for decoder in (model.decoder1, model.decoder2, model.decoder3, model.decoder4):
        torch.nn.init.normal_(decoder.net[2].weight, std=0.2)
    return model.eval()


def test_frames_come_from_their_measured_neighbours_at_their_angle(series, linear):
    predicted = predict_frames(linear, series, tilt_deg=[-7.5, -5, 9.0], batch_size=2)
    assert predicted.dtype == np.float32
    f = series.frames
    expected = [0.75 * f[0] + 0.25 * f[2], 0.5 * f[0] + 0.5 * f[2], f[3] / 6 + f[4] * 5 / 6]
    np.testing.assert_allclose(predicted, expected, atol=1e-5)


def test_predictions_follow_the_units_and_ignore_frames_that_were_not_measured(series):
    model = trained_like()
    once = predict_frames(model, series, tilt_deg=[-5, 2])
    brighter = TiltSeries(1000 * series.frames, series.tilt_deg, 0.5, measured=series.measured)
    brighter.frames[1] = 1e6
    np.testing.assert_allclose(predict_frames(model, brighter, tilt_deg=[-5, 2]), 1000 * once, rtol=1e-3, atol=0.1)
    assert np.abs(once).max() > 0.01


def test_a_dark_series_is_predicted_dark(linear):
    dark = TiltSeries(np.zeros((2, 16, 16)), [0, 2], 1.0)
    assert not predict_frames(linear, dark, tilt_deg=[1.0]).any()


def test_three_residual_channels_give_one_frame(series):
    assert predict_frames(trained_like(residual_channels=3), series, tilt_deg=[1.0]).shape == (1, 20, 24)


@pytest.mark.parametrize(
    ("tilt_deg", "cause"), [([11.0], "not between"), ([-10.0], "not between"), ([4.0], "measured already")]
)
def test_angles_that_cannot_be_predicted_are_named(series, linear, tilt_deg, cause):
    with pytest.raises(TsgError, match=f"{tilt_deg[0]:g} deg .*{cause}"):
        predict_frames(linear, series, tilt_deg=tilt_deg)


def test_one_measured_frame_is_too_few(linear):
    with pytest.raises(TsgError, match="1 measured frames"):
        predict_frames(linear, TiltSeries(np.ones((1, 16, 16)), [0], 1.0), tilt_deg=[1.0])


@pytest.mark.parametrize("motion_scaled", [False, True])
@pytest.mark.parametrize("size", [(240, 100), (100, 240), (193, 200)])
def test_tiles_leave_no_seams(size, motion_scaled):
    model = trained_like(motion_scaled=motion_scaled)
    x = torch.linspace(0, 9, 240)
    picture = 0.5 + 0.4 * torch.sin(x[:, None] * 1.3) * torch.cos(x)
    a, b = picture[: size[0], : size[1]][None, None], picture.roll(3, 1)[: size[0], : size[1]][None, None]
    t = torch.tensor([0.4])
    with torch.inference_mode():
        whole = model(a, b, t)
        tiled, abrupt = (predict_tiled(model, a, b, t, tile_px=128, overlap_px=overlap) for overlap in (96, 0))
    added = (whole - (0.6 * a + 0.4 * b)).abs().max()
    assert (tiled - whole).abs().max() < 0.03 * added < (abrupt - whole).abs().max()


def test_a_saved_model_predicts_as_before(tmp_path, series):
    model = trained_like(residual_channels=2, max_intensity=1.2, linear_start=True)
    path = save_model(model, tmp_path / "model.safetensors", notes={"n_steps": 3})
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    loaded = load_model(path)
    assert loaded.architecture == model.architecture
    before, after = (predict_frames(m, series, tilt_deg=[1.0]) for m in (model, loaded))
    np.testing.assert_array_equal(before, after)


def test_a_model_kept_in_16_bits_is_half_as_large_and_predicts_nearly_the_same(tmp_path, series):
    model = trained_like()
    whole, half = (save_model(model, tmp_path / f"{half}.safetensors", half=half) for half in (False, True))
    assert half.stat().st_size < 0.65 * whole.stat().st_size
    loaded = load_model(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    before, after = (predict_frames(m, series, tilt_deg=[1.0]) for m in (model, loaded))
    assert 0 < np.abs(after - before).max() < 2e-3 * np.abs(before).max()


def test_the_published_size_in_16_bits_is_small_enough_to_ship(tmp_path):
    path = save_model(TSGNet(linear_start=True), tmp_path / "model.safetensors", half=True)
    assert path.stat().st_size < 10e6
    assert {p.dtype for p in load_model(path).parameters()} == {torch.float32}


def test_the_description_of_a_saved_model_is_read_without_its_weights(tmp_path):
    path = save_model(trained_like(), tmp_path / "model.safetensors", notes={"step": 3})
    assert model_metadata(path)["notes"] == {"step": 3}
    assert model_metadata(path)["architecture"]["channels"] == list(TINY)


def test_files_that_are_no_checkpoint_are_named(tmp_path, linear):
    with pytest.raises(TsgError, match="does not exist"):
        load_model(tmp_path / "absent.safetensors")
    whole = save_model(linear, tmp_path / "model.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(TsgError, match="truncated"):
        load_model(cut)
    other = {"architecture": json.dumps({"name": "U"})}
    save_file({"w": torch.ones(2)}, tmp_path / "other.safetensors", metadata=other)
    with pytest.raises(TsgError, match="another architecture"):
        load_model(tmp_path / "other.safetensors")
    save_file({"w": torch.ones(2)}, tmp_path / "bare.safetensors")
    with pytest.raises(TsgError, match="another architecture"):
        load_model(tmp_path / "bare.safetensors")
