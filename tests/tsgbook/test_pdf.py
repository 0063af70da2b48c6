"""Pages printed to one file: all of them, in order, with an outline, pictures, and links that lead within the file."""

import sys

import pytest

from tsg_core.errors import TsgError
from tsgbook import pdf

PICTURE = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'><text y='20'>drawn</text></svg>"
PAGES = {
    "book/index": "<h1>Start#</h1><a href='../notebooks/01.html#there'>inside</a> <a href='01.txt'>a file</a>",
    "notebooks/01": "<h1>First</h1><div style='height: 300mm'></div><img loading=lazy src='late.svg' width=40>",
    "book/last": "<h1>Last</h1><a href='https://example.org/'>outside</a><p style='height: 20mm'>The end.</p>",
}


@pytest.fixture
def html(tmp_path):
    for name, body in PAGES.items():
        page = tmp_path / "html" / f"{name}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"<!doctype html><title>{name}</title><body>{body}</body>", encoding="utf-8")
    (tmp_path / "html" / "notebooks" / "late.svg").write_text(PICTURE, encoding="utf-8")
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\nparts:\n- chapters:\n  - file: notebooks/01\n    sections:\n    - file: book/last\n"
    )
    return tmp_path / "html"


@pytest.mark.browser
def test_pages_are_printed_in_order_with_outline_pictures_and_links(chromium, html, tmp_path):
    from pypdf import PdfReader

    book = PdfReader(pdf.print_book(html, toc=tmp_path / "_toc.yml", out=tmp_path / "book.pdf"))
    starts = {item.title: book.get_destination_page_number(item) for item in book.outline}
    assert starts == {"Start": 0, "First": 1, "Last": 3}
    text = [sheet.extract_text() for sheet in book.pages]
    assert "drawn" in text[2] and "The end." in text[3]
    links = [note.get_object() for sheet in book.pages for note in sheet.get("/Annots", [])]
    within = [note["/Dest"][0].get_object() for note in links if "/Dest" in note]
    assert within == [book.pages[1]]
    assert [note["/A"]["/URI"] for note in links if "/A" in note] == ["https://example.org/"]


def test_a_missing_browser_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("TSG_CHROMIUM", raising=False)
    with pytest.raises(TsgError, match="no browser found .*TSG_CHROMIUM"):
        pdf.chromium()


def test_a_missing_package_is_said_with_the_extra_that_brings_it(html, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(TsgError, match=r"pypdf is missing.*pip install -e \.\[pdf\]"):
        pdf.print_book(html, toc=tmp_path / "_toc.yml", out=tmp_path / "book.pdf")
