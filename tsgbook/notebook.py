"""A chapter's notebook as a document: reading the pair, detecting changes, storing an executed notebook."""

import ast
import copy
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from tsg_core.errors import TsgError
from tsg_core.tools.digests import digest_of
from tsg_core.tools.provenance import code_text, imported_modules, source_of

INJECTED = "injected-parameters"
_HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)


def read_chapter(folder: Path, name: str) -> NotebookNode:
    """The notebook of a chapter from its .py half, the reviewed one, or from its .ipynb if there is no other."""
    for suffix in (".py", ".ipynb"):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            notebook = jupytext.read(path)
            for i, cell in enumerate(notebook.cells):
                cell["id"] = f"cell-{i}"
            return notebook
    raise TsgError(f"{folder / name}.py is missing")


def in_step(folder: Path, name: str) -> bool:
    """Whether both halves of a pair hold the same cells, with equal sources, kinds and tags."""
    halves = [folder / f"{name}{suffix}" for suffix in (".py", ".ipynb")]
    if not all(path.is_file() for path in halves):
        return False
    try:
        first, second = (source_digest(jupytext.read(path)) for path in halves)
    except nbformat.reader.NotJSONError:
        return False
    return first == second


def source_digest(notebook: NotebookNode) -> str:
    """Hash of everything that a reader sees before execution."""
    return digest_of([[c.cell_type, c.source, c.metadata.get("tags", [])] for c in notebook.cells])


def code_texts(notebook: NotebookNode) -> list[str]:
    """What each code cell computes, regardless of comments and layout; the cell of parameters is left out."""
    return [_cell_text(cell.source) for cell in code_cells(notebook) if "parameters" not in tags(cell)]


def _cell_text(source: str) -> str:
    try:
        return code_text(ast.parse(source))
    except SyntaxError:  # a magic or a mistake
        return source.strip()


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells that an author wrote, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and INJECTED not in tags(cell)]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def modules_of(notebook: NotebookNode) -> set[str]:
    """Full names of the modules of this project that a notebook imports."""
    found = set()
    for cell in code_cells(notebook):
        try:
            found |= imported_modules(ast.parse(cell.source))
        except SyntaxError:
            found |= set(re.findall(r"\b(?:tsg_core|tsgbook)(?:\.\w+)+", cell.source))
    return {name for name in found if source_of(name)}


def parameter_defaults(notebook: NotebookNode) -> dict[str, object]:
    """Names and values in the cell tagged `parameters`."""
    defaults = {}
    for cell in code_cells(notebook):
        if "parameters" in tags(cell):
            for node in ast.parse(cell.source).body:
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                defaults.update({t.id: ast.literal_eval(node.value) for t in targets if isinstance(t, ast.Name)})
    return defaults


def with_parameters(notebook: NotebookNode, parameters: Mapping[str, Any]) -> NotebookNode:
    """The notebook with papermill's cell of these parameters added after its own."""
    from papermill.parameterize import parameterize_notebook

    notebook = copy.deepcopy(notebook)
    notebook.metadata["papermill"] = {}  # both as papermill sets them after reading a file
    for cell in notebook.cells:
        cell.metadata.setdefault("tags", [])
    return parameterize_notebook(notebook, dict(parameters), kernel_name="python3", language="python")


def place_of(notebook: NotebookNode, index: int) -> tuple[int, int]:
    """Number of the author's code cell that the cell at an index is, or follows, and the total number."""
    before = nbformat.v4.new_notebook(cells=notebook.cells[: index + 1])
    return len(code_cells(before)), len(code_cells(notebook))


def cell_title(notebook: NotebookNode, index: int) -> str:
    """The heading above a cell."""
    for cell in reversed(notebook.cells[: index + 1]):
        headings = _HEADING.findall(cell.source) if cell.cell_type == "markdown" else []
        if headings:
            return headings[-1]
    return ""


def refreshed(executed: NotebookNode, source: NotebookNode) -> NotebookNode:
    """The text and comments of the source with the outputs of an executed notebook that computes the same."""
    notebook = copy.deepcopy(source)
    notebook.metadata = executed.metadata
    for new, old in zip(code_cells(notebook), code_cells(executed), strict=True):
        new.outputs, new.execution_count = old.outputs, old.execution_count
    injected = [cell for cell in executed.cells if INJECTED in tags(cell)]
    place = next((i + 1 for i, cell in enumerate(notebook.cells) if "parameters" in tags(cell)), 0)
    notebook.cells[place:place] = injected
    return notebook


def write_executed(notebook: NotebookNode, path: Path, *, root: Path, record: dict[str, object]) -> None:
    """Write an executed notebook, whole, without times and machine paths, with `record` as its tsg metadata."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("papermill", None)
    notebook.metadata["tsg"] = record
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    text = without_paths(nbformat.writes(notebook), root)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


def without_paths(text: str, root: Path) -> str:
    """The text with the paths of the checkout, the environment and the home folder replaced by generic names."""
    # starts at a slash: a pattern that may start anywhere takes minutes on an embedded picture
    text = re.sub(r"(?:/[\w.-]+)*/ipykernel_\d+/\d+\.py", "cell", text)
    places = {str(root): "", os.path.realpath(root): "", sys.prefix: ".venv/", sys.base_prefix: "python/"}
    places |= {str(Path.home()): "~/"}
    for place in sorted(places, key=len, reverse=True):
        if len(place) > 1:
            inside = json.dumps(place)[1:-1]
            text = re.sub(rf"{re.escape(inside)}(/|(?![\w.-]))", lambda match, p=place: places[p], text)
    return text
