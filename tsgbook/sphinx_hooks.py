"""Hooks of the book's Sphinx build: numbers of figures, headers of tables, docstrings read as Markdown, light pages."""

import re
from pathlib import Path

from docutils import nodes

from .slim import slim_pages

_CODE = re.compile(r"`+([^`]+)`+")
_SPECIAL = re.compile(r"\||_(?=\W|$)|(?<=\S)\*|\*(?! )")  # "* " opens an item of a list
_COLUMNS = re.compile(r"\S {3,}\S")
_CHAPTER = re.compile(r"notebooks/0*(\d+)_")


def setup(app) -> dict:
    app.connect("env-get-updated", number_figures, priority=900)  # after Sphinx's own numbers
    app.connect("doctree-read", drop_empty_headers)
    app.connect("autodoc-process-docstring", read_as_markdown)
    app.connect("build-finished", slim)
    app.config.mathjax_path = "mathjax/startup.js"  # loads the parts named in _config.yml, a third less than all
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def number_figures(app, env) -> list[str]:
    """Number the figures of chapter 6 as 6.1, 6.2 and so on, and those of all other pages as 1, 2 and so on."""
    others = 0
    for page, kinds in env.toc_fignumbers.items():
        chapter = _CHAPTER.match(page)
        for k, figure in enumerate(kinds.get("figure", {}), start=1):
            others += not chapter
            kinds["figure"][figure] = (int(chapter[1]), k) if chapter else (others,)
    return []


def drop_empty_headers(app, doctree) -> None:
    """Leave out the header of a table in which nothing stands."""
    for head in list(doctree.findall(nodes.thead)):
        if not head.astext().strip():
            head.parent.remove(head)


def slim(app, exception) -> None:
    """Reduce what the pages load to what they show."""
    if exception is None and app.builder.format == "html":
        slim_pages(Path(app.outdir))


def read_as_markdown(app, what, name, obj, options, lines: list[str]) -> None:
    """Turn a docstring with `code` and plain characters into equivalent reStructuredText.

    Paragraphs with aligned columns keep their line breaks.
    """
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    lines[:] = "\n\n".join(_literal(p) if _COLUMNS.search(p) else _escaped(p) for p in paragraphs).splitlines()


def _literal(paragraph: str) -> str:
    return "::\n\n" + "\n".join("   " + line for line in paragraph.splitlines())


def _escaped(paragraph: str) -> str:
    parts = _CODE.split(paragraph)  # text, code, text, code, ..., text
    text = [_SPECIAL.sub(r"\\\g<0>", part) for part in parts[::2]]
    code = [f"``{part}``" for part in parts[1::2]]
    return "".join(piece for pair in zip(text, [*code, ""], strict=True) for piece in pair)
