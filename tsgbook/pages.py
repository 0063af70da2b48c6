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
_CELL = re.compile(r"<td\b([^>]*)>([^<]*)</td>")
_CLASS = re.compile(r'class="')
_INTERVAL = re.compile(r"([-+]?\d[\d.,]*) \[([^\]]*)\]")
_SHORT, _LONG = 32, 90  # characters
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
                output.data["text/html"] = readable_table(output.data["text/html"])
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


def readable_table(html: str) -> str:
    """A table whose numbers stay in one piece, without empty headers, which a screen reader would announce."""
    return _CELL.sub(_readable_cell, _EMPTY_HEADER.sub(r"<td\1></td>", html))


def _readable_cell(match: re.Match) -> str:
    attributes, text = match[1], match[2].strip()
    if not _SHORT < len(text) < _LONG:
        width = "tsg-short" if len(text) <= _SHORT else "tsg-long"
        given = _CLASS.search(attributes)
        attributes = _CLASS.sub(f'class="{width} ', attributes, count=1) if given else f'{attributes} class="{width}"'
    text = _INTERVAL.sub(r'<span class="tsg-number">\1 [\2]</span>', text)
    return f"<td{attributes}>{text}</td>"


def without_bars(text: str) -> str:
    """Recorded output whose tables of Markdown are columns of plain text, as a terminal would show them."""
    lines, table = [], []
    for line in [*text.split("\n"), ""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
        else:
            lines += [*_columns(table), line]
            table = []
    return "\n".join(lines[:-1])


def _columns(table: list[list[str]]) -> list[str]:
    rows = [row for row in table if not all(set(cell) <= set(":-") for cell in row)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _note(output: NotebookNode) -> dict:
    return output.get("metadata", {}).get(NOTE, {})


def _tab(note: dict, pieces: list[str]) -> str:
    inside = "\n\n".join(pieces)
    return f":::::{{tab-item}} {note['tab']}\n:sync: {note['key']}\n\n{inside}\n:::::"


def _fenced(language: str, text: str) -> str:
    return f"```````{language}\n{text.rstrip()}\n```````"


def _width_px(png: bytes) -> int:
    return int.from_bytes(png[16:20], "big")
