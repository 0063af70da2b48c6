"""Every page in a real browser: drawn without errors, light, within the screen, and accessible in light and dark."""

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import ROOT

from tsgbook.pdf import pages_of, served

WIDTHS = (1280, 390)
UNDRAWN = "figure:is(.tsg-plotly, .tsg-slider):not(.tsg-drawn), .plotly-graph-div:not(:has(.main-svg, canvas))"
# 3D figures are drawn by WebGL, in software where there is no graphics card
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--enable-unsafe-swiftshader",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host is reached
]
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
# Contrast is what takes time, and most of a page's text looks like other text of it: of all that looks alike in both
# themes, on the same backgrounds, one piece stays. What is hidden stands for nothing.
LEAVE_EACH_LOOK_ONCE = """() => {
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, box = element.getBoundingClientRect();
    const shown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (walker.currentNode.data.trim() && shown && box.width > 2 && box.height > 2) texts.push(walker.currentNode);
  }
  const theme = document.documentElement.dataset.theme;
  const looks = texts.map(() => '');
  for (const shade of ['dark', 'light']) {
    document.documentElement.dataset.theme = shade;
    const known = new Map([[null, '']]);
    const behind = element => {
      if (!known.has(element)) {
        const { backgroundColor, backgroundImage, opacity, filter } = getComputedStyle(element);
        const own = [backgroundColor, backgroundImage, opacity, filter].join();
        const below = behind(element.parentElement);
        known.set(element, own === 'rgba(0, 0, 0, 0),none,1,none' ? below : own + '|' + below);
      }
      return known.get(element);
    };
    texts.forEach((text, i) => {
      const { color, fontSize, fontWeight, textShadow } = getComputedStyle(text.parentElement);
      looks[i] += [color, fontSize, fontWeight, textShadow, behind(text.parentElement)].join('|');
    });
  }
  document.documentElement.dataset.theme = theme;
  const seen = new Set();
  texts.forEach((text, i) => {
    const element = text.parentElement;
    if (!seen.has(looks[i])) seen.add(looks[i]);
    else if (element.childNodes.length > 1) text.data = '';
    else element.remove();
  });
}"""
# words of code, thousands on a page, have no roles
MERGE_WORDS = """() => {
  window.words = [...document.querySelectorAll('.highlight pre')].map(code => [code, [...code.childNodes]]);
  for (const [code] of window.words) code.textContent = code.textContent;
}"""
PART_WORDS = "() => { for (const [code, nodes] of window.words) code.replaceChildren(...nodes); }"
# Chromium may keep the lines of code as they were broken for the screen
LAY_OUT_ANEW = "document.body.style.display = 'none'; document.body.offsetHeight; document.body.style.display = ''"
BROKEN_NUMBERS = (
    """cells => cells.filter(c => c.offsetParent && c.getClientRects().length > 1).map(c => c.textContent)"""
)


@pytest.fixture(scope="session")
def tab(chromium):
    """One tab of the system's Chromium, driven by playwright, for all pages: a new one for each takes a third more."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        tab = browser.new_page()
        tab.set_default_timeout(PATIENCE_ms)
        yield tab
        browser.close()


@pytest.fixture(scope="session")
def address(built_book):
    """The book, served on this machine."""

    with served(built_book) as address:
        yield address


@dataclass
class Visit:
    """A page, scrolled to its end and back, with the addresses outside that it asked for, its errors and its files."""

    name: str
    width: int
    page: Any
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)


@pytest.fixture(
    scope="module",
    params=[(name, width) for name in [*pages_of(ROOT / "_toc.yml"), "search", "genindex"] for width in WIDTHS],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def visit(request, tab, address):
    from playwright import sync_api

    name, width = request.param
    found = Visit(name, width, tab)

    def ask(request):
        if request.url.startswith(address):
            found.files.add(urlsplit(request.url).path.lstrip("/"))
        elif not request.url.startswith(("data:", "blob:")):  # unpacked by the page itself
            found.outside.append(request.url)

    heard = {
        "request": ask,
        "console": lambda message: found.errors.append(message.text) if message.type == "error" else None,
        "pageerror": lambda error: found.errors.append(str(error)),
    }
    tab.goto("about:blank")  # nothing of the page before is still on its way
    tab.set_viewport_size({"width": width, "height": 900})
    for event, hear in heard.items():
        tab.on(event, hear)
    tab.goto(f"{address}/{name}.html", wait_until="load")
    if tab.locator("script[src*=mathjax]").count():
        tab.wait_for_function("window.MathJax?.startup?.promise !== undefined")
        tab.evaluate("MathJax.startup.promise")
    for figure in tab.locator("figure:is(.tsg-plotly, .tsg-slider)").all():
        figure.scroll_into_view_if_needed()
    with contextlib.suppress(sync_api.TimeoutError):
        tab.wait_for_function(f"!document.querySelector('{UNDRAWN}')", timeout=PATIENCE_ms)
    tab.evaluate("window.scrollTo(0, 0)")
    tab.add_style_tag(content="* { transition: none !important; }")  # colours in between are nobody's
    yield found
    for event, hear in heard.items():
        tab.remove_listener(event, hear)


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
def test_page_is_light(visit, built_book):
    size = {name: (built_book / name).stat().st_size for name in visit.files}
    limit = CHAPTER_BYTES if visit.name.startswith("notebooks/") else TEXT_BYTES
    assert sum(size.values()) <= limit, f"{visit.name} loads {sorted(size.items(), key=lambda item: -item[1])[:5]}"


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


def serious(page, options):
    """The serious and critical violations that axe finds."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.browser
def test_page_is_accessible(visit):
    """By all rules of axe but that on contrast, which the next test asks."""
    visit.page.evaluate(MERGE_WORDS)
    found = serious(visit.page, {"rules": {"color-contrast": {"enabled": False}}})
    visit.page.evaluate(PART_WORDS)
    assert found == []


@pytest.mark.browser
def test_text_stands_out_in_light_and_dark(visit):
    """Comes last, since it empties the page of text that looks like other text."""
    if visit.width != WIDTHS[0]:
        pytest.skip("the colours are those of the wide page")
    visit.page.evaluate(LEAVE_EACH_LOOK_ONCE)
    for theme in ("light", "dark"):
        visit.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        assert serious(visit.page, {"runOnly": {"type": "rule", "values": ["color-contrast"]}}) == [], theme


@pytest.mark.browser
def test_code_that_scrolls_is_reached_by_keyboard_after_printing(tab, address):
    """The theme measures again whenever the page changes; on paper no code scrolls."""
    code = "[...document.querySelectorAll('.bd-article .highlight pre')]"
    tab.set_viewport_size({"width": WIDTHS[1], "height": 900})
    tab.goto(f"{address}/book/how_to_use.html", wait_until="load")
    tab.emulate_media(media="print")
    tab.evaluate("document.getElementById('main-content').append(document.createElement('i'))")
    tab.wait_for_function(f"{code}.every(block => block.tabIndex < 0)")
    tab.emulate_media(media="screen")
    scrolls = f"{code}.filter(block => block.scrollWidth > block.clientWidth + 1)"
    assert tab.evaluate(f"{scrolls}.length") > 0
    assert tab.evaluate(f"{scrolls}.filter(block => block.tabIndex < 0).length") == 0
