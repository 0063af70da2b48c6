"""Chapters run by the command papermill, as a reader would, without the pipeline."""

import re
import subprocess
import sys

import ase.io
import jupytext
import pytest
from conftest import ROOT

CHAPTER = """\
# %% tags=["parameters"]
artifacts = "artifacts/mine"
n = 3

# %%
from tsgbook.artifacts import Artifacts
store = Artifacts(artifacts)

def write(path, *, n):
    path.write_text(" ".join(map(str, range(n))))

store.make("numbers.txt", write, parameters={"n": n})
"""
PALLADIUM = "# %%\nfrom ase.cluster import Decahedron\ntest[1] = Decahedron('Pd', 2, 2, 0)\n\n# %% [markdown]\n"


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "c" / "notebooks" / "profiles").mkdir(parents=True)
    return tmp_path / "c"


def papermill(text, checkout, *, where):
    """Run a notebook that lies outside of the checkout from a folder of it."""
    notebook = checkout.parent / "chapter.ipynb"
    jupytext.write(jupytext.reads(text, "py:percent"), notebook)
    command = [sys.executable, "-m", "papermill", str(notebook), str(notebook.with_name("out.ipynb")), "-k", "python3"]
    subprocess.run(command, cwd=checkout / where, check=True, capture_output=True)


def test_results_lie_in_the_repository_and_are_what_the_notebook_says(checkout):
    """From its root as from the folder of notebooks; anew where a cell changes what the parameter holds."""
    edited = CHAPTER.replace("store.make(", "n = n + 1\nstore.make(")
    for text, where, made in ((CHAPTER, "notebooks", "0 1 2"), (edited, ".", "0 1 2 3")):
        papermill(text, checkout, where=where)
        assert (checkout / "artifacts" / "mine" / "numbers.txt").read_text() == made
    assert sorted(path.name for path in checkout.parent.iterdir()) == ["c", "chapter.ipynb", "out.ipynb"]


@pytest.mark.chapters
def test_an_edited_chapter_1_keeps_what_it_shows(checkout):
    """A test particle replaced by one of palladium: the file holds palladium, too."""
    chapter = (ROOT / "notebooks" / "01_structures.py").read_text(encoding="utf-8")
    lines = "n_training = 1\nn_validation = 1\nn_test = 2\n"
    chapter = re.sub(r"n_training = .*\nn_validation = .*\nn_test = .*\n", lines, chapter)
    edited = chapter.replace("# ## Store them", f"{PALLADIUM}# ## Store them")
    kept = checkout / "artifacts" / "smoke" / "test_particles.extxyz"
    for text, elements in ((chapter, {"Yb", "Al"}), (edited, {"Al", "Pd"})):
        papermill(text, checkout, where="notebooks")
        assert {atoms.get_chemical_symbols()[0] for atoms in ase.io.read(kept, index=":")} == elements
