"""The first cell of every chapter: installs the project where it is missing, from the address in _config.yml.

`python -m tsgbook.first_cell` (make cells) writes it anew after the address was set.
"""

import json
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from jupytext.cli import jupytext as jupytext_command
from nbformat import NotebookNode

from .chapters import CHAPTERS
from .notebook import read_chapter, tags

TAG = "remove-cell"  # from the pages; notebooks keep it
INSTALLS = """\
# Installs the project where it is missing, as on Colab.
from importlib.util import find_spec

if find_spec("tsg_core") is None:
    import subprocess
    import sys
    from pathlib import Path

    address = {address}
    clone = ["git", "clone", "-q", "-b", {branch}, address, "tsg"]
    pip = [sys.executable, "-m", "pip", "install", "-q", "-e", "tsg[book]"]
    if not Path("tsg").exists():
        subprocess.run(clone, check=True)
    subprocess.run([*pip, "-c", "tsg/constraints.txt"], check=True)
    sys.path.insert(0, str(Path("tsg").resolve()))"""
STOPS = """\
# Stops where the project is missing.
from importlib.util import find_spec

if find_spec("tsg_core") is None:
    raise ModuleNotFoundError(
        "tsg_core is missing in this kernel; in a copy of the repository "
        "run: pip install -e .[book] -c constraints.txt"
    )"""


def first_cell(config: dict[str, Any]) -> str:
    """The code for a book with this _config.yml; without an address under `repository`, it says what to install."""
    repository = config.get("repository") or {}
    if not repository.get("url"):
        return STOPS
    return INSTALLS.format(address=json.dumps(repository["url"]), branch=json.dumps(repository.get("branch", "main")))


def with_first_cell(notebook: NotebookNode, code: str) -> NotebookNode:
    """The notebook with this code in its tagged first cell of code; one is added below the title if there is none."""
    place = next(k for k, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    if TAG in tags(notebook.cells[place]):
        notebook.cells[place].source = code
    else:
        notebook.cells.insert(1, nbformat.v4.new_code_cell(code, metadata={"tags": [TAG]}))
    return notebook


def write_first_cells(root: Path) -> None:
    """Write the cell to both halves of every chapter."""
    code = first_cell(yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8")))
    for chapter in CHAPTERS:
        path = root / "notebooks" / f"{chapter.name}.py"
        jupytext.write(with_first_cell(read_chapter(path.parent, chapter.name), code), path)
        jupytext_command(["--sync", "--quiet", str(path)])


if __name__ == "__main__":
    write_first_cells(Path(__file__).resolve().parent.parent)
