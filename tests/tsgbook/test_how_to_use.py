"""The commands of the pages `how_to_use` and `another_crystal`, run as they stand there, at small size."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise

import ase.io
import nbformat
import pytest
import yaml
from ase.spacegroup import crystal
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tsg_core.errors import TsgError
from tsgbook.artifacts import Artifacts
from tsgbook.chapters import CHAPTERS
from tsgbook.cli import tsg
from tsgbook.notebook import parameter_defaults, read_chapter

PAGES = {page: (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8") for page in ("how_to_use", "another_crystal")}
SMALL_1 = ["-p", "n_training", 1, "-p", "n_validation", 1, "-p", "n_test", 1, "-y", "diameter_A: [7.0, 10.0]"]
SMALL_2 = ["-p", "n_pixels", 24, "-p", "field_of_view_A", 14.4, "-p", "tilt_step_deg", 7.5]


def commands(page, program):
    """The arguments of every call of a program on a page."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", PAGES[page], re.DOTALL)).replace("\\\n", " ")
    lines = [line for line in blocks.splitlines() if line.startswith(f"{program} ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def papermill(notebook, out, *options, cwd=ROOT):
    command = [sys.executable, "-m", "papermill", str(notebook), str(out), "-k", "python3", *map(str, options)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def up_to(notebook, heading, *, folder):
    """A copy of a notebook without the cells from a heading on."""
    whole = nbformat.read(notebook, 4)
    (end,) = [i for i, cell in enumerate(whole.cells) if cell.source.startswith(heading)]
    whole.cells = whole.cells[:end]
    part = folder / f"first_part_of_{notebook.name}"
    nbformat.write(whole, part)
    return part


@pytest.mark.parametrize("page", PAGES)
def test_papermill_sets_parameters_that_the_chapters_have(page):
    calls = commands(page, "papermill")
    assert len(calls) >= 3
    for source, _, *options in calls:
        name = source.split("notebooks/")[1].removesuffix(".ipynb")
        known = parameter_defaults(read_chapter(ROOT / "notebooks", name))
        for flag, key in pairwise(options):
            if flag in ("-p", "-y"):
                assert key.split(":")[0] in known, f"{name} has no parameter {key}"


@pytest.mark.parametrize("page", PAGES)
def test_options_and_settings_of_tsg_exist(page):
    names = {chapter.name for chapter in CHAPTERS}
    calls = commands(page, "tsg")
    assert len(calls) > 4
    for name, *rest in calls:
        options = {option for p in tsg.commands[name].params for option in (*p.opts, *p.secondary_opts)}
        assert all(word in options for word in rest if word.startswith("--"))
        settings = [value for flag, value in pairwise(rest) if flag == "--set"]
        for setting in settings:
            chapter, dot, key = setting.partition("=")[0].rpartition(".")
            holders = [chapter] if dot else names
            assert any(key in parameter_defaults(read_chapter(ROOT / "notebooks", c)) for c in holders), setting


@pytest.fixture(scope="module")
def titanate(tmp_path_factory):
    """A CIF file of a crystal of one's own, and a folder for the artifacts."""
    folder = tmp_path_factory.mktemp("own")
    atoms = crystal(["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221,
                    cellpar=[3.905, 3.905, 3.905, 90, 90, 90])  # fmt: skip
    atoms.write(folder / "srtio3.cif")
    return folder


@pytest.mark.chapters
def test_chapters_with_another_crystal_and_another_microscope(titanate):
    """Chapters 1, 2, 3 and 6 by papermill, from another folder; the last is not trained for this sample.

    It ends where it leaves this sample for those that the package ships."""
    store = ["-p", "artifacts", titanate / "artifacts"]
    calls = {
        "01_structures": [*SMALL_1, "-p", "structure_path", titanate / "srtio3.cif"],
        "02_simulation": [*SMALL_2, "-y", 'microscopes: ["mine: convergence_mrad=30, Cs_um=1"]'],
        "03_sparsity": ["-p", "gap", 2],
        "06_prediction": ["-y", "rates: [1]", "-y", "methods: [linear, reprojection]"],
    }
    sources = {name: ROOT / "notebooks" / f"{name}.ipynb" for name in calls}
    sources["06_prediction"] = up_to(sources["06_prediction"], "## Off its own model", folder=titanate)
    for name, options in calls.items():
        done = papermill(sources[name], titanate / f"{name}.ipynb", *store, *options, cwd=titanate)
        assert done.returncode == 0, f"{name}: {done.stderr[-1500:]}"
    (particle,) = ase.io.read(titanate / "artifacts" / "test_particles.extxyz", index=":")
    assert set(particle.get_chemical_symbols()) == {"Sr", "Ti", "O"}
    made = Artifacts(titanate / "artifacts")
    table = (made.path("frame_metrics") / "table.csv").read_text()
    assert "mine" in table and "aberrated" not in table
    recipe = made.provenance("test_mine.zarr")["parameters"]
    assert "30.0" in json.dumps(recipe)


@pytest.mark.chapters
def test_a_chapter_by_hand_says_in_one_line_what_is_missing(tmp_path):
    done = papermill(
        ROOT / "notebooks" / "03_sparsity.ipynb", tmp_path / "out.ipynb", "-p", "artifacts", tmp_path / "none"
    )
    assert done.returncode != 0
    failed = [o for c in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in c.get("outputs", []) if "ename" in o]
    (error,) = failed
    assert error.ename == TsgError.__name__ and "\n" not in error.evalue
    assert "microscopes.yaml is missing; chapter 02_simulation makes it: tsg run" in error.evalue


def test_the_conda_environment_asks_for_what_the_package_offers():
    """As far as this can be told without conda: Python, extras, and the file of constraints."""
    wanted = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (python,) = [item.split("=")[1] for item in wanted if isinstance(item, str) and item.startswith("python=")]
    assert SpecifierSet(project["requires-python"]).contains(f"{python}.5")
    (by_pip,) = [item["pip"] for item in wanted if isinstance(item, dict)]
    options = dict(line.split(maxsplit=1) for line in by_pip)
    assert (ROOT / options["-c"]).is_file()
    extras = options["-e"].removeprefix(".[").removesuffix("]").split(",")
    assert set(extras) <= project["optional-dependencies"].keys()


def test_what_is_installed_beside_the_package_is_pinned():
    """Every package of the extras lies in the file of constraints, at a version that the extra allows."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in ("book", "test", "lab"):
        for text in project["optional-dependencies"][extra]:
            requirement = Requirement(text)
            version = pinned.get(canonicalize_name(requirement.name))
            assert version and requirement.specifier.contains(version), f"{extra}: {text} is pinned at {version}"
