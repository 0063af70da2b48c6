"""The built book, in its files and in a real browser: nothing from other hosts, no errors, everything drawn."""

import contextlib
import http.server
import os
import re
import shutil
import threading
from functools import partial
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

from tsg_core.errors import TsgError
from tsgbook.build import ROOT, stage_book
from tsgbook.chapters import CHAPTERS
from tsgbook.sphinx_hooks import read_as_markdown

SCREENSHOTS = ROOT / "artifacts" / "screenshots"
WIDTHS = (1280, 390)
# attributes whose target a browser loads by itself
LOADED = {"link": "href", **dict.fromkeys(["script", "img", "iframe", "source", "video", "audio"], "src")}
UNDRAWN = ".plotly-graph-div:not(:has(.main-svg, canvas))"
# 3D figures are drawn by WebGL, in software where there is no graphics card
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-unsafe-swiftshader"]


def pages_in_toc():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *(page["file"] for chapter in chapters for page in [chapter, *chapter.get("sections", [])])]


# --- the files -----------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


@pytest.fixture(scope="session")
def tags(built_book):
    """Tags of every page, by the page's path."""
    pages = [page for page in sorted(Path(built_book).rglob("*.html")) if "_static" not in page.parts]
    return {page: Tags(page.read_text()).tags for page in pages}


def test_every_chapter_and_page_is_in_the_contents():
    pages = pages_in_toc()
    assert [p for p in pages if p.startswith("notebooks/")] == [f"notebooks/{c.name}" for c in CHAPTERS]
    written = [file.relative_to(ROOT).with_suffix("").as_posix() for file in (ROOT / "book").rglob("*.md")]
    assert sorted(page for page in pages if page.startswith("book/")) == sorted(written)


def test_every_page_is_built(tags, built_book):
    built = {str(page.relative_to(built_book).with_suffix("")) for page in tags}
    assert built >= set(pages_in_toc()) | {"index", "search", "genindex"}


def test_pages_load_nothing_from_other_hosts(tags):
    for page, found in tags.items():
        for tag, attributes in found:
            target = attributes.get(LOADED.get(tag), "") or ""
            if tag == "link" and attributes.get("rel") == "canonical":
                continue
            assert not re.match(r"(https?:)?//", target), f"{page.name}: <{tag}> loads {target}"
        assert not re.search(r"unpkg|jsdelivr|cdnjs|googleapis|gstatic", page.read_text()), page.name


def test_style_sheets_load_nothing_from_other_hosts(built_book):
    for sheet in Path(built_book).rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text()), sheet.name


def test_links_within_the_book_lead_somewhere(tags, built_book):
    for page, found in tags.items():
        for tag, attributes in found:
            target = attributes.get("href" if tag in ("a", "link") else LOADED.get(tag)) or ""
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            file = (page.parent / unquote(parts.path)).resolve()
            assert file.exists() and file.is_relative_to(built_book), f"{page.name}: {target} leads nowhere"


def test_plotly_is_loaded_once_and_only_where_it_is_used(tags):
    for page, found in tags.items():
        loads = [i for i, (tag, a) in enumerate(found) if tag == "script" and "plotly.min.js" in (a.get("src") or "")]
        figures = [i for i, (_, a) in enumerate(found) if "plotly-graph-div" in (a.get("class") or "")]
        assert len(loads) == bool(figures), page.name
        assert not figures or loads[0] < figures[0]
        assert not any({"defer", "async"} & found[i][1].keys() for i in loads)


def test_no_machine_path_is_published(built_book):
    for file in Path(built_book).rglob("*"):
        if file.suffix in (".html", ".ipynb") and "_static" not in file.parts:
            text = file.read_text()
            assert str(ROOT) not in text and str(Path.home()) + os.sep not in text, file.name
            assert '"papermill"' not in text, file.name


def test_each_package_has_a_page_of_its_public_names():
    """Every package but those for the command alone, and no module that is not there."""
    pages = {path: path.read_text() for path in (ROOT / "book" / "api").glob("*.md")}
    named = {module for text in pages.values() for module in re.findall(r"automodule:: (\S+)", text)}
    assert all(import_module(module).__doc__ for module in named)
    packages = {path.parent.name for path in (ROOT / "tsg_core").glob("*/__init__.py")} - {"tools", "commands"}
    assert packages == {module.split(".")[1] for module in named} & packages
    listed = (ROOT / "book" / "api" / "index.md").read_text()
    assert all(f"({path.name})" in listed for path in pages if path.name != "index.md")


# --- staging -------------------------------------------------------------------------------------------------------


@pytest.fixture
def executed(tmp_path):
    """A folder of artifacts whose profile `tiny` has every chapter executed."""
    folder = tmp_path / "artifacts" / "tiny" / "executed"
    folder.mkdir(parents=True)
    for chapter in CHAPTERS:
        notebook = nbformat.v4.new_notebook(metadata={"papermill": {"input_path": "/home/someone"}})
        nbformat.write(notebook, folder / f"{chapter.name}.ipynb")
    return tmp_path / "artifacts"


def test_staging_brings_everything_and_no_paths(executed, tmp_path):
    stage = stage_book(profile="tiny", artifacts=executed, stage=tmp_path / "stage")
    for page in pages_in_toc():
        assert list(stage.glob(page + ".*")), page
    assert (stage / "book/_static/plotly.min.js").stat().st_size > 1e6
    assert "someone" not in (stage / f"notebooks/{CHAPTERS[0].name}.ipynb").read_text()


def test_a_chapter_that_was_not_run_is_named(executed, tmp_path):
    (executed / "tiny" / "executed" / f"{CHAPTERS[4].name}.ipynb").unlink()
    with pytest.raises(TsgError, match=f"chapter {CHAPTERS[4].name} has not been run.*tsg run --profile tiny"):
        stage_book(profile="tiny", artifacts=executed, stage=tmp_path / "stage")
    assert not (tmp_path / "stage").exists()


def test_docstrings_are_read_as_markdown():
    lines = ["The probe |psi|^2 of `a_*` and n_, *not* 2 * 3.", "", "* one", "* two", "", "frames    (n, y)", "x_  z"]
    read_as_markdown(None, "function", "f", None, None, lines)
    assert lines[0] == r"The probe \|psi\|^2 of ``a_*`` and n\_, \*not\* 2 * 3."
    assert lines[2:4] == ["* one", "* two"]
    assert lines[5:] == ["::", "", "   frames    (n, y)", "   x_  z"]


# --- the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser():
    """The system's Chromium, driven by playwright."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = os.environ.get("TSG_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        reason = f"no browser found ({', '.join(names)}); name one by TSG_CHROMIUM"
        pytest.fail(reason) if os.environ.get("TSG_REQUIRE_BROWSER") else pytest.skip(reason)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(built_book):
    """The book, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built_book))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def visit(browser, address):
    """Opens a page at a width; returns it with the addresses outside that it asked for, and its errors."""
    from playwright import sync_api

    contexts = []

    def open_page(name, width):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        outside, errors = [], []

        def within(route):
            if route.request.url.startswith(address) or route.request.url.startswith(("data:", "blob:")):
                route.continue_()
            else:
                outside.append(route.request.url)
                route.abort()

        context.route("**/*", within)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/{name}.html", wait_until="load")
        if page.locator("script[src*=mathjax]").count():
            page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
            page.evaluate("MathJax.startup.promise")
        with contextlib.suppress(sync_api.TimeoutError):
            page.wait_for_function(f"!document.querySelector('{UNDRAWN}')", timeout=15_000)
        return page, outside, errors

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*pages_in_toc(), "search", "genindex"])
def test_page_in_a_browser(visit, name, width):
    page, outside, errors = visit(name, width)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{Path(name).name}-{width}.png", full_page=True)
    assert outside == []
    assert errors == []
    assert page.locator(UNDRAWN).count() == 0
    # plotly shows this in place of a 3D figure that it cannot draw
    assert page.locator(".no-webgl:visible").count() == 0
    assert page.locator("mjx-container").count() >= page.locator(".math").count()
    assert page.locator("mjx-merror").count() == 0
    prose = page.evaluate(
        "(() => { const copy = document.querySelector('article, main').cloneNode(true);"
        " copy.querySelectorAll('pre, code, script, mjx-container').forEach(e => e.remove());"
        " return copy.textContent; })()"
    )
    assert not re.search(r"\\[(\[]|\$\$", prose)
    broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    assert broken == []
    spill = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert spill <= 1, f"the page is {spill} px wider than the screen"
