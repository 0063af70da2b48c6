"""The first cell of the chapters: as _config.yml has it, the same in all; it installs what is missing, nothing else."""

import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from tsgbook.chapters import CHAPTERS
from tsgbook.first_cell import TAG, first_cell, with_first_cell
from tsgbook.notebook import code_cells, read_chapter, tags

PIP = "import sys\nopen('asked.txt', 'a').write(' '.join(sys.argv[1:]))\n"  # in the place of pip


def run(code, folder):
    """In a Python without site-packages, where the project is missing."""
    return subprocess.run([sys.executable, "-S", "-c", code], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("name", [chapter.name for chapter in CHAPTERS])
def test_every_chapter_begins_with_it(name):
    code = first_cell(yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8")))
    first = code_cells(read_chapter(ROOT / "notebooks", name))[0]
    assert first.source == code and tags(first) == [TAG], "run: make cells"


def test_writing_it_anew_replaces_it_alone():
    notebook = read_chapter(ROOT / "notebooks", "03_sparsity")
    before = [cell.source for cell in notebook.cells]
    code = first_cell({"repository": {"url": "https://example.org/a/b"}})
    after = [cell.source for cell in with_first_cell(notebook, code).cells]
    assert after == [before[0], code, *before[2:]]


def test_it_clones_installs_and_makes_importable(tmp_path):
    origin, here = tmp_path / "origin", tmp_path / "here"
    (origin / "tsg_core").mkdir(parents=True)
    (origin / "tsg_core" / "__init__.py").write_text("")
    git = ["git", "-C", str(origin), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q", "-b", "dev"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    here.mkdir()
    (here / "pip.py").write_text(PIP)
    code = first_cell({"repository": {"url": origin.as_uri(), "branch": "dev"}})
    for _ in range(2):  # the second time with the copy there, as after an interruption
        done = run(f"{code}\nimport tsg_core; print(tsg_core.__file__)", here)
        assert done.stdout.strip() == str(here / "tsg" / "tsg_core" / "__init__.py"), done.stderr
        assert (here / "asked.txt").read_text() == "install -q -e tsg[book] -c tsg/constraints.txt"
        (here / "asked.txt").unlink()


@pytest.mark.parametrize("config", [{"repository": {}}, {"repository": {"url": "https://example.org/none"}}])
def test_it_does_nothing_where_the_project_is(config, tmp_path):
    done = subprocess.run([sys.executable, "-c", first_cell(config)], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and not list(tmp_path.iterdir())


def test_without_an_address_it_says_what_to_install(tmp_path):
    done = run(first_cell({"repository": {}}), tmp_path)
    assert done.returncode and "copy of the repository run: pip install -e .[book]" in done.stderr.splitlines()[-1]
