"""Settings of the microscope."""

import math
from dataclasses import dataclass, replace

import numpy as np
from ase import units

from .errors import TsgError


@dataclass(frozen=True, kw_only=True)
class Microscope:
    """A probe-forming lens and an annular detector.

    `Cs_um` and `defocus_A` follow abTEM: a positive defocus weakens the lens. `source_size_A` is the full width at half
    maximum of the effective source in the image; 0 means a coherent point source. `defocus_spread_A` is the root mean
    square variation of the focus from electron to electron, Cc times the relative spread of their energies; 0 means
    a single energy. The inner angle of the default annulus, 45 mrad, is the one that the TSGNet paper prints as its
    outer angle. The outer angle, 80 mrad, is within reach of a potential sampled at 0.1 A, which keeps multislice
    references affordable.

    Raises TsgError for values that no microscope has.
    """

    convergence_mrad: float
    Cs_um: float = 0.0
    defocus_A: float = 0.0
    energy_keV: float = 200.0
    detector_inner_mrad: float = 45.0
    detector_outer_mrad: float = 80.0
    source_size_A: float = 0.0
    defocus_spread_A: float = 0.0

    def __post_init__(self):
        for name in ("convergence_mrad", "energy_keV", "detector_outer_mrad"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise TsgError(f"{name}={value} must be a positive number")
        if not 0 <= self.detector_inner_mrad < self.detector_outer_mrad:
            raise TsgError(
                f"detector_inner_mrad={self.detector_inner_mrad} must lie between 0 and "
                f"detector_outer_mrad={self.detector_outer_mrad}"
            )
        for name in ("source_size_A", "defocus_spread_A"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise TsgError(f"{name}={getattr(self, name)} must be zero or positive")
        if not (math.isfinite(self.Cs_um) and math.isfinite(self.defocus_A)):
            raise TsgError(f"Cs_um={self.Cs_um} and defocus_A={self.defocus_A} must be finite")

    @property
    def wavelength_A(self) -> float:
        """Relativistic de Broglie wavelength of the electrons."""
        energy_J = self.energy_keV * 1e3 * units._e
        momentum = math.sqrt(2 * units._me * energy_J * (1 + energy_J / (2 * units._me * units._c**2)))
        return units._hplanck / momentum * 1e10

    @property
    def nyquist_sampling_A(self) -> float:
        """Coarsest scan step that loses nothing: the image has no frequencies beyond 2 alpha / lambda."""
        return self.wavelength_A / (4 * self.convergence_mrad * 1e-3)

    def foci(self) -> list[tuple[float, "Microscope"]]:
        """Weights (sum 1) and single-energy microscopes; the weighted sum of their images is this microscope's image.

        Gauss-Hermite quadrature over the distribution of the focus, exact up to the ninth power of the defocus.
        """
        if self.defocus_spread_A == 0:
            return [(1.0, self)]
        places, weights = np.polynomial.hermite_e.hermegauss(5)
        shares = weights / weights.sum()
        defoci_A = self.defocus_A + self.defocus_spread_A * places
        return [
            (float(share), replace(self, defocus_A=float(defocus_A), defocus_spread_A=0.0))
            for share, defocus_A in zip(shares, defoci_A, strict=True)
        ]


NON_ABERRATED = Microscope(convergence_mrad=35.0)
ABERRATED = Microscope(convergence_mrad=25.0, Cs_um=100.0)
MICROSCOPES = {"aberrated": ABERRATED, "non_aberrated": NON_ABERRATED}
