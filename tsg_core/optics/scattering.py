"""How strongly one atom scatters into the annular detector, and how sharp its image is."""

from functools import cache, lru_cache

import numpy as np
from ase import units
from ase.data import atomic_masses, atomic_numbers
from scipy.signal import fftconvolve

from ..errors import TsgError
from ..microscope import Microscope

# Kittel, Introduction to Solid State Physics, table of Debye temperatures
DEBYE_TEMPERATURE_K = {"Al": 428, "Cu": 343, "Ag": 225, "Xe": 64, "Yb": 120, "Ir": 420, "Pt": 240, "Au": 165}
_COLD_K = {"Xe": 80.0}  # a gas at room temperature
_OTHER_SIGMA_A = 0.08  # thermal displacement of elements that the table above lacks
_PHASE_BAND = 10.0  # 1/angstrom; resolves the phase shift near the nucleus, where it is large


def haadf_cross_section_A2(element: str, microscope: Microscope) -> float:
    """Cross-section of one atom, in square angstrom, for scattering a convergent beam into the annulus.

    It is averaged over the directions of the cone and so holds for a detector close to the cone, too.
    Raises TsgError for an element without a scattering factor.
    """
    return float(atom_transfer(element, microscope)[1][0])


@lru_cache(maxsize=256)
def atom_transfer(element: str, microscope: Microscope) -> tuple[np.ndarray, np.ndarray]:
    """Spatial frequencies k (n,) up to 2 alpha / lambda, and the transfer (n,) in square angstrom of an atom at rest.

    The component k of an image arises when two beams of the cone, k apart, scatter to one point of the detector. It is
    the product f(q) f*(q - k), summed over the annulus and averaged over those pairs of beams. At k = 0 it is the
    cross-section; its decay with k adds the width of the atom to that of the probe. Source: Nellist and Pennycook,
    Ultramicroscopy 78, 111 (1999), who take f out of the average; here it stays inside.
    """
    wavelength_A = microscope.wavelength_A
    inner, outer, cone = (
        angle * 1e-3 / wavelength_A
        for angle in (microscope.detector_inner_mrad, microscope.detector_outer_mrad, microscope.convergence_mrad)
    )
    steps_per_cone = int(np.clip(60 * cone / outer, 6, 24))  # a narrow cone needs no fine grid, which would be large
    step = cone / steps_per_cone
    half = int(np.ceil((outer + cone) / step)) + steps_per_cone + 1
    amplitude = _scattered_amplitude(element, microscope, step=step, half=half)
    q = step * np.arange(-half, half + 1)
    radius = np.hypot(q[:, None], q)
    annulus, beams = _disc(radius, outer, step) - _disc(radius, inner, step), _disc(radius, cone, step)
    k, transfer = [], []
    for i in range(steps_per_cone):  # pairs 2 i steps apart; none remain at the edge of the band
        before, after = ((slice(None), slice(s, s + 2 * half + 1 - 2 * i)) for s in (0, 2 * i))
        pairs = np.zeros_like(beams)
        middle = (slice(None), slice(i, 2 * half + 1 - i))
        pairs[middle] = beams[before] * beams[after]
        product = np.zeros_like(beams)
        product[middle] = (amplitude[before] * amplitude[after].conj()).real
        # fraction of the pairs, by their mean direction, that scattering by q sends to the detector
        share = fftconvolve(annulus, pairs, mode="same") / pairs.sum()
        k.append(2 * i * step)
        transfer.append((product * share).sum() * step**2)
    return np.array(k), np.array(transfer)


def _scattered_amplitude(element: str, microscope: Microscope, *, step: float, half: int) -> np.ndarray:
    """Amplitude in angstrom on the frequencies step * (-half..half) of both axes: one atom as a phase grating.

    The projected potential shifts the phase by the transform of (mass factor) lambda f(q). exp(i phase) - 1 contains
    every order of the Born series that one slice of a multislice calculation contains. The scattering factors are those
    of Lobato and Van Dyck (Acta Cryst. A70, 636, 2014), from abTEM.
    """
    n = 2 * max(half, int(np.ceil(_PHASE_BAND / step)))
    q = np.fft.fftfreq(n, 1 / (n * step))
    mass_factor = 1 + microscope.energy_keV * 1e3 * units._e / (units._me * units._c**2)
    born = mass_factor * microscope.wavelength_A * scattering_factor_A(element, np.hypot(q[:, None], q))
    phase = np.fft.ifft2(born).real * (n * step) ** 2
    amplitude = np.fft.fft2(np.expm1(1j * phase)) / (n * step) ** 2
    chosen = np.arange(-half, half + 1) % n
    return amplitude[np.ix_(chosen, chosen)]


def scattering_factor_A(element: str, q: np.ndarray) -> np.ndarray:
    """Electron scattering factor in angstrom at the spatial frequencies q (1/angstrom), not relativistic.

    Lobato and Van Dyck, Acta Cryst. A70, 636 (2014), eq. 16, with the parameters from abTEM.
    """
    if element not in _lobato():
        raise TsgError(f"element {element!r} has no scattering factor in Lobato and Van Dyck's table (H to Lr)")
    strengths, widths = np.array(_lobato()[element])
    q2 = np.asarray(q, float) ** 2
    return sum(a * (2 + b * q2) / (1 + b * q2) ** 2 for a, b in zip(strengths, widths, strict=True))


@cache
def _lobato() -> dict:
    from abtem.parametrizations import LobatoParametrization  # here, since its import compiles for seconds

    return LobatoParametrization().parameters


def thermal_sigma_A(element: str, *, temperature_K: float | None = None) -> float:
    """Root mean square displacement along one direction, by the Debye model in the high-temperature limit.

    The default temperature is 300 K, or 80 K for xenon, which is solid only when cold.
    """
    if element not in DEBYE_TEMPERATURE_K:
        return _OTHER_SIGMA_A
    temperature_K = _COLD_K.get(element, 300.0) if temperature_K is None else temperature_K
    mass = atomic_masses[atomic_numbers[element]] * units._amu
    variance = 3 * units._hbar**2 * temperature_K / (mass * units._k * DEBYE_TEMPERATURE_K[element] ** 2)
    return float(np.sqrt(variance) * 1e10)


def _disc(radius: np.ndarray, edge: float, step: float) -> np.ndarray:
    """1 inside, 0 outside, with a linear edge one grid step wide, which keeps sums over the grid accurate."""
    return ((edge - radius) / step + 0.5).clip(0, 1)
