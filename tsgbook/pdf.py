"""The built book as one PDF file: every page as Chromium prints it, in the order of the table of contents."""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from tsg_core.errors import TsgError
from tsg_core.tools.files import replaced_when_whole

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# pictures that come into view late on a screen must be there on paper, and formulas set
READY = """async () => {
  document.querySelectorAll('img[loading=lazy]').forEach(image => { image.loading = 'eager'; });
  await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
  await document.fonts.ready;
  if (document.querySelector('script[src*=mathjax]')) await window.MathJax?.startup?.promise;
}"""
FOOTER = """<div style="width: 100%; font-size: 8px; text-align: center">
<span class="title"></span> · <span class="pageNumber"></span></div>"""
PAPER = {
    "format": "A4",
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": FOOTER,
    "margin": {"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
}
PATIENCE_ms = 180_000


def pages_of(toc: Path) -> list[str]:
    """Names of the book's pages in the order of `_toc.yml`, sections after their chapter."""
    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    chapters = [chapter for part in contents["parts"] for chapter in part["chapters"]]
    return [contents["root"], *(p["file"] for chapter in chapters for p in [chapter, *chapter.get("sections", [])])]


def print_book(html: Path, *, toc: Path, out: Path) -> Path:
    """Print the built pages in the folder `html` to one file `out`, with an outline and working links; returns it.

    Raises TsgError if there is no Chromium, or one of the packages of the extra `pdf` is missing.
    """
    try:
        from playwright.sync_api import sync_playwright
        from pypdf import PdfReader, PdfWriter
    except ImportError as error:
        raise TsgError(f"{error.name} is missing, which prints the book: pip install -e .[pdf]") from error
    executable, writer, first = chromium(), PdfWriter(), {}
    with served(html) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(color_scheme="light")
        page.set_default_timeout(PATIENCE_ms)
        page.emulate_media(media="print")
        for name in pages_of(toc):
            page.goto(f"{address}/{name}.html", wait_until="load")
            page.evaluate(READY)
            first[f"{address}/{name}.html"] = len(writer.pages)
            heading = page.locator("h1").first.text_content().rstrip("#¶ ")
            writer.append(PdfReader(BytesIO(page.pdf(**PAPER))), outline_item=heading)
        browser.close()
    for sheet in writer.pages:
        _link_within(sheet, first, writer, address=address)
    with replaced_when_whole(out, overwrite=True) as (partial,):
        writer.write(partial)
    return out


def chromium() -> str:
    """Path of the system's Chromium, or the one named by TSG_CHROMIUM. Raises TsgError if there is none."""
    executable = os.environ.get("TSG_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        raise TsgError(f"no browser found ({', '.join(CHROMIUM)}); name one by the variable TSG_CHROMIUM")
    return executable


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which this machine, and no other, can read the folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _link_within(sheet: Any, first: dict[str, int], writer: Any, *, address: str) -> None:
    """Lead links to other pages of the book to where these begin; those to files that are not in it lead nowhere."""
    from pypdf.generic import ArrayObject, NameObject

    for note in (reference.get_object() for reference in sheet.get("/Annots", [])):
        target = str(note.get("/A", {}).get("/URI", ""))
        if not target.startswith(address):
            continue
        del note[NameObject("/A")]
        place = first.get(target.split("#")[0])
        if place is not None:
            whole_sheet = [writer.pages[place].indirect_reference, NameObject("/Fit")]
            note[NameObject("/Dest")] = ArrayObject(whole_sheet)
