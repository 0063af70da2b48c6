"""The page *Live*: its script, opened from a folder in a browser, predicts what tsg_core predicts."""

import re

import numpy as np
import pytest
from conftest import ROOT

from tsg_core.evaluation import image_metrics
from tsg_core.interpolation import densify
from tsg_core.tilt_series import TiltSeries
from tsgbook.live import LEVELS, live_series, write_live_data

PAGE = '<!doctype html><meta charset="utf-8"><title>Live</title><div id="tsg-live"></div>{scripts}'
SCRIPTS = re.findall(r"<script src=.*</script>", (ROOT / "book" / "live.md").read_text(encoding="utf-8"))
FRAMES = "found => ({...found, measured: found.measured.map(frame => Array.from(frame))})"


@pytest.fixture(scope="module")
def series():
    return live_series()


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """The page's box and scripts in a file, without the rest of the book."""
    sync_api = pytest.importorskip("playwright.sync_api")
    folder = tmp_path_factory.mktemp("live")
    write_live_data(folder / "live_data.js")
    (folder / "live.js").write_text((ROOT / "book" / "_static" / "live.js").read_text(encoding="utf-8"))
    scripts = "".join(SCRIPTS).replace("../_static/", "")
    (folder / "live.html").write_text(PAGE.format(scripts=scripts), encoding="utf-8")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto((folder / "live.html").as_uri())
        page.wait_for_selector("#tsg-live tbody tr")
        yield page
        browser.close()


def scores(series, measured, targets):
    """Mean PSNR in dB of the frames that each method predicts."""
    deg, truth, peak = series.tilt_deg[targets], series.frames[targets], float(series.frames.max())
    made = {m: densify(measured, tilt_deg=deg, method=m).frames for m in ("linear", "cubic", "smooth")}
    return {m: image_metrics(frames, truth, peak=peak).psnr_dB.mean() for m, frames in made.items()}


@pytest.mark.browser
@pytest.mark.parametrize(("gap", "dose"), [(5, "Infinity"), (15, "1000")])
def test_predictions_are_those_of_tsg_core(page, series, gap, dose):
    found = page.evaluate(f"({FRAMES})(tsgLive({{gap: {gap}, dose_per_A2: {dose}}}))")
    frames = np.array(found["measured"], np.float32).reshape(-1, *series.frames.shape[1:]) * series.frames.max()
    measured = TiltSeries(frames, series.tilt_deg[found["kept"]], series.pixel_size_A)
    expected = scores(series, measured, found["targets"])
    assert {m: np.mean(values) for m, values in found["psnr_dB"].items()} == pytest.approx(expected, abs=0.02)
    if dose == "Infinity":
        np.testing.assert_allclose(frames, series.frames[::gap], atol=1e-6)


@pytest.mark.browser
def test_noise_is_that_of_the_dose(page, series):
    """Counts have the variance of their mean, bright or dark."""
    found = page.evaluate(f"({FRAMES})(tsgLive({{gap: 6, dose_per_A2: 16000}}))")
    per_unit = 16000 * series.pixel_size_A**2 * series.frames.max()
    counts = np.array(found["measured"]) * per_unit
    expected = (series.frames[::6] / series.frames.max()).reshape(counts.shape) * per_unit
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    for low, high in ((1, 20), (20, 60), (60, np.inf)):
        chosen = (expected > low) & (expected <= high)
        deviation = (counts - expected)[chosen] / np.sqrt(expected[chosen])
        assert chosen.sum() > 800 and abs(deviation.mean()) < 0.1 and deviation.std() == pytest.approx(1, abs=0.06)


@pytest.mark.browser
def test_sliders_change_what_is_shown(page):
    means = []
    for gap, dose in ((3, 0), (6, 0), (6, 7)):
        for name, value in (("gap", gap), ("dose", dose)):
            page.locator(f'[data-is="{name}"]').fill(str(value))
        means.append([float(cell) for cell in page.locator("tbody td:last-child").all_text_contents()])
    dense, wide, noisy = np.array(means)
    assert (dense > wide).all() and (wide > noisy).all()
    assert page.locator("output").all_text_contents()[:2] == ["24°", "1000 e/Å² a frame"]


def test_the_answers_of_the_page_hold(series):
    """Without noise cubic leads until 8°, linear from 12° on; smooth needs noise, and gains most by dense frames."""
    from tsg_core.simulation.noise import with_dose

    def scored(gap, dose=None):
        noisy = series if dose is None else with_dose(series, dose_per_A2=dose, seed=1)
        targets = np.flatnonzero(np.arange(len(series)) % gap)
        return scores(series, noisy.subset(np.arange(0, len(series), gap)), targets)

    def order(*settings):
        found = scored(*settings)
        return sorted(found, key=found.get)

    assert order(3) == ["smooth", "linear", "cubic"] and order(4)[-1] == "cubic"
    assert order(6)[-1] == "linear" and order(10)[-1] == "linear"
    assert order(3, 1000) == ["cubic", "linear", "smooth"]
    dense, wide = scored(2, 2000), scored(4, 4000)
    assert max(dense, key=dense.get) == "smooth" and dense["smooth"] > max(wide.values()) + 0.5


def test_the_data_are_light_and_whole_numbers(series, tmp_path):
    write_live_data(tmp_path / "live_data.js")
    assert (tmp_path / "live_data.js").stat().st_size < 100_000
    levels = series.frames / series.frames.max() * LEVELS
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
