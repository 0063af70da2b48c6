"""The README and its neighbours name only what exists."""

import re
import shlex
from itertools import pairwise

import pandas as pd
import pytest
import yaml

from tsg_core import __version__
from tsg_core.errors import TsgError
from tsgbook import readme
from tsgbook.build import ROOT

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "book/how_to_use.md"]
# a folder that a run makes
NOT_IN_THE_REPOSITORY = {"artifacts/"}


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
    from tsgbook.cli import tsg

    called = every_command("tsg")
    assert called
    for document, (name, *arguments) in called:
        assert name in tsg.commands, f"{document} calls tsg {name}"
        options = {option for parameter in tsg.commands[name].params for option in parameter.opts}
        for word in arguments:
            assert not word.startswith("-") or word in options, f"{document} calls tsg {name} {word}"


def test_every_tsg_command_is_in_the_readme():
    from tsgbook.cli import tsg

    assert set(re.findall(r"^\| `tsg (\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)) == set(tsg.commands)


def test_settings_named_are_parameters_of_chapters():
    for document, words in every_command("tsg"):
        for value in (b for a, b in pairwise(words) if a == "--set"):
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


def test_results_are_those_recorded():
    if not (ROOT / "book" / "results" / "frame_metrics.csv").exists():
        pytest.skip("no run of the profile book is recorded yet")
    assert readme.results_block(root=ROOT) in (ROOT / "README.md").read_text()


def test_results_are_written_between_their_markers(tmp_path, monkeypatch):
    table = pd.DataFrame(
        {"microscope": "m", "particle": p, "rate": 1, "method": m, "psnr_dB": v, "ssim": 0.9}
        for p, m, v in (("a", "linear", 30), ("a", "cubic", 33), ("b", "linear", 40), ("b", "cubic", 42))
    )
    sidecar = {"profile": "book", "made": "2026-01-02T00:00:00"}
    monkeypatch.setattr(readme, "load_results", lambda name, root: (table, sidecar))
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    readme.fill_readme(path, root=tmp_path)
    text = path.read_text()
    assert "| m | cubic | 37.50 | 0.900 | 2.50 [" in text and "old" not in text
    assert text.startswith("before\n") and text.endswith("after\n")
    path.write_text("no markers")
    with pytest.raises(TsgError, match="markers"):
        readme.fill_readme(path)


def test_citation_and_environment_agree_with_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert "Angular Sparsity Invariant" in citation["references"][0]["title"]
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = (d["pip"] for d in dependencies if isinstance(d, dict))
    assert "-e .[book,test]" in pip
