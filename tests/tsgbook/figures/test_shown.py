"""What a chapter shows: captions and words travel with the pictures; sliders begin at zero; everything has a still."""

import base64
import io

import ase.cluster
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tsg_core.tilt_series import TiltSeries
from tsgbook.figures import plotting, shown, solids


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed, as (bundle or object, note)."""
    seen = []

    def display(thing, *, metadata=None, raw=False):
        seen.append((thing, (metadata or {}).get(shown.NOTE, {})))

    monkeypatch.setattr(shown, "display", display)
    return seen


def test_a_picture_travels_with_its_caption_and_words(displayed):
    figure, _ = plt.subplots()
    plotting.show(figure, "A caption.", alt="Words that\n say it")
    (bundle, note), (below, repeated) = displayed
    assert set(bundle) == {"image/png", "text/plain"} and note == {"caption": "A caption.", "alt": "Words that say it"}
    assert below.data == "A caption." and repeated == {"repeated": True}
    assert not plt.fignum_exists(figure.number), "else Jupyter shows it twice"


@pytest.mark.parametrize("common", [True, False])
def test_tilts_begin_at_zero_each_on_its_scale_if_asked(displayed, common):
    tilt_deg = np.array([-60.0, -30.0, 0.0, 30.0])
    bright = np.ones((4, 16, 16), np.float32)
    both = {"bright": TiltSeries(bright, tilt_deg, 1.0), "faint": TiltSeries(0.1 * bright, tilt_deg, 1.0)}
    plotting.show_tilts(both, "Two.", alt="Two series", common_scale=common)
    slider = displayed[0][0][shown.SLIDER]
    assert slider["labels"][slider["start"]] == "0°" and "image/png" in displayed[0][0]
    assert "aspect-ratio" in displayed[0][0]["text/html"]
    sheet = Image.open(io.BytesIO(base64.b64decode(slider["sheet"].split(",")[1])))
    faint = np.asarray(sheet)[:, -14:-4]
    assert abs(faint.mean() - (25 if common else 255)) < 3 and slider["names"] == ["bright", "faint"]


def test_a_particle_turns_from_zero_and_has_a_still(displayed):
    atoms = ase.cluster.Octahedron("Au", 3)
    atoms.positions -= atoms.positions.mean(axis=0)
    solids.show_particle(atoms, "A particle.", alt="Spheres", tilt_deg=np.arange(-20, 21, 10.0))
    bundle, _ = displayed[0]
    plotly = bundle[shown.PLOTLY]
    assert plotly["layout"]["sliders"][0]["active"] == 2 and len(plotly["frames"]) == 5
    assert "title" not in plotly["layout"] or not plotly["layout"]["title"].get("text")
    assert "image/png" in bundle


def test_surfaces_of_noise_are_coarse_enough_to_load():
    volume = np.random.default_rng(0).random((48, 48, 48))
    points_A, triangles = solids._surface(volume, 0.5, 0.5)
    assert 1000 < len(triangles) <= solids.MOST_TRIANGLES and np.ptp(points_A, axis=0).min() > 20


def test_surfaces_have_a_menu_and_a_still(displayed):
    grid = np.indices((20, 20, 20)) - 9.5
    ball = np.exp(-((grid**2).sum(0)) / 20)
    volumes = {"Reference": ball, "Sparse": ball}
    solids.show_surfaces(volumes, "Balls.", alt="Two balls", levels=dict.fromkeys(volumes, 0.5), voxel_size_A=0.5)
    bundle, _ = displayed[0]
    meshes = bundle[shown.PLOTLY]["data"]
    assert [m["visible"] for m in meshes] == [True, False] and "image/png" in bundle


def test_a_gallery_shows_every_particle():
    figure = solids.gallery({"one": ase.cluster.Octahedron("Au", 3), "two": ase.cluster.Icosahedron("Au", 2)})
    assert [axis.get_title() for axis in figure.axes] == ["one", "two"]
    plt.close(figure)


def test_lines_in_words_state_their_ends():
    table = pd.DataFrame({"rate": [1, 12, 1, 12], "method": ["a", "a", "b", "b"], "y": [4.0, 2.0, 8.0, 1.0]})
    assert (
        plotting.values_in_words(table, x="rate", y="y", by="method")
        == "y by rate: a 4 at 1, 2 at 12; b 8 at 1, 1 at 12."
    )
