"""The shipped networks: all there, small enough, and reached by name."""

import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT

from tsg_core.errors import TsgError
from tsg_core.interpolation import densify
from tsg_core.model import TSGNet, shipped
from tsg_core.model.file import save_model
from tsg_core.tilt_series import TiltSeries
from tsgbook.networks.recipes import recipes

each = pytest.mark.parametrize("name", shipped.shipped())


def test_the_default_is_shipped_and_all_files_together_are_small():
    assert shipped.DEFAULT in shipped.shipped() and set(shipped.shipped()) <= set(recipes())
    assert sum(path.stat().st_size for path in shipped.FOLDER.rglob("*")) <= 20e6


def test_the_wheel_holds_every_file_beside_the_code():
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]
    files = [path for package in ("tsg_core", "tsgbook") for path in (ROOT / package).rglob("*") if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts]
    beside = {path for path in files if path.suffix != ".py" and not path.name.startswith(".")}
    packed = {path for package, names in patterns.items() for name in names for path in _folder(package).glob(name)}
    assert beside <= packed
    assert {path.suffix for path in beside} >= {".yaml", ".safetensors", ".csv", ".md", ".npz", ".html"}


def _folder(package):
    return ROOT.joinpath(*package.split("."))


@each
def test_a_shipped_network_comes_with_card_curves_and_gains(name):
    model = shipped.load_shipped(name)
    assert shipped.load_shipped(name) is model
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    card = shipped.shipped_file(name, shipped.CARD).read_text()
    assert f"{sum(p.numel() for p in model.parameters()):,}" in card and "Licence" in card and "Limits" in card
    history = pd.read_csv(shipped.shipped_file(name, shipped.HISTORY))
    assert history["step"].is_monotonic_increasing
    assert history["validation_psnr_dB"].max() > history["linear_psnr_dB"].max()
    gains = pd.read_csv(shipped.shipped_file(name, shipped.VALIDATION))
    assert set(gains["microscope"]) == {"aberrated", "non_aberrated"} and {"1", "12", "all"} <= set(gains["rate"])
    overall = gains[gains["rate"] == "all"].set_index(["engine", "microscope"])["gain"]
    assert (gains["gain"] > -0.1).all() and (overall["incoherent"] > 1.2).all() and (overall > 0.5).all()


def test_networks_are_reached_by_name_file_and_object(tmp_path):
    torch.manual_seed(0)
    tiny = TSGNet(channels=(4, 6, 8, 10)).eval()
    ours = save_model(tiny, tmp_path / "tiny.safetensors")
    theirs = tmp_path / "last.ckpt"
    torch.save({"state_dict": {f"model.{k}": v for k, v in tiny.state_dict().items()}}, theirs)
    assert shipped.network(tiny) is tiny
    assert shipped.network(None) is shipped.network("small") is shipped.load_shipped()
    for path in (ours, str(ours), theirs):
        torch.testing.assert_close(shipped.network(path).state_dict(), tiny.state_dict())
    assert shipped.network(theirs).max_intensity == 1.0


def test_the_shipped_network_predicts_when_none_is_named():
    series = TiltSeries(np.random.default_rng(0).random((3, 20, 24)), [0, 2, 4], 0.4)
    unnamed, named, file = (
        densify(series, tilt_deg=[0, 1, 3], method="tsgnet", checkpoint=c).frames
        for c in (None, "small", shipped.shipped_file("small", shipped.WEIGHTS))
    )
    np.testing.assert_array_equal(unnamed, named)
    np.testing.assert_array_equal(unnamed, file)
    assert not np.allclose(unnamed[1], (series.frames[0] + series.frames[1]) / 2, atol=1e-4)


def test_networks_that_are_not_there_are_named(tmp_path):
    with pytest.raises(TsgError, match="checkpoint huge is neither a file nor a shipped network .*small"):
        shipped.network("huge")
    with pytest.raises(TsgError, match="no network 'huge' is shipped; there is .*small"):
        shipped.load_shipped("huge")
    series = TiltSeries(np.ones((2, 16, 16)), [0, 2], 0.4)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(shipped.shipped_file("small", shipped.WEIGHTS).read_bytes()[:-100])
    with pytest.raises(TsgError, match="cut.safetensors is truncated"):
        densify(series, tilt_deg=[1.0], method="tsgnet", checkpoint=cut)
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(TsgError, match="another architecture"):
        densify(series, tilt_deg=[1.0], method="tsgnet", checkpoint=tmp_path / "other.pt")
