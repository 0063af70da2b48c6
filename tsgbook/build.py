"""Building the book: pages and executed chapters are staged in one folder, built and published whole."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml

from tsg_core.errors import TsgError
from tsg_core.tools.cluster import SLURM_FILE

from .chapters import CHAPTERS
from .live import write_live_data
from .notebook import INJECTED, tags
from .pages import for_pages, without_bars
from .status import PLACE, recorded_durations, status_tables, with_cost

ROOT = Path(__file__).resolve().parent.parent
STATIC = Path("book") / "_static"
DOWNLOADS = "downloads"  # in the stage: the notebooks that the pages offer
SERVICES = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def build_book(*, profile: str, artifacts: str | Path = "artifacts", out: str | Path = "_build") -> Path:
    """Build the HTML of the book from the executed notebooks in `artifacts`/`profile`/executed; returns its folder.

    Sphinx's warnings are errors. The HTML in `out`/html is replaced only when the new one is whole; the output of
    Sphinx goes to `out`/book.log. Raises TsgError for a chapter that has not been run, and for a build with warnings.
    """
    out = Path(out).resolve()
    stage = stage_book(profile=profile, artifacts=artifacts, stage=out / "stage")
    jupyter_book = "from jupyter_book.cli.main import main; main()"  # the script of that name need not be on the PATH
    command = [sys.executable, "-c", jupyter_book, "build", str(stage), "-W", "-n", "--keep-going"]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment())
    said = _COLOUR.sub("", done.stdout)
    log = out / "book.log"
    log.write_text(said)
    if done.returncode:
        raise TsgError(f"the book was not built: {_complaint(said, stage)}; everything said is in {log}")
    html = out / "html"
    if html.exists():
        shutil.rmtree(html)
    for notebook in (stage / DOWNLOADS).iterdir():  # readers download chapters as they were run
        shutil.copy(notebook, stage / "_build" / "html" / "_sources" / "notebooks" / notebook.name)
    (stage / "_build" / "html").rename(html)
    return html


def stage_book(*, profile: str, artifacts: str | Path, stage: Path) -> Path:
    """Copy the parts of the book to a fresh folder, laid out as in the repository."""
    if not (ROOT / "_config.yml").exists():
        raise TsgError(f"there are no pages in {ROOT}; install from a copy of the repository: pip install -e .[book]")
    executed = Path(artifacts) / profile / "executed"
    notebooks = [executed / f"{chapter.name}.ipynb" for chapter in CHAPTERS]
    for notebook in notebooks:
        if not notebook.exists():
            raise TsgError(
                f"chapter {notebook.stem} has not been run with profile {profile}: {notebook} is missing; "
                f"run it by: tsg run --profile {profile}"
            )
    if stage.exists():
        shutil.rmtree(stage)
    shutil.copytree(ROOT / "book", stage / "book")
    shutil.copy(SLURM_FILE, stage / "book" / "scale")
    for table in (stage / "book" / "speed").glob("*.txt"):
        table.write_text(without_bars(table.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(ROOT / "_toc.yml", stage / "_toc.yml")
    write_live_data(stage / STATIC / "live_data.js")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    (stage / "_config.yml").write_text(yaml.safe_dump(with_launch_buttons(config), sort_keys=False), encoding="utf-8")
    pages, downloads = stage / "notebooks", stage / DOWNLOADS
    pages.mkdir()
    downloads.mkdir()
    recorded_s, records = recorded_durations(ROOT / "book" / "results"), []
    for path in notebooks:
        notebook = with_cost(_for_readers(path), recorded_s=recorded_s.get(path.stem))
        records.append(notebook.metadata.get("tsg", {}))
        nbformat.write(notebook, downloads / path.name)
        page = for_pages(notebook, name=path.stem, pictures=pages / "figures", data=stage / STATIC / "figures")
        nbformat.write(page, pages / path.name)
    status = stage / "book" / "status.md"
    status.write_text(status.read_text(encoding="utf-8").replace(PLACE, status_tables(records)), encoding="utf-8")
    return stage


def with_launch_buttons(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with buttons for Binder and Colab on the chapters, if `repository` holds a `url`.

    They are links, which load nothing before a reader follows them.
    """
    repository = config.get("repository") or {}
    if not repository.get("url"):
        return config
    config = copy.deepcopy(config)
    config["sphinx"]["config"]["html_theme_options"] |= {
        "repository_url": repository["url"],
        "repository_branch": repository.get("branch", "main"),
        "path_to_docs": "",
        "launch_buttons": SERVICES,
    }
    return config


def _for_readers(source: Path) -> nbformat.NotebookNode:
    """The notebook without papermill's notes on where and when it ran, and with only this run's cell of parameters."""
    notebook = nbformat.read(source, as_version=4)
    injected = any(INJECTED in tags(cell) for cell in notebook.cells)
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)
    for cell in notebook.cells:
        if injected and "parameters" in tags(cell):
            cell.metadata["tags"] = [*tags(cell), "remove-cell"]
    return notebook


def _environment() -> dict[str, str]:
    """The environment in which Sphinx imports tsg_core from this checkout."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def _complaint(said: str, stage: Path) -> str:
    """The first warning or error in the output of Sphinx, else its last line."""
    lines = [line.strip().replace(f"{stage}{os.sep}", "") for line in said.splitlines() if line.strip()]
    marked = [line for line in lines if "WARNING" in line or "ERROR" in line or "Error" in line]
    return (marked or lines or ["no output"])[0]
