"""The built book in its files, and how it is staged: nothing from other hosts, every link leads somewhere."""

import base64
import gzip
import os
import re
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from book_pages import Tags

from tsg_core.errors import TsgError
from tsgbook.build import ROOT, SERVICES, stage_book, with_launch_buttons
from tsgbook.chapters import CHAPTERS
from tsgbook.pdf import pages_of
from tsgbook.sphinx_hooks import read_as_markdown

# attributes whose target a browser loads by itself
LOADED = {"link": "href", **dict.fromkeys(["script", "img", "iframe", "source", "video", "audio"], "src")}
FILE_NAME = re.compile(r"\.(png|jpe?g|svg|gif)$")


# --- the files -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tags(built_book):
    """Tags of every page, by the page's path."""
    pages = [page for page in sorted(Path(built_book).rglob("*.html")) if "_static" not in page.parts]
    return {page: Tags(page.read_text()).tags for page in pages}


def test_every_chapter_and_page_is_in_the_contents():
    pages = pages_of(ROOT / "_toc.yml")
    assert [p for p in pages if p.startswith("notebooks/")] == [f"notebooks/{c.name}" for c in CHAPTERS]
    written = [file.relative_to(ROOT).with_suffix("").as_posix() for file in (ROOT / "book").rglob("*.md")]
    assert sorted(page for page in pages if page.startswith("book/")) == sorted(written)


def test_every_page_is_built(tags, built_book):
    built = {str(page.relative_to(built_book).with_suffix("")) for page in tags}
    assert built >= set(pages_of(ROOT / "_toc.yml")) | {"index", "search", "genindex"}


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


def test_plotly_waits_until_a_figure_is_looked_at(tags, built_book):
    """No page loads it by itself; the copy is that of the version that drew the figures."""
    for page, found in tags.items():
        assert not [a for tag, a in found if tag == "script" and "plotly" in (a.get("src") or "")], page.name
    packed = (built_book / "_static" / "plotly-gl3d.packed.js").read_text().split('"')[1]
    stated = gzip.decompress(base64.b64decode(packed))[:400].decode()
    full = (files("plotly") / "package_data" / "plotly.min.js").read_text()[:400]
    assert re.search(r"v[0-9.]+", stated)[0] == re.search(r"v[0-9.]+", full)[0]


def test_every_picture_is_a_numbered_figure_and_said_in_words(tags, built_book):
    for page, found in tags.items():
        pictures = [a for tag, a in found if tag == "img" and "_images/" in a["src"]]
        for picture in pictures:
            alt = picture.get("alt") or ""
            assert len(alt) > 25 and not FILE_NAME.search(alt), f"{page.name}: {picture['src']} says {alt!r}"
        text = page.read_text()
        assert text.count("<figure ") == text.count('<span class="caption-number">') >= len(pictures), page.name


def test_figures_of_a_chapter_carry_its_number(built_book):
    numbers = re.findall(r'caption-number">Figure ([\d.]+)', (built_book / "notebooks/01_structures.html").read_text())
    assert numbers == [f"1.{k}" for k in range(1, len(numbers) + 1)] and len(numbers) >= 4


def test_what_moves_has_its_data_and_a_still_picture(tags, built_book):
    moving = 0
    for page, found in tags.items():
        for k, (tag, attributes) in enumerate(found):
            kinds = (attributes.get("class") or "").split()
            if tag == "figure" and {"tsg-plotly", "tsg-slider"} & set(kinds):
                moving += 1
                assert (built_book / "_static" / "figures" / f"{attributes['id']}.js").stat().st_size < 2e6, page.name
                assert "img" in [name for name, _ in found[k : k + 3]], page.name
    assert moving >= 5


def test_readers_download_the_chapter_with_its_own_outputs(built_book):
    for chapter in CHAPTERS:
        notebook = nbformat.read(built_book / "_sources" / "notebooks" / f"{chapter.name}.ipynb", as_version=4)
        kinds = {kind for cell in notebook.cells for o in cell.get("outputs", []) for kind in o.get("data", {})}
        assert "image/png" in kinds, chapter.name
        assert not any("{figure}" in cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_tables_have_no_empty_headers(tags):
    for page in tags:
        assert not re.search(r"<th\b[^>]*>(\s|&nbsp;|<p>\s*</p>)*</th>", page.read_text()), page.name


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
    for page in pages_of(ROOT / "_toc.yml"):
        assert list(stage.glob(page + ".*")), page
    assert (stage / "book/_static/plotly-gl3d.min.js").stat().st_size > 1e6
    assert "someone" not in (stage / f"notebooks/{CHAPTERS[0].name}.ipynb").read_text()


def test_the_page_on_the_run_lists_every_chapter(executed, tmp_path):
    for chapter in CHAPTERS:
        path = executed / "tiny" / "executed" / f"{chapter.name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata["tsg"] = {"chapter": chapter.name, "profile": "tiny", "duration_s": 61.0, "git": "abc"}
        nbformat.write(notebook, path)
    text = (stage_book(profile="tiny", artifacts=executed, stage=tmp_path / "stage") / "book/status.md").read_text()
    assert all(f"| {chapter.name} | tiny |" in text for chapter in CHAPTERS)
    assert "<!--" not in text


def test_buttons_for_services_need_the_address_of_the_repository():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert with_launch_buttons(config) == config
    there = {**config, "repository": {"url": "https://example.org/a/b", "branch": "dev"}}
    options = with_launch_buttons(there)["sphinx"]["config"]["html_theme_options"]
    assert options["launch_buttons"] == SERVICES and options["repository_branch"] == "dev"
    assert config["sphinx"]["config"]["html_theme_options"]["launch_buttons"] == {}  # not changed in place


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
