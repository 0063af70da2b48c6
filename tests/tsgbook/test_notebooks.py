"""The chapters: pairs in step, parameters as the profiles have them, and the whole smoke run."""

import json
import re

import jupytext
import nbformat
import pytest
from conftest import ROOT

from tsgbook.chapters import CHAPTERS, maker_of
from tsgbook.notebook import code_cells, in_step, parameter_defaults, read_chapter, tags
from tsgbook.profiles import load_profile

NOTEBOOKS = ROOT / "notebooks"
NAMES = [chapter.name for chapter in CHAPTERS]
each_chapter = pytest.mark.parametrize("name", NAMES)


def test_the_folder_holds_the_chapters_and_no_others():
    expected = sorted(f"{name}{suffix}" for name in NAMES for suffix in (".py", ".ipynb"))
    assert sorted(path.name for path in NOTEBOOKS.glob("*.*")) == expected


@each_chapter
def test_pairs_are_in_step(name):
    assert in_step(NOTEBOOKS, name), f"run: jupytext --sync notebooks/{name}.py"


def test_a_pair_out_of_step_is_noticed(tmp_path):
    notebook = jupytext.reads("# %%\nx = 1\n", "py:percent")
    for suffix in (".py", ".ipynb"):
        jupytext.write(notebook, tmp_path / f"01{suffix}")
    assert in_step(tmp_path, "01")
    (tmp_path / "01.py").write_text("# %%\nx = 2\n")
    assert not in_step(tmp_path, "01")


@each_chapter
def test_notebooks_hold_no_outputs(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not [cell for cell in code_cells(notebook) if cell.outputs or cell.execution_count]


@each_chapter
def test_code_cells_are_short_enough_to_take_in(name):
    cells = [cell for cell in read_chapter(NOTEBOOKS, name).cells if cell.cell_type == "code"]
    lengths = [len([line for line in cell.source.splitlines() if line.strip()]) for cell in cells]
    assert max(lengths) <= 30, cells[lengths.index(max(lengths))].source


@each_chapter
@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_profiles_set_exactly_the_parameters_of_each_chapter(name, profile):
    defaults = parameter_defaults(read_chapter(NOTEBOOKS, name))
    assert defaults.pop("artifacts") == "artifacts/smoke"
    values = load_profile(profile, root=ROOT).parameters[name]
    assert defaults.keys() == values.keys()
    assert {k: type(v) for k, v in defaults.items()} == {k: type(v) for k, v in values.items()}
    if profile == "smoke":
        assert defaults == values


@each_chapter
def test_the_cell_of_parameters_is_one(name):
    assert sum("parameters" in tags(cell) for cell in read_chapter(NOTEBOOKS, name).cells) == 1


@each_chapter
def test_chapters_need_what_they_say_and_no_more(name):
    """Artifacts a notebook speaks of are its own or those of the chapters it needs."""
    from tsgbook import chapters

    source = "\n".join(cell.source for cell in code_cells(read_chapter(NOTEBOOKS, name)))
    constants = re.findall(r"\bnames\.([A-Z_]+)\b", source)
    used = {maker_of(getattr(chapters, constant)) for constant in constants}
    used |= {"02_simulation"} if "series_name(" in source else set()
    chapter = next(chapter for chapter in CHAPTERS if chapter.name == name)
    assert used - {name} == set(chapter.needs)


def test_every_chapter_runs(smoke_run):
    assert smoke_run.outdated() == {}
    for chapter in CHAPTERS:
        notebook = nbformat.read(smoke_run.executed / f"{chapter.name}.ipynb", as_version=4)
        assert all(cell.execution_count for cell in code_cells(notebook) if cell.source.strip())
        assert notebook.metadata["tsg"]["profile"] == "smoke"


def test_executed_chapters_say_nothing_on_stderr_and_nothing_of_the_machine(smoke_run):
    for name in NAMES:
        path = smoke_run.executed / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        said = [o.text for c in code_cells(notebook) for o in c.outputs if o.get("name") == "stderr"]
        assert said == [], name
        assert str(ROOT) not in path.read_text() and "ipykernel_" not in path.read_text()


def test_artifacts_carry_what_made_them(smoke_run):
    names = smoke_run.store.names()
    assert {maker_of(name) for name in names} == {chapter.name for chapter in CHAPTERS if chapter.makes}
    for name in names:
        sidecar = smoke_run.store.provenance(name)
        assert smoke_run.store.path(name).exists()
        assert {"parameters", "inputs", "code", "versions", "duration_s", "made"} <= sidecar.keys()
        assert str(ROOT) not in json.dumps(sidecar)
