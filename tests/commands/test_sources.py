"""Commands tell where each of angle, pixel size, intensity and tilt axis came from, and what was changed since."""

import numpy as np
from microscope_files import serialem_records, write_mrc
from tsg_command import tsg  # noqa: F401

from tsg_core.formats import read_series

ANGLES = [-20.5, -10, 0, 12, 20]
FRAMES = np.random.default_rng(1).integers(100, 900, (5, 12, 10)).astype(np.int16)


def test_show_tells_where_everything_comes_from(tmp_path, tsg):  # noqa: F811
    path = write_mrc(tmp_path / "a.mrc", FRAMES, labels=("    Tilt axis angle = 3.5, binning = 2",))
    path.with_suffix(".rawtlt").write_text("".join(f"{angle}\n" for angle in ANGLES))
    _, said, _ = tsg("show", path, "-o", tmp_path / "a.png")
    told = {line[:16].strip(): line[18:] for line in said.splitlines() if " from  " in line[:18]}
    assert told == {
        "tilt angles from": "a.rawtlt",
        "pixel size from": "the header",
        "intensity from": "integers of int16, as they are stored: so says their type",
        "tilt axis from": "the convention, vertical, where a title states 3.5 deg from the vertical",
    }
    options = ("--tilts", path.with_suffix(".rawtlt"), "--pixel-size", 3)
    _, said, _ = tsg("show", path, "-o", tmp_path / "b.png", *options)
    assert "tilt angles from  a.rawtlt, as given\npixel size from   the one given\n" in said


def test_the_report_of_densify_tells_it_too(tmp_path, tsg):  # noqa: F811
    extended, layout = serialem_records(ANGLES)
    path = write_mrc(tmp_path / "a.mrc", FRAMES, extended=extended, layout=layout, kind=b"SERI")
    status, _, _ = tsg("densify", path, "-o", tmp_path / "dense.npz", "--method", "linear", "--step", 5)
    report = (tmp_path / "dense_report.html").read_text()
    assert status == 0
    for name, origin in (
        ("tilt angles", "the extended header of a.mrc"),
        ("pixel size", "the header"),
        ("intensity", "integers of int16, as they are stored: so says their type"),
        ("tilt axis", "the convention, vertical: nothing states it"),
    ):
        assert f"<tr><th>{name} from</th><td>{origin}</td></tr>" in report


def test_steps_of_preparation_are_told_with_the_sources(tmp_path, tsg):  # noqa: F811
    extended, layout = serialem_records(ANGLES)
    path = write_mrc(tmp_path / "a.mrc", FRAMES, extended=extended, layout=layout, kind=b"SERI")
    options = ("--rotate", "--flip-angles", "--bin", 2, "--align", "none", "--background", 50)
    assert tsg("prepare", path, "-o", tmp_path / "b.npz", *options)[0] == 0
    assert read_series(tmp_path / "b.npz").metadata["sources"] == {
        "angles": "the extended header of a.mrc; their signs were changed",
        "pixel_size": "the header; 2 of these became one",
        "intensity": "integers of int16, as they are stored: so says their type; a background was subtracted",
        "axis": "the convention, vertical: nothing states it; the frames were turned by 90 degrees",
    }
