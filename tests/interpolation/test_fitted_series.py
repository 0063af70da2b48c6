import gc
import weakref

import numpy as np
import pytest
from phantoms import spot_series

from tsg_core.interpolation import fitted_series
from tsg_core.interpolation.atoms.fit import NotAtoms
from tsg_core.interpolation.fitted_series import FittedSeries
from tsg_core.interpolation.methods import predict

SPARSE = spot_series().subset(np.arange(0, 61, 4))
BETWEEN_deg = (SPARSE.tilt_deg[1:] + SPARSE.tilt_deg[:-1]) / 2


@pytest.fixture
def fits(monkeypatch):
    """How many objects were fitted."""
    made = []
    whole = fitted_series.fitted_object
    monkeypatch.setattr(fitted_series, "fitted_object", lambda series: made.append(series) or whole(series))
    return made


def test_methods_share_one_object(fits):
    series = FittedSeries.of(SPARSE)
    for method in ("kriging", "reprojection", "kriging"):
        predict(method, series, BETWEEN_deg)
    assert fits[0] is series and len(fits) == 2  # all frames, and every second one for the weights of the residual


def test_two_series_share_nothing(fits):
    other = SPARSE.subset(np.arange(len(SPARSE)))
    other.frames[:] *= 2
    frames = [predict("kriging", FittedSeries.of(series), BETWEEN_deg) for series in (SPARSE, other)]
    assert len(fits) == 2
    np.testing.assert_allclose(frames[1], 2 * frames[0], rtol=1e-3, atol=1e-3 * frames[1].max())


def test_a_subset_learns_anew():
    series = FittedSeries.of(SPARSE)
    missed = series.missed()
    part = series.subset(np.arange(0, len(series), 2))
    assert isinstance(part, FittedSeries) and len(part.missed()) == len(part) < len(missed)
    assert FittedSeries.of(series) is series


def test_what_all_frames_do_not_show_as_atoms_is_not_asked_of_some_of_them(monkeypatch):
    asked = []

    def refuse(series):
        asked.append(series)
        raise NotAtoms("no atoms here")

    monkeypatch.setattr("tsg_core.interpolation.atoms.fit.fit_atoms", refuse)
    series = FittedSeries.of(SPARSE)
    for part in (series.fold(np.arange(0, 16, 2)), series.fold(np.arange(1, 16)), series):
        with pytest.raises(NotAtoms, match="no atoms here"):
            part.atoms  # noqa: B018
    assert len(asked) == 1 and asked[0] is series


def test_what_was_learnt_goes_with_the_series():
    series = FittedSeries.of(SPARSE)
    kept = weakref.ref(series.object)
    assert kept() is series.object
    del series
    gc.collect()
    assert kept() is None
