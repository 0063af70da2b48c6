"""The shipped networks: all there, small enough, and reached by name."""

import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT

from tsg_core import weights
from tsg_core.errors import TsgError
from tsg_core.interpolation import densify
from tsg_core.model import TSGNet
from tsg_core.prediction import save_model
from tsg_core.recipes import recipes
from tsg_core.tilt_series import TiltSeries

each = pytest.mark.parametrize("name", weights.shipped())


def test_the_default_is_shipped_and_all_files_together_are_small():
    assert weights.DEFAULT in weights.shipped() and set(weights.shipped()) <= set(recipes())
    assert sum(path.stat().st_size for path in weights.FOLDER.rglob("*")) <= 20e6


def test_the_wheel_holds_every_file_beside_the_code():
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["tsg_core"]
    package = weights.FOLDER.parent
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    beside = {path for path in files if path.suffix != ".py" and not path.name.startswith(".")}
    assert beside <= {path for pattern in patterns for path in package.glob(pattern)}
    assert {path.suffix for path in beside} >= {".yaml", ".safetensors", ".csv", ".md"}


@each
def test_a_shipped_network_comes_with_card_curves_and_gains(name):
    model = weights.load_shipped(name)
    assert weights.load_shipped(name) is model
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    card = weights.shipped_file(name, weights.CARD).read_text()
    assert f"{sum(p.numel() for p in model.parameters()):,}" in card and "Licence" in card and "Limits" in card
    history = pd.read_csv(weights.shipped_file(name, weights.HISTORY))
    assert history["step"].is_monotonic_increasing
    assert history["validation_psnr_dB"].max() > history["linear_psnr_dB"].max()
    gains = pd.read_csv(weights.shipped_file(name, weights.VALIDATION))
    assert set(gains["microscope"]) == {"aberrated", "non_aberrated"} and {"1", "12", "all"} <= set(gains["rate"])
    assert (gains["gain"] > -0.1).all() and (gains[gains["rate"] == "all"]["gain"] > 1.2).all()


def test_networks_are_reached_by_name_file_and_object(tmp_path):
    torch.manual_seed(0)
    tiny = TSGNet(channels=(4, 6, 8, 10)).eval()
    ours = save_model(tiny, tmp_path / "tiny.safetensors")
    theirs = tmp_path / "last.ckpt"
    torch.save({"state_dict": {f"model.{k}": v for k, v in tiny.state_dict().items()}}, theirs)
    assert weights.network(tiny) is tiny
    assert weights.network(None) is weights.network("small") is weights.load_shipped()
    for path in (ours, str(ours), theirs):
        torch.testing.assert_close(weights.network(path).state_dict(), tiny.state_dict())
    assert weights.network(theirs).max_intensity == 1.0


def test_the_shipped_network_predicts_when_none_is_named():
    series = TiltSeries(np.random.default_rng(0).random((3, 20, 24)), [0, 2, 4], 0.4)
    unnamed, named, file = (
        densify(series, tilt_deg=[0, 1, 3], method="tsgnet", checkpoint=c).frames
        for c in (None, "small", weights.shipped_file("small", weights.WEIGHTS))
    )
    np.testing.assert_array_equal(unnamed, named)
    np.testing.assert_array_equal(unnamed, file)
    assert not np.allclose(unnamed[1], (series.frames[0] + series.frames[1]) / 2, atol=1e-4)


def test_networks_that_are_not_there_are_named(tmp_path):
    with pytest.raises(TsgError, match="checkpoint huge is neither a file nor a shipped network .*small"):
        weights.network("huge")
    with pytest.raises(TsgError, match="no network 'huge' is shipped; there is .*small"):
        weights.load_shipped("huge")
    series = TiltSeries(np.ones((2, 16, 16)), [0, 2], 0.4)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.shipped_file("small", weights.WEIGHTS).read_bytes()[:-100])
    with pytest.raises(TsgError, match="cut.safetensors is truncated"):
        densify(series, tilt_deg=[1.0], method="tsgnet", checkpoint=cut)
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(TsgError, match="another architecture"):
        densify(series, tilt_deg=[1.0], method="tsgnet", checkpoint=tmp_path / "other.pt")
