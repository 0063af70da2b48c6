"""What a built page loads, reduced to what it shows.

The theme loads 1.5 MB of JavaScript that draws each icon as SVG, and fonts that draw the same icons: the pages keep the
fonts, with the icons in use. It loads the index of the search on every page, for a search while typing that this book
does not use: only the page of the search keeps it. Plotly is compressed; `book.js` unpacks it.
"""

import base64
import gzip
import re
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

_ICON_SCRIPT = re.compile(r"\s*<(script|link)[^>]*scripts/fontawesome\.js[^>]*>(</script>)?")
_SEARCH = re.compile(r"\s*<script[^>]*(searchtools|language_data|searchindex)\.js[^>]*></script>")
_PARAMETERS = re.compile(r"<dl>\s*(<dd><em class=\"sig-param.*?)</dl>", re.DOTALL)
_EMPTY_HEADER = re.compile(r"<th\b([^>]*)>(?:\s|<p>\s*</p>)*</th>")
_UNNAMED = re.compile(r'<summary>(?=<span class="toctree-toggle")')
_NAME = re.compile(r"\bfa-[a-z0-9-]+")
_RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:{1,2}before,?)+)\{content:"\\([0-9a-f]+)"\}')
_CODE = re.compile(r'"\\(f[0-9a-f]{3})"')
_WOFF2 = re.compile(r'url\([^)]*webfonts/[^)]*\.woff2\)\s*format\("woff2"\),')


def slim_pages(html: Path) -> None:
    """Reduce fonts, scripts and style sheet of the built pages in `html` to what is in use."""
    static = html / "_static"
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    pages = [page for page in html.rglob("*.html") if static not in page.parents]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    scripts = [s.read_text(encoding="utf-8") for s in static.rglob("*.js") if s.name != "fontawesome.js"]
    used = {name for text in (*texts.values(), *scripts) for name in _NAME.findall(text)}
    style, codes = _reduced(sheet.read_text(encoding="utf-8"), used)
    others = [s.read_text(encoding="utf-8") for s in static.rglob("*.css") if s != sheet]
    codes |= {int(code, 16) for text in others for code in _CODE.findall(text)}
    sheet.write_text(_WOFF2.sub("", style), encoding="utf-8")
    for font in (static / "vendor" / "fontawesome" / "webfonts").glob("*"):
        if font.suffix == ".ttf":
            _reduce_font(font, codes)
        else:
            font.unlink()
    for page, text in texts.items():
        page.write_text(_slim(text, search=page.name == "search.html"), encoding="utf-8")
    for leftover in (static / "scripts").glob("fontawesome.js*"):
        leftover.unlink()
    for library in static.glob("plotly-*.min.js"):
        packed = base64.b64encode(gzip.compress(library.read_bytes(), mtime=0)).decode()
        library.with_name(library.name.replace(".min.", ".packed.")).write_text(f'tsgUnpack("{packed}")', "ascii")
        library.unlink()


def _slim(page: str, *, search: bool) -> str:
    # Sphinx writes a signature of several lines as a list of definitions without terms
    page = _PARAMETERS.sub(lambda m: re.sub(r"<(/?)dd>", r"<\1div>", f'<div class="sig-parts">{m[1]}</div>'), page)
    # the entries of a list of references are no list items to a screen reader, so that their frame must be no list
    page = page.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    page = _EMPTY_HEADER.sub(r"<td\1></td>", page)
    page = _UNNAMED.sub('<summary aria-label="Pages below this one">', _ICON_SCRIPT.sub("", page))
    return page if search else _SEARCH.sub("", page)


def _reduced(style: str, used: set[str]) -> tuple[str, set[int]]:
    """The style sheet without the rules of unused icons, and the characters of all others."""
    kept = set()

    def rule(match: re.Match) -> str:
        if not used & set(_NAME.findall(match[1])):
            return ""
        kept.add(int(match[2], 16))
        return match[0]

    reduced = _RULE.sub(rule, style)
    return reduced, kept | {int(code, 16) for code in _CODE.findall(reduced)}


def _reduce_font(path: Path, codes: set[int]) -> None:
    with TTFont(path) as font:
        maker = subset.Subsetter(subset.Options(hinting=False, notdef_outline=True))
        maker.populate(unicodes=codes)
        maker.subset(font)
        font.save(path.with_suffix(".partial"))
    path.with_suffix(".partial").replace(path)
