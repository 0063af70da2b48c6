import pytest
from conftest import ROOT

from tsg_core.errors import TsgError
from tsgbook.chapters import CHAPTERS, find_chapter, maker_of
from tsgbook.profiles import load_profile

PROFILE = """\
description: A small one.
chapters:
  01_structures: {n_training: 6, diameter_A: [9.0, 15.0], seed: 1}
  05_training: {learning_rate: 1.0e-4, n_steps: 60, seed: 1, resume: true}
  06_prediction: {rates: [1, 12], method: linear, methods: [linear], test_rates_each: 20}
"""


@pytest.fixture
def load(tmp_path):
    folder = tmp_path / "notebooks" / "profiles"
    folder.mkdir(parents=True)
    (folder / "smoke.yaml").write_text(PROFILE)
    (folder / "book.yaml").write_text(PROFILE)
    return lambda *overrides, name="smoke": load_profile(name, overrides=overrides, root=tmp_path)


def test_every_chapter_has_its_parameters(load):
    profile = load()
    assert (profile.name, profile.description, profile.changed) == ("smoke", "A small one.", ())
    assert list(profile.parameters) == [chapter.name for chapter in CHAPTERS]
    assert profile.parameters["06_prediction"]["rates"] == [1, 12]
    assert profile.parameters["03_sparsity"] == {}


@pytest.mark.parametrize(
    ("override", "chapter", "key", "value"),
    [
        ("n_steps=7", "05_training", "n_steps", 7),
        ("5.seed=3", "05_training", "seed", 3),
        ("01_structures.seed=3", "01_structures", "seed", 3),
        ("training.seed=4", "05_training", "seed", 4),
        ("diameter_A=[8, 9.5]", "01_structures", "diameter_A", [8.0, 9.5]),
        ("learning_rate=1e-3", "05_training", "learning_rate", 1e-3),
        ("learning_rate=1", "05_training", "learning_rate", 1.0),
        ("rates=[2]", "06_prediction", "rates", [2]),
        ("method=a=b", "06_prediction", "method", "a=b"),
        ("method=3", "06_prediction", "method", "3"),
        ("method=20240711", "06_prediction", "method", "20240711"),
        ("method=a #b: [c", "06_prediction", "method", "a #b: [c"),
        ("method=", "06_prediction", "method", ""),
        ("methods=[linear, 20240711, no]", "06_prediction", "methods", ["linear", "20240711", "no"]),
        ("test_rates_each=30", "06_prediction", "test_rates_each", 30),
        ("resume=false", "05_training", "resume", False),
    ],
)
def test_single_values_are_replaced(load, override, chapter, key, value):
    profile = load(override)
    got = profile.parameters[chapter][key]
    assert got == value and type(got) is type(value)
    assert profile.changed == (f"{chapter}.{key}",)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("n_steps", "must have the form key=value"),
        ("=3", "must have the form key=value"),
        ("n_step=3", "no parameter is called 'n_step'; did you mean n_steps"),
        ("5.rates=[2]", "no parameter is called '5.rates'"),
        ("seed=3", "several chapters have 'seed'; say which: 01_structures.seed, 05_training.seed"),
        ("12.seed=3", "no chapter is called '12'"),
        ("n_steps=2.5", "must give a whole number, as 60 is, not a number"),
        ("n_steps=true", "must give a whole number, as 60 is, not true or false"),
        ("n_steps=", "must give a whole number"),
        ("n_steps=[1", "is not a value"),
        ("methods=linear", "must give a list"),
        ("diameter_A=[a, 2]", "must give a number"),
        ("rates=[0, 3]", "06_prediction.rates holds 0; each must be a whole number from 1 to 12"),
        ("rates=[13]", "holds 13"),
        ("rates=[]", "rates is empty"),
    ],
)
def test_a_wrong_override_is_one_clear_line(load, override, message):
    with pytest.raises(TsgError) as caught:
        load(override)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_paths_on_the_command_line_count_from_where_it_is_given(tmp_path, monkeypatch):
    (tmp_path / "20240711").mkdir()
    monkeypatch.chdir(tmp_path)
    for given, expected in (("20240711/#1.mrc", tmp_path / "20240711" / "#1.mrc"), ("/x.mrc", "/x.mrc"), ("", "")):
        profile = load_profile("smoke", overrides=[f"series_path={given}"], root=ROOT)
        assert profile.parameters["09_your_own_sample"]["series_path"] == str(expected)


def test_unknown_profile_lists_those_there(load):
    with pytest.raises(TsgError, match="no profile is called 'smok'; there are book, smoke; did you mean smoke"):
        load(name="smok")
    with pytest.raises(TsgError, match="mine.yaml does not exist"):
        load(name="mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chapters: [1, 2]", "must hold `chapters:`"),
        ("a: [", "is not YAML"),
        ("", "must hold"),
        ("chapters: {09_more: {}}", "'09_more', which the book has not"),
        ("chapters: {06_prediction: {gaps: [13]}}", "gaps holds 13"),
        ("chapters: {07_reconstruction: {dose_gaps: [1, 13]}}", "07_reconstruction.dose_gaps holds 13"),
        ("chapters: {08_one_object: {volume_gaps: [0]}}", "volume_gaps holds 0"),
        ("chapters: {08_one_object: {test_rates: [2.5]}}", "test_rates holds 2.5"),
        ("chapters: {07_reconstruction: {example_gaps: []}}", "example_gaps is empty"),
    ],
)
def test_a_profile_of_ones_own_is_checked(load, tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(TsgError) as caught:
        load(name=str(tmp_path / "mine.yaml"))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_profile_of_ones_own_is_named_after_its_file(load, tmp_path):
    (tmp_path / "mine.yaml").write_text(PROFILE)
    assert load(name=str(tmp_path / "mine.yaml")).name == "mine"


@pytest.mark.parametrize("name", ["smoke", "book", "paper"])
def test_the_books_own_profiles_load(name):
    profile = load_profile(name)
    assert profile.description and all(profile.parameters.values())


def test_chapters_are_found_by_name_number_and_part():
    assert {find_chapter(text).name for text in ("5", "05", "05_training", "train")} == {"05_training"}
    for text, message in (("12", "no chapter"), ("s", "several chapters"), ("", "several chapters")):
        with pytest.raises(TsgError, match=message):
            find_chapter(text)


def test_needs_come_first_and_artifacts_have_one_maker():
    names = [chapter.name for chapter in CHAPTERS]
    for chapter in CHAPTERS:
        assert all(names.index(need) < names.index(chapter.name) for need in chapter.needs)
    assert maker_of("test_aberrated.zarr") == "02_simulation"
    assert maker_of("nothing.csv") is None
