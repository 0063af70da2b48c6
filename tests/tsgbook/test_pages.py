"""From a chapter's outputs to its page: numbered figures, tabs, tables; and the hooks that finish the pages."""

import base64
import gzip
import json
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from docutils import nodes
from PIL import Image

from tsg_core.errors import TsgError
from tsgbook.figures.shown import NOTE, PLOTLY
from tsgbook.pages import for_pages, readable_table, without_bars
from tsgbook.slim import slim_pages
from tsgbook.sphinx_hooks import drop_empty_headers, number_figures


def picture(width=300):
    import io

    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, width), np.uint8)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def output(data, **note):
    made = nbformat.v4.new_output("display_data", data=data)
    made.metadata = {NOTE: note} if note else {}
    return made


def page_of(*outputs, tmp_path):
    cell = nbformat.v4.new_code_cell("draw()", outputs=list(outputs))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    page = for_pages(notebook, name="06_prediction", pictures=tmp_path / "figures", data=tmp_path / "data")
    assert notebook.cells[0].outputs, "the notebook itself stays as it is"
    return page


def test_a_picture_becomes_a_figure_with_caption_and_words(tmp_path):
    shown = output({"image/png": picture()}, caption="What $s$ shows.", alt='A "line": falling')
    repeated = output({"text/markdown": "What $s$ shows."}, repeated=True)
    code, text = page_of(shown, repeated, tmp_path=tmp_path).cells
    assert code.outputs == [] and text.cell_type == "markdown"
    assert text.source.count("What $s$ shows.") == 1
    assert ':alt: "A \\"line\\": falling"' in text.source and "tsg-wide" not in text.source
    assert "{figure} figures/figure-06-1.png" in text.source
    assert (tmp_path / "figures" / "figure-06-1.png").exists()


def test_a_wide_picture_is_marked_and_a_moving_one_has_its_data(tmp_path):
    plotly = {"data": [], "layout": {"height": 4}}
    shown = output({"image/png": picture(900), PLOTLY: plotly}, caption="A.", alt="b")
    source = page_of(shown, tmp_path=tmp_path).cells[1].source
    assert "tsg-wide" in source and "tsg-plotly" in source
    script = (tmp_path / "data" / "figure-06-1.js").read_text()
    assert (
        script.startswith('tsgFigure("figure-06-1","plotly",') and json.dumps(plotly, separators=(",", ":")) in script
    )


def test_runs_stand_in_tabs_in_their_order(tmp_path):
    outputs = [
        output({"text/markdown": "**Recorded**"}, tab="Recorded run (profile book)", key="recorded"),
        output({"text/html": "<table><tr><td>1</td></tr></table>"}),
        output({"text/markdown": "**This**"}, tab="This run (profile smoke)", key="this"),
        output({"text/markdown": "In words."}),
    ]
    source = page_of(*outputs, tmp_path=tmp_path).cells[1].source
    assert source.index("Recorded run") < source.index("<table>") < source.index("This run") < source.index("In words")
    assert source.count("{tab-item}") == 2 and "**Recorded**" not in source


def test_cells_without_notes_keep_their_outputs(tmp_path):
    page = page_of(output({"text/html": "<table><tr><th>&nbsp;</th></tr></table>"}), tmp_path=tmp_path)
    assert len(page.cells) == 1 and "<th>" not in page.cells[0].outputs[0].data["text/html"]


def test_a_picture_that_would_lose_its_caption_is_refused(tmp_path):
    with pytest.raises(TsgError, match=r"chapter 06.*show\(\) both"):
        page_of(
            output({"image/png": picture()}, caption="A.", alt="b"), output({"image/png": picture()}), tmp_path=tmp_path
        )


def test_numbers_of_tables_stay_in_one_piece():
    html = readable_table('<th class="blank" >&nbsp;</th><td class="a">4.09 [-3.48, 4.70] by Mix, and more words</td>')
    assert html.startswith("<td") and "<th" not in html
    assert '<span class="tsg-number">4.09 [-3.48, 4.70]</span>' in html
    assert 'class="tsg-short a"' in readable_table('<td class="a">short</td>')
    assert "tsg-long" in readable_table(f"<td>{'long ' * 30}</td>")


def test_recorded_tables_lose_their_bars_and_nothing_else():
    text = "$ command\n\n| a | long name |\n|---|---:|\n| 1 | 2 |\n| 100 |  |\n\nend\n"
    assert without_bars(text) == "$ command\n\na    long name\n1    2\n100\n\nend\n"
    assert without_bars("no table | here\n") == "no table | here\n"


def test_figures_are_numbered_by_chapter_and_others_through():
    figures = {"figure": {"id1": (1,), "id2": (2,)}}
    env = SimpleNamespace(
        toc_fignumbers={"book/a": {"figure": {"x": (1,)}}, "notebooks/06_p": figures, "book/b": {"figure": {"y": (4,)}}}
    )
    number_figures(None, env)
    assert figures["figure"] == {"id1": (6, 1), "id2": (6, 2)}
    assert env.toc_fignumbers["book/a"]["figure"]["x"] == (1,) and env.toc_fignumbers["book/b"]["figure"]["y"] == (2,)


@pytest.mark.parametrize("title", ["", "method"])
def test_only_empty_headers_of_tables_go(title):
    head = nodes.thead("", nodes.row("", nodes.entry("", nodes.paragraph("", title))))
    group = nodes.tgroup("", head, nodes.tbody("", nodes.row("", nodes.entry("", nodes.paragraph("", "x")))))
    document = nodes.section("", nodes.table("", group))
    drop_empty_headers(None, document)
    assert bool(list(document.findall(nodes.thead))) == bool(title)


def test_pages_keep_the_icons_in_use_and_no_others(tmp_path):
    from importlib.resources import files
    from shutil import copytree

    from fontTools.ttLib import TTFont

    theme = files("pydata_sphinx_theme") / "theme" / "pydata_sphinx_theme" / "static"
    copytree(str(theme), tmp_path / "_static")
    page = '<script src="_static/scripts/fontawesome.js?digest=1"></script><script src="searchindex.js"></script>'
    for name in ("index.html", "search.html"):
        (tmp_path / name).write_text(f'{page}<i class="fa-solid fa-download"></i>')
    (tmp_path / "_static" / "plotly-gl3d.min.js").write_text("draws();" * 1000)
    slim_pages(tmp_path)
    packed = (tmp_path / "_static" / "plotly-gl3d.packed.js").read_text()
    assert gzip.decompress(base64.b64decode(packed.split('"')[1])) == b"draws();" * 1000 and len(packed) < 200
    assert not (tmp_path / "_static" / "plotly-gl3d.min.js").exists()
    assert "fontawesome.js" not in (tmp_path / "index.html").read_text()
    assert "searchindex" not in (tmp_path / "index.html").read_text()
    assert "searchindex" in (tmp_path / "search.html").read_text()
    style = (tmp_path / "_static/styles/pydata-sphinx-theme.css").read_text()
    assert "fa-download" in style and "fa-dragon" not in style and "woff2" not in style
    font = tmp_path / "_static/vendor/fontawesome/webfonts/fa-solid-900.ttf"
    assert 0xF019 in TTFont(font).getBestCmap() and 0xF6D5 not in TTFont(font).getBestCmap()
    assert font.stat().st_size < 60_000
