"""Two hooks for the book's Sphinx build: plotly.js on pages with interactive figures, docstrings read as Markdown."""

import re

_CODE = re.compile(r"`+([^`]+)`+")
_SPECIAL = re.compile(r"\||_(?=\W|$)|(?<=\S)\*|\*(?! )")  # "* " opens an item of a list
_COLUMNS = re.compile(r"\S {3,}\S")


def setup(app) -> dict:
    app.connect("html-page-context", load_plotly)
    app.connect("autodoc-process-docstring", read_as_markdown)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def load_plotly(app, pagename, templatename, context, doctree) -> None:
    """Load the book's own plotly.js in the head of pages that show a plotly figure."""
    if "plotly-graph-div" in context.get("body", ""):
        app.add_js_file("plotly.min.js", priority=100)


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
