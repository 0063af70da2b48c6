"""A chapter as the pages show it: figures with captions and numbers, runs in tabs, tables for screen readers, too.

The outputs to which `tsgbook.figures.shown` added a note become MyST in a cell of text below their cell of code. All
others stay outputs.
"""

import base64
import copy
import json
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tsg_core.errors import TsgError

from .figures.shown import NOTE, PLOTLY, SLIDER

_EMPTY_HEADER = re.compile(r"<th\b([^>]*)>(\s|&nbsp;)*</th>")
_WIDE_px = 700  # wider pictures scroll on a phone instead of shrinking until nobody can read them


def for_pages(notebook: NotebookNode, *, name: str, pictures: Path, data: Path) -> NotebookNode:
    """The notebook of chapter `name` with noted outputs as MyST; files go to `pictures` and `data`.

    `pictures` is a folder beside the notebook. `data` holds what interactive figures load when they are looked at.
    """
    writer = _Writer(name, pictures, data)
    shown = copy.deepcopy(notebook)
    shown.cells = [part for cell in shown.cells for part in writer.parts(cell)]
    return shown


class _Writer:
    """Turns cells into cells of a page, and counts the figures of the chapter."""

    def __init__(self, name: str, pictures: Path, data: Path):
        self.chapter, self.pictures, self.data = name.split("_")[0], pictures, data
        self.figures = 0

    def parts(self, cell: NotebookNode) -> list[NotebookNode]:
        outputs = cell.get("outputs", [])
        for output in outputs:
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = without_empty_headers(output.data["text/html"])
        if not any(_note(output) for output in outputs):
            return [cell]
        cell.outputs = []
        return [cell, nbformat.v4.new_markdown_cell(self._text(outputs))]

    def _text(self, outputs: list[NotebookNode]) -> str:
        """The outputs as MyST; from the first that begins a tab on, all stand in tabs."""
        pieces, tabs = [], []
        for output in outputs:
            note = _note(output)
            if "tab" in note:
                tabs.append((note, []))
            elif "repeated" not in note:
                (tabs[-1][1] if tabs else pieces).append(self._piece(output, note))
        if tabs:
            pieces.append("\n".join(["::::::{tab-set}", *(_tab(note, inside) for note, inside in tabs), "::::::"]))
        return "\n\n".join(pieces)

    def _piece(self, output: NotebookNode, note: dict) -> str:
        if output.output_type == "stream":
            return _fenced("", output.text)
        if "caption" in note:
            return self._figure(output.data, note)
        if "text/html" in output.data:
            return f'```````{{raw}} html\n<div class="cell_output">\n{output.data["text/html"]}\n</div>\n```````'
        if "image/png" in output.data:
            raise TsgError(
                f"chapter {self.chapter}: a cell shows one picture with a caption and one without; show() both"
            )
        return output.data.get("text/markdown") or _fenced("", output.data["text/plain"])

    def _figure(self, data: dict, note: dict) -> str:
        self.figures += 1
        name = f"figure-{self.chapter}-{self.figures}"
        self.pictures.mkdir(parents=True, exist_ok=True)
        png = base64.b64decode(data["image/png"])
        (self.pictures / f"{name}.png").write_bytes(png)
        classes = ["tsg-figure"]
        for kind, mime in (("plotly", PLOTLY), ("slider", SLIDER)):
            if mime in data:
                classes.append(f"tsg-{kind}")
                self._write_data(name, kind, data[mime])
        if _width_px(png) > _WIDE_px:
            classes.append("tsg-wide")
        alt = json.dumps(note["alt"], ensure_ascii=False)
        options = f":name: {name}\n:alt: {alt}\n:figclass: {' '.join(classes)}"
        return f"```````{{figure}} {self.pictures.name}/{name}.png\n{options}\n\n{note['caption']}\n```````"

    def _write_data(self, name: str, kind: str, content: dict) -> None:
        """A script, since a page that is opened as a file may not load anything else."""
        self.data.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, separators=(",", ":"))
        (self.data / f"{name}.js").write_text(f'tsgFigure("{name}","{kind}",{text});\n', encoding="utf-8")


def without_empty_headers(html: str) -> str:
    """A table whose empty header cells are plain cells, which a screen reader does not announce as headers."""
    return _EMPTY_HEADER.sub(r"<td\1></td>", html)


def _note(output: NotebookNode) -> dict:
    return output.get("metadata", {}).get(NOTE, {})


def _tab(note: dict, pieces: list[str]) -> str:
    inside = "\n\n".join(pieces)
    return f":::::{{tab-item}} {note['tab']}\n:sync: {note['key']}\n\n{inside}\n:::::"


def _fenced(language: str, text: str) -> str:
    return f"```````{language}\n{text.rstrip()}\n```````"


def _width_px(png: bytes) -> int:
    return int.from_bytes(png[16:20], "big")
