"""A chapter's notebook as a document: reading the pair, detecting changes, storing an executed notebook."""

import ast
import copy
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from tsg_core.errors import TsgError
from tsg_core.tools.digests import digest_of
from tsg_core.tools.files import replaced_when_whole
from tsg_core.tools.provenance import imported_names, source_of

INJECTED = "injected-parameters"
_HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)


def read_chapter(folder: Path, name: str) -> NotebookNode:
    """The notebook of a chapter from its .py half, the reviewed one."""
    path = folder / f"{name}.py"
    if not path.is_file():
        raise TsgError(f"{path} is missing")
    notebook = jupytext.read(path)
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i}"
    return notebook


def in_step(folder: Path, name: str) -> bool:
    """Whether both halves of a pair hold the same cells, with equal sources, kinds and tags."""
    try:
        first, second = (source_digest(jupytext.read(folder / f"{name}{suffix}")) for suffix in (".py", ".ipynb"))
    except (FileNotFoundError, nbformat.reader.NotJSONError):
        return False
    return first == second


def source_digest(notebook: NotebookNode) -> str:
    """Hash of everything that a reader sees before execution."""
    return digest_of([[c.cell_type, c.source, c.metadata.get("tags", [])] for c in notebook.cells])


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells that an author wrote, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and INJECTED not in tags(cell)]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def modules_of(notebook: NotebookNode) -> set[str]:
    """Full names of the modules of this project that a notebook imports."""
    from IPython.core.inputtransformer2 import TransformerManager

    found = set()
    for cell in code_cells(notebook):
        with suppress(SyntaxError):  # which shows when the cell runs
            without_magics = TransformerManager().transform_cell(re.sub(r"\A\s*%%.*", "", cell.source))
            found |= imported_names(ast.parse(without_magics))
    return {name for name in found if source_of(name)}


def parameter_defaults(notebook: NotebookNode) -> dict[str, object]:
    """Names and values in the cell tagged `parameters`."""
    source = "\n".join(cell.source for cell in code_cells(notebook) if "parameters" in tags(cell))
    assigned = [node for node in ast.parse(source).body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    names = [ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target) for node in assigned]
    return {name: ast.literal_eval(node.value) for name, node in zip(names, assigned, strict=True)}


def places(notebook: NotebookNode) -> dict[str, str]:
    """Where in the notebook each code cell is, by its id: its number and the heading above it."""
    found, heading = {}, ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = next((f' "{text}"' for text in reversed(_HEADING.findall(cell.source))), heading)
        elif cell.cell_type == "code":
            found[cell.id] = f"cell {len(found) + 1} of {len(code_cells(notebook))}{heading}"
    return found


def write_executed(notebook: NotebookNode, path: Path, *, root: Path, record: dict[str, object]) -> None:
    """Write an executed notebook, whole, without times and machine paths, with `record` as its tsg metadata."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("papermill", None)
    notebook.metadata["tsg"] = record
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    with replaced_when_whole(path, overwrite=True) as (partial,):
        partial.write_text(without_paths(nbformat.writes(notebook), root) + "\n", encoding="utf-8")


def without_paths(text: str, root: Path) -> str:
    """The text of a notebook with the paths of checkout, environment and home folder replaced by generic names."""
    # starts at a slash: a pattern that may start anywhere takes minutes on an embedded picture
    text = re.sub(r"(?:/[\w.-]+)*/ipykernel_\d+/\d+\.py", "cell", text)
    names = {str(root): "", os.path.realpath(root): "", sys.prefix: ".venv/", sys.base_prefix: "python/"}
    for place, name in sorted({**names, str(Path.home()): "~/"}.items(), key=lambda item: -len(item[0])):
        if len(place) > 1:
            text = re.sub(rf"{re.escape(json.dumps(place)[1:-1])}(/|(?![\w.-]))", lambda _, name=name: name, text)
    return text
