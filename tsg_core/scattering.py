"""How strongly, and how sharply, one atom scatters into the annular detector."""

from functools import lru_cache

import numpy as np
from abtem.parametrizations import LobatoParametrization
from ase import units

from .errors import TsgError
from .microscope import Microscope

# Gaussian sigma of an atom's own image besides the probe: scattering and thermal displacement together
ATOM_WIDTH_A = 0.15


@lru_cache(maxsize=256)
def haadf_cross_section_A2(element: str, microscope: Microscope) -> float:
    """Cross-section in square angstrom for scattering one atom's share of a convergent beam into the annulus.

    First Born approximation with Lobato and Van Dyck's scattering factors (Acta Cryst. A70, 636, 2014) as abTEM has
    them, times the relativistic mass factor squared. Every direction of the cone is scattered by q with the density
    |f(q)|^2; the annulus counts what ends between its angles, so that a detector near the cone is right as well.
    Raises TsgError for an element without scattering factor.
    """
    inner, outer, cone = (
        angle * 1e-3 / microscope.wavelength_A
        for angle in (microscope.detector_inner_mrad, microscope.detector_outer_mrad, microscope.convergence_mrad)
    )
    q = np.linspace(0, outer + cone, 2001)[1:]
    density = _mass_factor(microscope) ** 2 * scattering_factor_A(element, q) ** 2 * _share(q, cone, inner, outer)
    return float(microscope.wavelength_A**2 * np.trapezoid(density * 2 * np.pi * q, q))


def scattering_factor_A(element: str, q: np.ndarray) -> np.ndarray:
    """Electron scattering factor in angstrom at the spatial frequencies q (1/angstrom), without relativistic factor."""
    parametrization = LobatoParametrization()
    if element not in parametrization.parameters:
        raise TsgError(f"element {element!r} has no scattering factor in Lobato and Van Dyck's table (H to Lr)")
    return parametrization.scattering_factor(element)(np.asarray(q, float) ** 2)


def _mass_factor(microscope: Microscope) -> float:
    return 1 + microscope.energy_keV * 1e3 * units._e / (units._me * units._c**2)


def _share(q: np.ndarray, cone: float, inner: float, outer: float) -> np.ndarray:
    """Share (n,) of the beams of a uniform cone that a scattering by q, in any direction, brings into the annulus."""
    start = (np.arange(200) + 0.5)[:, None] / 200 * cone

    def within(radius):
        cosine = (radius**2 - start**2 - q**2) / (2 * start * q)
        return 1 - np.arccos(cosine.clip(-1, 1)) / np.pi

    return np.average(within(outer) - within(inner), axis=0, weights=start[:, 0])
