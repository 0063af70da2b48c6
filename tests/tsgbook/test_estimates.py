import json
from pathlib import Path

import pytest
from conftest import ROOT

from tsg_core.tools.digests import write_json
from tsgbook.artifacts import Artifacts
from tsgbook.chapters import CHAPTERS, FRAME_METRICS, TSGNET, VOLUME_METRICS
from tsgbook.estimates import estimate, work_of
from tsgbook.profiles import load_profile
from tsgbook.unit_costs import CORES, GPU, SCALING, amounts_of, by_unit_costs, seconds_of


def profile(name, *overrides):
    return load_profile(name, overrides=overrides, root=ROOT)


@pytest.fixture
def root(tmp_path):
    """A checkout where the profile smoke has run: 100 s a chapter, 90 s of it for the artifacts where there are."""
    store = Artifacts(tmp_path / "artifacts" / "smoke")
    for name in ("test_aberrated.zarr", TSGNET, FRAME_METRICS, VOLUME_METRICS):
        store.make(name, Path.touch)
        write_json(store.folder / f"{name}.json", store.provenance(name) | {"duration_s": 90.0})
    parameters = profile("smoke").parameters
    (store.folder / "executed").mkdir()
    for chapter in CHAPTERS:
        stamp = {"duration_s": 100.0, "parameters": parameters[chapter.name]}
        write_json(store.folder / "executed" / f"{chapter.name}.json", stamp)
    return tmp_path


def row(text, chapter):
    return next(line for line in text.splitlines() if line.startswith(chapter))


def test_the_same_profile_takes_the_same_time(root):
    text = estimate(profile("smoke"), root=root)
    assert all(row(text, chapter.name).endswith("  100 s") for chapter in CHAPTERS)
    assert row(text, "all").endswith("16.7 min") and "last run of smoke" in text


def test_time_grows_with_the_work_and_figures_stay(root):
    assert row(estimate(profile("smoke", "05_training.n_steps=120"), root=root), "05").endswith(
        "3.17 min"
    )  # 10 + 2 x 90 s
    assert row(estimate(profile("smoke", "n_test=8"), root=root), "06").endswith("3.17 min")
    text = estimate(profile("smoke", "n_test=8", "dose_particles=4"), root=root)
    assert row(text, "07").endswith("3.17 min")
    doubled = 2 * profile("smoke").parameters["02_simulation"]["n_pixels"]
    assert row(estimate(profile("smoke", f"n_pixels={doubled}"), root=root), "02").endswith("6.17 min")  # 10 + 4 x 90 s


def test_disk_is_that_of_the_frames(root):
    smoke = profile("smoke")
    n = smoke.parameters["01_structures"]
    frames = smoke.parameters["02_simulation"]
    n_tilt = int(180 / frames["tilt_step_deg"]) + 1
    n_frames = (n["n_training"] + n["n_validation"] + n["n_test"]) * 2 * n_tilt
    assert work_of(smoke.parameters)["02_simulation"][1] == n_frames * frames["n_pixels"] ** 2
    assert f"at most {n_frames * frames['n_pixels'] ** 2 * 4 / 1e6:.1f} MB of disk" in estimate(smoke, root=root)


def test_the_papers_size_is_estimated_and_says_what_it_rests_on(root):
    text = estimate(profile("paper"), root=root)
    assert "75,296 frames of 512 x 512 px (abtem_prism)" in text and "at most 79.0 GB" in text
    assert "years" in row(text, "all") and "lower bound" in text


def test_a_run_with_fewer_parameters_than_there_are_now_is_scaled_from(root):
    path = root / "artifacts" / "smoke" / "executed" / "05_training.json"
    stamp = json.loads(path.read_text())
    del stamp["parameters"]["crop_px"]
    write_json(path, stamp)
    assert row(estimate(profile("smoke"), root=root), "05").endswith("  100 s")


def test_the_fast_engines_time_is_unknown_after_a_run_by_multislice(root):
    path = root / "artifacts" / "smoke" / "executed" / "02_simulation.json"
    stamp = json.loads(path.read_text())
    write_json(path, stamp | {"parameters": stamp["parameters"] | {"engine": "abtem_prism"}})
    assert row(estimate(profile("smoke"), root=root), "02").endswith("  ?")


def test_without_a_run_the_work_is_told_but_no_time(tmp_path):
    text = estimate(profile("smoke"), root=tmp_path)
    assert row(text, "05").endswith("?") and "60 steps" in text and "tsg run --profile smoke" in text


@pytest.fixture
def costs(root):
    """Every law costs a nanosecond of a processor; a GPU trains a hundred times as fast."""
    laws = {name: {"seconds": 1e-9} for name in ("incoherent", "training", "sirt", "linear", "reprojection", "tsgnet")}
    (root / SCALING).parent.mkdir(parents=True)
    write_json(root / SCALING, {"laws": laws})
    write_json(root / GPU, {"training": 100.0})
    return laws


def test_hours_follow_from_the_cost_of_a_unit_and_the_sizes_of_the_profile(costs):
    parameters = profile("paper", "05_training.n_steps=1000", "batch_size=10", "crop_px=128").parameters
    amounts = amounts_of(parameters)
    channels = parameters["05_training"]["channels"]
    pixels = 1000 * 10 * 128**2 * sum(n**2 / 4**k for k, n in enumerate(channels))
    assert seconds_of(amounts["05_training"], costs) == pytest.approx(1e-9 * pixels / CORES)
    assert seconds_of(amounts["05_training"], costs, gains={"training": 100.0}) == pytest.approx(1e-11 * pixels / CORES)
    halved = amounts_of(profile("paper", "n_pixels=256").parameters)
    assert amounts["07_reconstruction"]["sirt"] == 8 * halved["07_reconstruction"]["sirt"]
    assert seconds_of({"sirt": 1.0}, {}) is None


def test_machines_share_the_work_and_a_gpu_takes_what_it_can(costs, root):
    parameters = profile("smoke", "05_training.n_steps=10000000").parameters
    one, four = (by_unit_costs(parameters, root=root, n_nodes=n) for n in (1, 4))
    hours, shared = (row(text, "05").split() for text in (one, four))
    assert hours[1:3] == hours[5:7]  # on one machine
    assert hours[1:5] == shared[1:5] and hours[5:] != shared[5:]
    assert "4 machines of 2 cores" in four and "GPU was not measured" not in one


def test_without_measured_costs_their_command_is_named(root):
    assert estimate(profile("paper"), root=root).endswith("python benchmarks/scaling.py")
