"""Recipes: what a file becomes, which mistakes are named, and which particles train and which validate."""

from dataclasses import replace

import numpy as np
import pytest
from recipe_files import CONTENT, written

from tsg_core.errors import TsgError
from tsg_core.microscope import MICROSCOPES
from tsg_core.model import TSGNet
from tsg_core.model.file import load_model
from tsg_core.training import TrainingSettings
from tsgbook.networks import recipes as module
from tsgbook.networks.recipes import RecipeData, SeveralDatasets, load_recipe, recipes, train_recipe

ONE_OF_EACH = RecipeData(n_training=1, n_validation=1, n_pixels=16, pixel_sizes_A=(0.6,), relative_diameter=(0.5, 0.9))


def test_a_recipe_is_what_its_file_says(tmp_path):
    recipe = load_recipe(written(tmp_path / "tiny.yaml"))
    assert (recipe.name, recipe.description) == ("tiny", "A tiny network.")
    assert recipe.data == RecipeData(
        n_training=3, n_validation=2, n_pixels=16, pixel_sizes_A=(0.6, 0.7), relative_diameter=(0.5, 0.9),
        tilt_step_deg=10.0, seed=3,
    )  # fmt: skip
    assert recipe.settings == TrainingSettings(
        n_steps=4, batch_size=2, crop_px=16, max_rate=2, loss="gain", dose_per_A2=(10, 20)
    )
    assert recipe.untrained().architecture == TSGNet(channels=(4, 6, 8, 10), linear_start=True).architecture


def test_a_recipe_in_a_folder_of_its_own_bears_the_folders_name(tmp_path):
    (tmp_path / "wide").mkdir()
    assert load_recipe(written(tmp_path / "wide" / "recipe.yaml")).name == "wide"


def test_the_first_weights_are_those_of_the_seed(tmp_path):
    recipe = load_recipe(written(tmp_path / "tiny.yaml"))
    first, again = (recipe.untrained().encoder.pyramid1[0][0].weight for _ in range(2))
    assert np.array_equal(first.detach(), again.detach())


@pytest.mark.parametrize("name", recipes())
def test_the_packages_own_recipes_load(name):
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.description
    assert recipe.settings.crop_px <= recipe.data.n_pixels


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"network": {"channels": [4, 6, 8]}}, "four levels"),
        ({"network": {"width": 4}}, "not a recipe: .*width"),
        ({"network": None}, "not a recipe"),
        ({"data": {**CONTENT["data"], "n_pixel": 3}}, "not a recipe: .*n_pixel"),
        ({"data": {**CONTENT["data"], "n_validation": 1}}, "n_validation=1 must be at least the number of"),
        ({"data": {**CONTENT["data"], "n_pixels": 8}}, "crop_px=16 is larger than the frames, n_pixels=8"),
        ({"settings": {"n_steps": 0}}, "n_steps=0"),
        ({"settings": {"steps": 5}}, "not a recipe: .*steps"),
    ],
)
def test_mistakes_in_a_recipe_are_one_line(tmp_path, change, cause):
    with pytest.raises(TsgError, match=cause) as raised:
        load_recipe(written(tmp_path / "tiny.yaml", **change))
    assert "\n" not in str(raised.value)


def test_files_that_are_no_recipe_are_named(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    (tmp_path / "broken.yaml").write_text("a: [1\nb: 2")
    (tmp_path / "lacking.yaml").write_text("description: a network without data\nnetwork: {}\n")
    for file, what in (("list.yaml", "a recipe"), ("broken.yaml", "YAML"), ("lacking.yaml", "a recipe")):
        with pytest.raises(TsgError, match=f"is not {what}") as raised:
            load_recipe(tmp_path / file)
        assert "\n" not in str(raised.value)
    with pytest.raises(TsgError, match="absent.yaml does not exist"):
        load_recipe(tmp_path / "absent.yaml")
    with pytest.raises(TsgError, match="no recipe is called 'huge'; there is .*small"):
        load_recipe("huge")


def test_no_particle_validates_that_trains():
    data = replace(load_recipe("small").data, n_training=16, n_validation=6)
    positions = {}
    for validation, n in ((False, data.n_training), (True, data.n_validation)):
        dealt = [data.particles(size_A, validation=validation) for size_A in data.pixel_sizes_A]
        assert sum(map(len, dealt)) == n and all(dealt)
        for size_A, particles in zip(data.pixel_sizes_A, dealt, strict=True):
            field_A = data.n_pixels * size_A
            for atoms in particles:
                reach = 2 * np.linalg.norm(atoms.positions, axis=1).max() / field_A
                assert data.relative_diameter[0] - 1e-6 <= reach <= data.relative_diameter[1] + 1e-6
        positions[validation] = {atoms.positions.tobytes() for group in dealt for atoms in group}
        assert len(positions[validation]) == n
    assert not positions[False] & positions[True]


def test_multislice_series_come_as_often_as_their_share_asks(monkeypatch):
    incoherent, multislice = list("abcdef"), [["m"], ["n"]]
    monkeypatch.setattr(RecipeData, "incoherent_sets", lambda *_, **__: [incoherent])
    monkeypatch.setattr(RecipeData, "multislice_sets", lambda *_, **__: multislice)
    for share, times in ((0.5, 3), (0.75, 9), (0.1, 1)):
        series = list(replace(ONE_OF_EACH, multislice_share=share).series(None, validation=False))
        assert series == incoherent + ["m", "n"] * times
    with pytest.raises(TsgError, match="multislice_share=1 must be"):
        replace(ONE_OF_EACH, multislice_share=1)


def test_multislice_sets_are_made_where_they_are_missing(tmp_path, monkeypatch):
    made = []

    def make(name, folder, *, every):
        made.append((name, every))
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.npz").touch()

    monkeypatch.setattr(module, "make_set", make)
    data = replace(ONE_OF_EACH, multislice_share=0.5)
    for validation in (False, True):
        for _ in range(2):
            sets = data.multislice_sets(tmp_path, validation=validation)
            assert [s.microscope for s in sets] == list(MICROSCOPES)
            assert not data.is_made(tmp_path)
    assert made == [("training", 2), ("validation", 2)]


def test_a_training_goes_on_from_the_weights_of_the_recipe_before_it(tmp_path):
    settings = CONTENT["settings"] | {"precision": "32-true", "learning_rate": 1e-3}
    data = CONTENT["data"] | {"n_training": 1, "n_validation": 1, "pixel_sizes_A": [0.6]}
    written(tmp_path / "first.yaml", settings=settings, data=data)
    still = settings | {"n_steps": 1, "learning_rate": 1e-12, "final_learning_rate": 1e-12}
    recipe = load_recipe(written(tmp_path / "tiny.yaml", settings=still, data=data, start="first.yaml"))
    end = load_model(train_recipe(recipe, work=tmp_path / "work", accelerator="cpu"))
    first = load_model(tmp_path / "work" / "training" / "start" / "model.safetensors")
    for name, value in first.state_dict().items():
        np.testing.assert_allclose(end.state_dict()[name], value, atol=1e-6)
    written(tmp_path / "first.yaml", network={"channels": [4, 4, 4, 4]})
    with pytest.raises(TsgError, match="starts from first.yaml, which has another network"):
        load_recipe(tmp_path / "tiny.yaml")


def test_series_of_several_data_sets_come_one_after_the_other():
    several = SeveralDatasets([["a", "b"], [], ["c"]])
    assert len(several) == 3 and list(several) == ["a", "b", "c"] and several[2] == "c"
    with pytest.raises(IndexError):
        several[3]


def test_several_processes_do_not_make_the_data_at_once(tmp_path, monkeypatch):
    recipe = load_recipe(written(tmp_path / "tiny.yaml"))
    one = replace(recipe.data, n_training=1, n_validation=1, pixel_sizes_A=(0.6,), tilt_step_deg=90.0)
    recipe = replace(recipe, data=one)
    monkeypatch.setattr(module, "started_processes", lambda: (2, 1))
    monkeypatch.setattr(module, "train", lambda training, **options: (len(training), options["devices"]))
    with pytest.raises(TsgError, match=r"data does not hold the data .* tsg train --recipe tiny --data-only"):
        module.train_recipe(recipe, work=tmp_path)
    training, validation = module.make_data(recipe, work=tmp_path)
    assert (len(training), len(validation)) == (2, 2)
    assert module.train_recipe(recipe, work=tmp_path) == (2, None)
