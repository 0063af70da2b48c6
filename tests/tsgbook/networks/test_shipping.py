"""`tsg train` from its recipe to the folder that is shipped, interrupted on the way."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from recipe_files import CONTENT, written

from tsg_core.errors import TsgError
from tsg_core.interpolation import densify
from tsg_core.model import shipped
from tsg_core.model.file import load_model, model_metadata
from tsg_core.tilt_series import TiltSeries
from tsg_core.training import loop
from tsgbook import cli
from tsgbook.networks import shipping
from tsgbook.networks.recipes import RecipeData, load_recipe, train_recipe

SETTINGS = {
    "n_steps": 6, "batch_size": 2, "crop_px": 16, "max_rate": 3, "loss": "gain", "precision": "32-true",
    "validate_every": 2, "checkpoint_every": 2, "log_every": 1, "learning_rate": 3e-3, "warmup_steps": 0,
}  # fmt: skip
DATA = CONTENT["data"] | {"n_training": 2, "pixel_sizes_A": [0.6]}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a recipe, whose data are simulated once for all tests."""
    folder = tmp_path_factory.mktemp("place")
    written(folder / "tiny.yaml", settings=SETTINGS, data=DATA)
    return folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package's folder of weights, empty."""
    for module in (shipped, shipping):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def tsg(place, monkeypatch, capsys):
    """`tsg train` with the recipe in this process: status, stdout, stderr."""

    def train(*options):
        arguments = ["tsg", "train", "--recipe", place / "tiny.yaml", "--work", place / "work", *options]
        monkeypatch.setattr(sys, "argv", [str(a) for a in arguments])
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with pytest.raises(SystemExit) as caught:
            cli.main()
        torch.set_num_threads(threads)
        said = capsys.readouterr()
        return caught.value.code or 0, said.out, said.err

    return train


def test_an_interrupted_training_is_shipped_as_it_stands_and_goes_on_to_its_end(place, package, tsg, monkeypatch):
    status, _, error = tsg("--ship")
    assert status == 2 and "nothing is trained" in error and "tsg train --recipe tiny" in error
    assert not any(package.iterdir())

    whole = loop._Run.update

    def update(self, batch):
        if self.step == 5:
            raise KeyboardInterrupt
        return whole(self, batch)

    monkeypatch.setattr(loop._Run, "update", update)
    status, _, error = tsg()
    assert status == 130 and "the same command goes on" in error

    status, said, _ = tsg("--ship")
    assert status == 0 and str(package / "tiny") in said
    card = (package / "tiny" / shipped.CARD).read_text()
    assert "was not finished" in card and "5 of 6 steps" in card

    monkeypatch.setattr(loop._Run, "update", whole)
    status, said, _ = tsg()
    assert status == 0 and "best in validation at step" in said
    history = pd.read_csv(place / "work" / "training" / "history.csv")
    assert history["step"].tolist() == [0, 1, 2, 3, 4, 5, 6]

    assert tsg("--ship")[0] == 0
    folder = package / "tiny"
    names = {"recipe.yaml", shipped.WEIGHTS, shipped.HISTORY, shipped.VALIDATION, shipped.CARD}
    assert {path.name for path in folder.iterdir()} == names
    card = (folder / shipped.CARD).read_text()
    notes = model_metadata(folder / shipped.WEIGHTS)["notes"]
    assert "not finished" not in card and f"weights of step {notes['step']}" in card and "MIT" in card
    pd.testing.assert_frame_equal(pd.read_csv(folder / shipped.HISTORY), history)
    assert load_recipe(folder / "recipe.yaml").settings == load_recipe(place / "tiny.yaml").settings

    gains = pd.read_csv(folder / shipped.VALIDATION)
    assert gains["rate"].tolist() == ["1", "2", "3"] * 2 + ["all"] * 2 and (gains["particles"] == 2).all()
    assert set(gains["engine"]) == {"incoherent"}
    np.testing.assert_allclose(gains["psnr_dB"] - gains["linear_psnr_dB"], gains["gain"], atol=1e-9)
    for microscope, rows in gains.groupby("microscope"):
        assert rows["gain"].iloc[-1] == pytest.approx(rows["gain"].iloc[:-1].mean())
        assert f"| incoherent | {microscope.replace('_', '-')} | all | {rows['linear_psnr_dB'].iloc[-1]:.2f}" in card

    assert shipped.shipped() == ["tiny"]
    series = TiltSeries(np.random.default_rng(0).random((3, 16, 16)), [0, 2, 4], 0.6)
    by_name, by_file = (
        densify(series, tilt_deg=[1.0], method="tsgnet", checkpoint=c) for c in ("tiny", folder / shipped.WEIGHTS)
    )
    np.testing.assert_array_equal(by_name.frames, by_file.frames)


def test_a_network_of_a_mixture_is_judged_on_both_kinds_of_frames(place, package, monkeypatch):
    """Multislice series are judged at rates in degrees; the recipe that came first is shipped, too."""
    incoherent = load_recipe(place / "tiny.yaml").data.incoherent_sets(place / "work" / "data", validation=True)[1][0]
    multislice = TiltSeries(
        incoherent.frames[::2], incoherent.tilt_deg[::2], 0.25,
        metadata={"microscope": incoherent.metadata["microscope"], "engine": "multislice"},
    )  # fmt: skip
    monkeypatch.setattr(RecipeData, "multislice_sets", lambda *_, **__: [[multislice]])
    settings = SETTINGS | {"n_steps": 1, "max_gap_deg": 40.0}
    written(place / "first.yaml", settings=SETTINGS, data=DATA)
    recipe = load_recipe(
        written(place / "mixed.yaml", settings=settings, data=DATA | {"multislice_share": 0.5}, start="first.yaml")
    )
    train_recipe(recipe, work=place / "mixed", accelerator="cpu")
    folder = shipping.ship(recipe, work=place / "mixed")
    assert (folder / "first.yaml").read_text() == (place / "first.yaml").read_text()
    assert load_recipe(folder / "recipe.yaml").first().settings == load_recipe(place / "first.yaml").settings
    gains = pd.read_csv(folder / shipped.VALIDATION)
    of_multislice = gains[gains["engine"] == "multislice"]
    assert set(of_multislice["rate"]) == {"20", "all"} and set(of_multislice["microscope"]) == {"non_aberrated"}
    card = (folder / shipped.CARD).read_text()
    assert "50% of the samples: 24 particles" in card and "the recipe `first.yaml`" in card
    assert "| multislice | non-aberrated | 20 |" in card and "never met channelling" not in card


def test_large_weights_are_shipped_in_16_bits_and_another_networks_not_at_all(place, package, tsg, monkeypatch):
    assert tsg()[0] == 0  # trained before, or now
    monkeypatch.setattr(shipping, "HALF_ABOVE_BYTES", 1e3)
    assert tsg("--ship")[0] == 0
    path = package / "tiny" / shipped.WEIGHTS
    assert path.stat().st_size < 0.7 * (place / "work" / "training" / loop.MODEL_FILE).stat().st_size
    assert {p.dtype for p in load_model(path).parameters()} == {torch.float32}
    assert "stored in 16 bits" in (package / "tiny" / shipped.CARD).read_text()

    other = load_recipe(written(place / "other.yaml", network={"channels": [4, 4, 4, 4]}, settings=SETTINGS))
    with pytest.raises(TsgError, match="another network than the recipe other"):
        shipping.ship(other, work=place / "work")
