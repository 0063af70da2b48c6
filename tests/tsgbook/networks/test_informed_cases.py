import numpy as np
import pytest
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.interpolation.informed.views import N_CHANNELS
from tsg_core.microscope import MICROSCOPES
from tsg_core.simulation.series import simulate_tilt_series
from tsg_core.structures import random_rotation, training_particles
from tsgbook.networks import informed_cases
from tsgbook.networks.informed_cases import GAPS, Cases, CaseSettings, write_cases, write_multislice_cases
from tsgbook.networks.recipes import RecipeData


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setattr(informed_cases, "GAPS", (12, 24))
    data = RecipeData(n_training=1, n_validation=1, n_pixels=32, pixel_sizes_A=(0.4,), relative_diameter=(0.35, 0.75))
    return CaseSettings(
        data=data, n_cases=1, n_validation_cases=2, n_targets=4, most_frames=8, n_multislice_validation_cases=2
    )


def test_cases_hold_what_the_network_is_told_and_how_far_off_the_prior_is(settings, tmp_path):
    paths = write_cases(settings, tmp_path, validation=True)
    cases = Cases(paths)
    assert [path.name for path in paths] == ["validation_0.4A_0_aberrated.npz", "validation_0.4A_0_non_aberrated.npz"]
    assert cases.channels.shape == (len(cases), N_CHANNELS, 32, 32) and cases.error.shape == (len(cases), 32, 32)
    assert set(cases.gap) == {12, 24} and set(cases.microscope) == {"aberrated", "non_aberrated"}
    assert np.isfinite(cases.channels).all() and cases.error.any(axis=(1, 2)).all()
    assert set(cases.gap[cases.atoms]) == {24}  # the others have more frames than atoms are fitted to here


def test_what_is_there_is_not_made_again(settings, tmp_path, monkeypatch):
    paths = write_cases(settings, tmp_path, validation=False)
    monkeypatch.setattr(informed_cases, "_case", lambda *a: pytest.fail("made again"))
    assert write_cases(settings, tmp_path, validation=False) == paths


def test_cases_of_multislice_series_have_gaps_of_their_steps_and_frames_of_the_other_cases_size(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(informed_cases, "GAPS", (12, 16, 24))
    tilt_deg = np.arange(-90.0, 91.0, 6.0)
    series = simulate_tilt_series(
        random_rotation(training_particles(1, seed=2, diameter_A=(8, 9))[0], seed=2),
        microscope=MICROSCOPES["non_aberrated"], tilt_deg=tilt_deg, shape=40, field_of_view_A=16.0,
    )  # fmt: skip
    asked = []
    monkeypatch.setattr(
        informed_cases, "multislice_set", lambda name, microscope, *, path: asked.append((name, path.name)) or [series]
    )
    paths = write_multislice_cases(settings, tmp_path, tmp_path / "cases", validation=True)
    assert [path.name for path in paths] == [
        "validation_multislice_0_aberrated.npz", "validation_multislice_0_non_aberrated.npz",
    ]  # fmt: skip
    assert set(asked) == {("validation", "validation.npz")}
    cases = Cases(paths)
    assert set(cases.gap) == {12, 24} and cases.channels.shape == (len(cases), N_CHANNELS, 32, 32)
    middle, peak = series.frames[:, 4:36, 4:36], series.frames.max()
    priors = cases.channels[:, 0].astype(np.float32) * peak
    nearest = np.array([np.square(middle - prior).mean((1, 2)).min() for prior in priors])
    assert (np.sqrt(nearest) < 0.1 * peak).all()


def test_validation_deals_out_the_gaps_in_turn():
    data = RecipeData(n_training=5, n_validation=5, n_pixels=8, pixel_sizes_A=(0.4,), relative_diameter=(0.5, 0.6))
    settings = CaseSettings(data=data)
    gaps = [
        gap
        for i in range(5)
        for gap in informed_cases._gaps(GAPS, i, settings.n_validation_cases, np.random.default_rng(0), True)
    ]
    assert np.bincount(gaps)[2:].min() == 2 and set(gaps) == set(GAPS)


def test_no_files_are_an_error():
    with pytest.raises(TsgError, match="no cases to train with"):
        Cases([])


def test_an_alloy_has_a_second_element_at_some_of_the_places():
    pure = Atoms("Au60", positions=np.random.default_rng(0).normal(size=(60, 3)))
    mixed = informed_cases._alloyed(pure, np.random.default_rng(0))
    others = np.array(mixed.get_chemical_symbols()) != "Au"
    assert 0.1 <= others.mean() <= 0.8 and len(set(mixed.symbols)) == 2
    np.testing.assert_array_equal(mixed.positions, pure.positions)
    assert set(pure.symbols) == {"Au"}
