"""The first page's figure, from a real run."""

import pytest
from PIL import Image

from tsg_core.errors import TsgError
from tsgbook.artifacts import Artifacts
from tsgbook.figures.overview import write_overview


def test_the_figure_is_drawn_from_a_run(smoke_run, tmp_path):
    with Image.open(write_overview(smoke_run.store, tmp_path / "figure.png")) as figure:
        assert figure.format == "PNG" and figure.width > 1000
        assert len(figure.convert("L").getcolors()) > 100  # pictures and curves, not an empty page


def test_without_a_run_nothing_is_drawn(tmp_path):
    with pytest.raises(TsgError, match="02_simulation"):
        write_overview(Artifacts(tmp_path / "smoke"), tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()
