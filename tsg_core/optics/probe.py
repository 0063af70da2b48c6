"""The electron probe in the plane of the specimen: its intensity, its extent and its transfer function."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import TsgError
from ..microscope import Microscope

# an image holds no frequency beyond 2 alpha / lambda; slightly finer sampling keeps |wave|^2 free of aliasing
_OVERSAMPLING = 1.25


def abtem_lens(microscope: Microscope) -> dict:
    """Energy, aperture and aberrations in abTEM's units (eV, mrad, angstrom)."""
    return {
        "energy": microscope.energy_keV * 1e3,
        "semiangle_cutoff": microscope.convergence_mrad,
        "C30": microscope.Cs_um * 1e4,
        "defocus": float(microscope.defocus_A),
    }


def probe_wave(microscope: Microscope, *, extent_A: tuple[float, float], gpts: tuple[int, int]) -> np.ndarray:
    """abTEM's complex probe (gpts_y, gpts_x) in a periodic box, sum |.|^2 = 1, at pixel (gpts_y // 2, gpts_x // 2).

    It has a single energy and a point source. The spread of the focus and the size of the source affect only
    intensities.
    """
    (extent_y, extent_x), (n_y, n_x) = extent_A, gpts
    if max(extent_y / n_y, extent_x / n_x) > microscope.nyquist_sampling_A * (1 + 1e-6):
        raise TsgError(
            f"gpts={gpts} over {extent_y:g} x {extent_x:g} A samples the probe coarser than its Nyquist step of "
            f"{microscope.nyquist_sampling_A:.3f} A"
        )
    import abtem  # here, since its import compiles for seconds

    probe = abtem.Probe(extent=(extent_x, extent_y), gpts=(n_x, n_y), device="cpu", **abtem_lens(microscope))
    centre = [[n_x // 2 * extent_x / n_x, n_y // 2 * extent_y / n_y]]
    with abtem.config.set({"precision": "float64", "fft": "numpy"}):  # one transform is not worth planning with FFTW
        wave = probe.build(scan=abtem.CustomScan(centre), lazy=False).array.squeeze().T
    return wave / np.sqrt((np.abs(wave) ** 2).sum())


def probe_intensity(microscope: Microscope, *, extent_A: ArrayLike, gpts: ArrayLike) -> np.ndarray:
    """|probe|^2 (gpts_y, gpts_x) with sum 1 in a periodic box, centred at pixel (gpts_y // 2, gpts_x // 2).

    `extent_A` and `gpts` are a number or a pair (y, x). The effective source is a Gaussian that blurs the intensity. A
    spread of the focus is a weighted sum of the intensities at several foci.
    Raises TsgError if the sampling is coarser than `microscope.nyquist_sampling_A`.
    """
    extent_A, gpts = _pair(extent_A), _pair(gpts)
    intensity = sum(
        share * np.abs(probe_wave(focused, extent_A=extent_A, gpts=gpts)) ** 2 for share, focused in microscope.foci()
    )
    if microscope.source_size_A == 0:
        return intensity
    k_y, k_x = (np.fft.fftfreq(n, extent / n) for n, extent in zip(gpts, extent_A, strict=True))
    blur = source_transfer(microscope, k_y[:, None] ** 2 + k_x**2)
    return np.fft.ifft2(np.fft.fft2(intensity) * blur).real.clip(0)


@lru_cache(maxsize=64)
def transfer_function(microscope: Microscope, *, extent_A: tuple[float, float]) -> np.ndarray:
    """Optical transfer function on the frequencies m / extent_A up to the image's band limit 2 alpha / lambda.

    Real, (2 m_y + 1, m_x + 1): rows run from -m_y to m_y, columns from 0 to m_x. It is 1 at zero frequency and negative
    where aberrations reverse the contrast. The probe is computed in a box twice as large and every second frequency is
    kept, so that a probe that just fits the box does not overlap its own periodic images.
    """
    fine = _OVERSAMPLING / microscope.nyquist_sampling_A
    gpts = tuple(2 * int(np.ceil(extent * fine)) for extent in extent_A)
    wide = probe_intensity(microscope, extent_A=tuple(2 * extent for extent in extent_A), gpts=gpts)
    spectrum = np.fft.fft2(np.fft.ifftshift(wide)).real
    m_y, m_x = (band_edge(microscope, extent_A=extent) for extent in extent_A)
    return spectrum[np.ix_(2 * np.arange(-m_y, m_y + 1), 2 * np.arange(m_x + 1))].astype(np.float32)


def band_edge(microscope: Microscope, *, extent_A: float) -> int:
    """Index m of the last frequency m / extent_A inside the band of the image."""
    return int(np.floor(extent_A * 2 * microscope.convergence_mrad * 1e-3 / microscope.wavelength_A))


@lru_cache(maxsize=8)
def encircled_energy(microscope: Microscope) -> tuple[np.ndarray, np.ndarray]:
    """Ascending radii (n,) in angstrom, and the fraction (n,) of the probe within each."""
    extent_A = _wide_extent_A(microscope)
    n = 2 * int(np.ceil(extent_A * _OVERSAMPLING / microscope.nyquist_sampling_A))
    intensity = probe_intensity(microscope, extent_A=extent_A, gpts=n)
    x = (np.arange(n) - n // 2) * extent_A / n
    edges = np.arange(n // 2 + 1) * extent_A / n
    held, _ = np.histogram(np.hypot(x[:, None], x), bins=edges, weights=intensity)
    return edges[1:], np.cumsum(held)


def probe_radius_A(microscope: Microscope, *, fraction: float = 0.99) -> float:
    """Radius of the circle that contains this fraction of the probe.

    Raises TsgError unless the fraction lies strictly between 0 and 1, and if the probe's long tails reach it only
    outside the computed box.
    """
    if not 0 < fraction < 1:
        raise TsgError(f"fraction={fraction} must lie between 0 and 1")
    radii_A, held = encircled_energy(microscope)
    if held[-1] < fraction:
        raise TsgError(f"fraction={fraction} of the probe is not within {radii_A[-1]:.0f} A; at most {held[-1]:.4f} is")
    return float(np.interp(fraction, held, radii_A))


def fraction_within(microscope: Microscope, *, radius_A: float) -> float:
    """Fraction of the probe within a radius."""
    radii_A, held = encircled_energy(microscope)
    return float(np.interp(radius_A, np.r_[0, radii_A], np.r_[0, held]))


def clear_padding_A(microscope: Microscope, *, field_A: float, fraction: float = 0.99) -> float:
    """By how much a periodic box must exceed a field for this fraction of the probe to stay clear of its own images."""
    radius_A = probe_radius_A(microscope, fraction=fraction)
    return max(radius_A, 2 * radius_A - field_A)


def _wide_extent_A(microscope: Microscope) -> float:
    """Edge of a box wide enough for the tails: several geometric radii Cs alpha^3 + |defocus| alpha of the probe."""
    alpha = microscope.convergence_mrad * 1e-3
    defocus_A = abs(microscope.defocus_A) + 3 * microscope.defocus_spread_A
    geometric_A = abs(microscope.Cs_um) * 1e4 * alpha**3 + defocus_A * alpha + microscope.source_size_A
    return max(80.0, 5 * geometric_A)


def source_transfer(microscope: Microscope, k2: np.ndarray) -> np.ndarray:
    """Transfer function of the effective source, a Gaussian, at the squared spatial frequencies k2."""
    sigma_A = microscope.source_size_A / np.sqrt(8 * np.log(2))
    return np.exp(-2 * np.pi**2 * sigma_A**2 * k2)


def _pair(value: Any) -> tuple:
    return tuple(value) if np.ndim(value) else (value, value)
