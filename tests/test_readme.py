"""The README and its neighbours name only what exists."""

import re
import shlex

import pytest
import yaml

from tsg_core import __version__
from tsg_core.book import ROOT

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "book/how_to_use.md"]
# what a reader brings or gets, and folders that a run makes
NOT_IN_THE_REPOSITORY = {"artifacts/", "artifacts/screenshots/"}


def commands(document):
    """Command lines in the bash blocks of a document, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return [words for block in blocks for line in block.splitlines() if (words := shlex.split(line, comments=True))]


def every_command(program):
    return [(d, words[1:]) for d in DOCUMENTS for words in commands(d) if words[0] == program]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_named_exist(document):
    named = re.findall(r"`([\w./-]+/|[\w./-]+\.(?:md|yml|cff|py|toml)|LICENSE)`", (ROOT / document).read_text())
    assert named
    for name in set(named) - NOT_IN_THE_REPOSITORY:
        assert (ROOT / name).exists(), f"{document} names {name}"


def test_make_targets_exist():
    targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = every_command("make")
    assert called
    for document, words in called:
        assert words[0] in targets, f"{document} calls make {words[0]}"


def test_tsg_commands_and_options_exist():
    from tsg_core.cli import tsg

    called = every_command("tsg")
    assert called
    for document, (name, *arguments) in called:
        assert name in tsg.commands, f"{document} calls tsg {name}"
        options = {option for parameter in tsg.commands[name].params for option in parameter.opts}
        for word in arguments:
            assert not word.startswith("-") or word in options, f"{document} calls tsg {name} {word}"


def test_every_tsg_command_is_in_the_readme():
    from tsg_core.cli import tsg

    assert set(re.findall(r"^\| `tsg (\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)) == set(tsg.commands)


def test_settings_named_are_parameters_of_chapters():
    for document, words in every_command("tsg"):
        for value in (b for a, b in zip(words, words[1:]) if a == "--set"):
            chapter, name = value.split("=")[0].split(".")
            for profile in (ROOT / "notebooks" / "profiles").glob("*.yaml"):
                assert name in yaml.safe_load(profile.read_text())["chapters"][chapter], f"{document}: {value}"


def test_the_python_example_runs(tmp_path, monkeypatch):
    import numpy as np

    from tsg_core.tilt_series import TiltSeries

    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    frames = np.random.default_rng(0).random((21, 2, 8), dtype=np.float32)
    TiltSeries(frames, np.arange(-60, 61, 6), 1.0).write("particle.mrc")
    values = {}
    exec(example, values)
    assert values["volume"].shape == (2, 8, 8) and len(values["denser"]) == 121


def test_results_have_their_place():
    assert re.search(r"<!-- results:begin -->\n.*<!-- results:end -->", (ROOT / "README.md").read_text(), re.DOTALL)


def test_citation_and_environment_agree_with_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert "Angular Sparsity Invariant" in citation["references"][0]["title"]
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = (d["pip"] for d in dependencies if isinstance(d, dict))
    assert "-e .[book,test,formats]" in pip
