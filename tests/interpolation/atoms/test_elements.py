"""Elements by the weights of atoms: right where weights differ, refused where they do not."""

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.interpolation.atoms.elements import elements_of, rescaled
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.optics.scattering import haadf_cross_section_A2

ERROR = 0.02


def weights_of(symbols, *, spread, scale=1.0, microscope=ABERRATED, seed=0):
    rng = np.random.default_rng(seed)
    cross_section_A2 = np.array([haadf_cross_section_A2(symbol, microscope) for symbol in symbols])
    return scale * cross_section_A2 * np.exp(np.hypot(spread, ERROR) * rng.normal(size=len(symbols)))


def found(symbols, names=None, *, microscope=ABERRATED, strict=True, **options):
    weights = weights_of(symbols, microscope=microscope, **options)
    return elements_of(weights, ERROR * weights, microscope=microscope, names=names, strict=strict)


@pytest.mark.parametrize("microscope", [ABERRATED, NON_ABERRATED])
@pytest.mark.parametrize("scale", [1.0, 2500.0])
def test_named_elements_are_told_apart_whatever_the_unit(microscope, scale):
    true = np.repeat(["Co", "Pd", "Pt"], [24, 24, 22])
    elements = found(true, ("Pt", "Co", "Pd"), spread=0.08, scale=scale, microscope=microscope)
    assert elements.clusters == ("Co", "Pd", "Pt")
    assert (elements.symbols == true).mean() > 0.97
    assert elements.wrong.max() < 0.05


def test_a_single_atom_of_another_element_is_seen():
    true = np.array(["Cu"] * 60 + ["Pt"])
    assert (found(true, "Cu,Pt", spread=0.05).symbols == true).all()


@pytest.mark.parametrize(("true", "n_elements"), [(["Cu"] * 60, 1), (["Cu"] * 50 + ["Au"] * 25, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_without_names_clusters_are_counted_by_evidence(true, n_elements, seed):
    elements = found(true, spread=0.07, seed=seed)
    assert len(elements.clusters) == n_elements
    lightest = elements.symbols == elements.clusters[0]
    assert (lightest == (np.array(true) == "Cu")).all()
    assert elements.clusters[0] in ("Co", "Ni", "Cu", "Zn", "Ga") and "name them" in elements.remark


def test_what_spots_lack_in_some_places_makes_no_further_element():
    weights = weights_of(["Xe"] * 40, spread=0.0)
    weights[:15] *= 1.1  # more clearly apart than the errors explain
    assert len(set(elements_of(weights, 0.003 * weights, microscope=ABERRATED).symbols)) == 1


def test_only_one_of_the_named_elements_may_be_there():
    assert (found(["Pt"] * 60, ("Ag", "Pt"), spread=0.05).symbols == "Pt").all()


def test_weights_that_are_wrong_are_rescaled():
    elements = found(["W"] * 40, spread=0.05, scale=0.8)
    assert elements.clusters[0] != "W"
    assert rescaled(elements, np.array([1 / 0.8]), ABERRATED).clusters[0] in ("Hf", "Ta", "W", "Re", "Os")


def test_elements_of_like_weight_are_refused():
    with pytest.raises(TsgError, match=r"cannot tell Pt and Au apart: they differ by 1\.\d%.* scatter by \d\.\d%"):
        found(["Pt", "Au"] * 30, ("Au", "Pt"), spread=0.05)
    remarked = found(["Pt", "Au"] * 30, ("Au", "Pt"), spread=0.05, strict=False)
    assert "cannot tell Pt and Au apart" in remarked.remark and set(remarked.symbols) <= {"Pt", "Au"}


def test_frames_in_other_units_need_names():
    with pytest.raises(TsgError, match="not fractions of the incident beam; name the elements"):
        found(["Cu"] * 30, spread=0.05, scale=300.0)


@pytest.mark.parametrize("names", [("Cu", "Xx"), "copper", ()])
def test_what_is_no_element_is_refused(names):
    with pytest.raises(TsgError, match="element"):
        found(["Cu"] * 30, names, spread=0.05)


def test_several_elements_need_the_microscope():
    weights = np.ones(5)
    assert (elements_of(weights, 0.1 * weights, microscope=None, names="Cu").symbols == "Cu").all()
    with pytest.raises(TsgError, match="depend on the microscope"):
        elements_of(weights, 0.1 * weights, microscope=None, names="Cu,Au")
