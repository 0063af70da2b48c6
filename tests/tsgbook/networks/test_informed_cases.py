import numpy as np
import pytest
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.interpolation.informed.views import N_CHANNELS
from tsgbook.networks import informed_cases
from tsgbook.networks.informed_cases import GAPS, Cases, CaseSettings, write_cases
from tsgbook.networks.recipes import RecipeData


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setattr(informed_cases, "GAPS", (12, 24))
    data = RecipeData(n_training=1, n_validation=1, n_pixels=32, pixel_sizes_A=(0.4,), relative_diameter=(0.35, 0.75))
    return CaseSettings(data=data, n_cases=1, n_validation_cases=2, n_targets=4, most_frames=8)


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


def test_validation_deals_out_the_gaps_in_turn():
    data = RecipeData(n_training=5, n_validation=5, n_pixels=8, pixel_sizes_A=(0.4,), relative_diameter=(0.5, 0.6))
    settings = CaseSettings(data=data)
    gaps = [gap for i in range(5) for gap in informed_cases._gaps(settings, GAPS, i, np.random.default_rng(0), True)]
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
