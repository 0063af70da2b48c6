"""Every page in a real browser: drawn without errors, light, within the screen, and accessible in light and dark."""

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from tsgbook.pdf import pages_of, served

WIDTHS = (1280, 390)
UNDRAWN = "figure:is(.tsg-plotly, .tsg-slider):not(.tsg-drawn), .plotly-graph-div:not(:has(.main-svg, canvas))"
# 3D figures are drawn by WebGL, in software where there is no graphics card
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-unsafe-swiftshader"]
TEXT_BYTES, CHAPTER_BYTES = 1.5e6, 4e6  # what a page may load, scrolled to its end
PATIENCE_ms = 180_000  # a busy machine draws slowly; how fast is not what these tests ask
TABLES = ".bd-article table:not(.indextable, .modindextable, .field-list)"
# how far each table reaches beyond the box that scrolls it, and whether its first column stays where it is
BESIDE_THEIR_BOX = """tables => tables.filter(t => t.offsetParent).map(table => {
  const box = table.closest('.cell_output, .pst-scrollable-table-container') || table.parentElement;
  const scrolls = table.scrollWidth > box.clientWidth + 1;
  const first = table.querySelector('tbody tr > :first-child') || table;
  return {
    name: table.textContent.trim().slice(0, 60),
    cut: scrolls && !['auto', 'scroll'].includes(getComputedStyle(box).overflowX),
    frozen: !scrolls || getComputedStyle(first).position === 'sticky',
  };
}).filter(t => t.cut || !t.frozen)"""
# words of highlighted code: thousands on a page, in a few colours
LEAVE_EACH_COLOUR_ONCE = """() => {
  const seen = new Set();
  for (const word of document.querySelectorAll('.highlight pre span')) {
    const block = word.closest('div[class*=highlight-]') || word.closest('.highlight');
    const kind = [word, word.parentElement, block].map(e => e.className + e.style.cssText).join('|');
    if (seen.has(kind)) word.remove(); else seen.add(kind);
  }
}"""
# Chromium may keep the lines of code as they were broken for the screen
LAY_OUT_ANEW = "document.body.style.display = 'none'; document.body.offsetHeight; document.body.style.display = ''"
BROKEN_NUMBERS = (
    """cells => cells.filter(c => c.offsetParent && c.getClientRects().length > 1).map(c => c.textContent)"""
)


@pytest.fixture(scope="session")
def browser(chromium):
    """The system's Chromium, driven by playwright."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(built_book):
    """The book, served on this machine."""

    with served(built_book) as address:
        yield address


@dataclass
class Visit:
    """A page, scrolled to its end and back, with the addresses outside that it asked for, its errors and its weight."""

    name: str
    width: int
    page: Any
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    loaded: int = 0


@pytest.fixture(
    scope="module",
    params=[(name, width) for name in [*pages_of(ROOT / "_toc.yml"), "search", "genindex"] for width in WIDTHS],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def visit(request, browser, address):
    from playwright import sync_api

    name, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_ms)
    found = Visit(name, width, page)

    def within(route):
        if route.request.url.startswith(address) or route.request.url.startswith(("data:", "blob:")):
            route.continue_()
        else:
            found.outside.append(route.request.url)
            route.abort()

    def weigh(response):
        if not response.url.startswith("blob:"):  # unpacked by the page itself
            found.loaded += int(response.headers.get("content-length", 0))

    context.route("**/*", within)
    page.on("response", weigh)
    page.on("console", lambda message: found.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.goto(f"{address}/{name}.html", wait_until="load")
    if page.locator("script[src*=mathjax]").count():
        page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
        page.evaluate("MathJax.startup.promise")
    for figure in page.locator("figure:is(.tsg-plotly, .tsg-slider)").all():
        figure.scroll_into_view_if_needed()
    with contextlib.suppress(sync_api.TimeoutError):
        page.wait_for_function(f"!document.querySelector('{UNDRAWN}')", timeout=PATIENCE_ms)
    page.evaluate("window.scrollTo(0, 0)")
    page.add_style_tag(content="* { transition: none !important; }")  # colours in between are nobody's
    yield found
    context.close()


@pytest.mark.browser
def test_page_is_drawn_without_errors(visit):
    page = visit.page
    if folder := os.environ.get("TSG_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{Path(visit.name).name}-{visit.width}.png", full_page=True)
    assert visit.outside == []
    assert visit.errors == []
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
    assert not re.search(r"\\[(\[]|\$\$|\$[a-zA-Z]", prose)
    broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    assert broken == []


@pytest.mark.browser
def test_nothing_reaches_beyond_the_screen_or_its_box(visit):
    page = visit.page
    spill = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert spill <= 1, f"the page is {spill} px wider than the screen"
    assert page.locator(TABLES).evaluate_all(BESIDE_THEIR_BOX) == []
    assert page.locator(".tsg-number").evaluate_all(BROKEN_NUMBERS) == []


@pytest.mark.browser
def test_page_is_light(visit):
    limit = CHAPTER_BYTES if visit.name.startswith("notebooks/") else TEXT_BYTES
    assert visit.loaded <= limit, f"{visit.name} loads {visit.loaded / 1e6:.2f} MB"


@pytest.mark.browser
def test_paper_shows_still_pictures_and_every_tab(visit):
    page = visit.page
    page.emulate_media(media="print")
    page.evaluate(LAY_OUT_ANEW)
    try:
        assert page.locator(":is(.plotly-graph-div, .tsg-frames):visible").count() == 0
        moving = page.locator("figure:is(.tsg-plotly, .tsg-slider)")
        assert page.locator("figure img.tsg-still:visible").count() == moving.count()
        assert page.locator(".sd-tab-content:visible").count() == page.locator(".sd-tab-content").count()
        cut = "blocks => blocks.filter(b => b.offsetParent && b.scrollWidth > b.clientWidth + 2).length"
        assert page.locator(".bd-article pre").evaluate_all(cut) == 0
    finally:
        page.emulate_media(media="screen")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_is_accessible(visit, theme):
    """No serious or critical violation of the rules of axe: colours at the width of a desk, all others once a width.

    Comes last, since it empties the page of code that is coloured like other code."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    if visit.width != WIDTHS[0] and theme == "dark":
        pytest.skip("the colours are those of the wide page")
    rules = {} if theme == "light" else {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    if visit.width != WIDTHS[0]:
        rules = {"rules": {"color-contrast": {"enabled": False}}}
    visit.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    visit.page.evaluate(LEAVE_EACH_COLOUR_ONCE)
    found = axe.Axe().run(visit.page, options={"resultTypes": ["violations"], **rules}).response["violations"]
    serious = [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []
