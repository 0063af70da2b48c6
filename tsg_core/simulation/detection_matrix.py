"""Frames by multislice for any probe from one calculation: how much each pair of incident plane waves puts on the detector.

A wave incident on a box is a sum of plane waves with amplitudes c; what the detector collects of it is c* D c with the
Hermitian detection matrix D = S* A S, where S propagates plane waves through the specimen (multislice) and A keeps the
annulus. D depends on the specimen and its tilt alone, so that every probe position, focus and aberration costs a product
with it. The matrix is that of Ophus (Adv. Struct. Chem. Imaging 3, 13, 2017), summed over the detector.

The box need not hold the probe. Only what passes through the specimen is scattered to a dark-field detector, so that the
incident wave is cut, smoothly, to a box that holds the particle: a probe twice as wide as the box costs no more.
"""

from dataclasses import dataclass, replace

import abtem
import numpy as np
import torch
from ase import Atoms
from scipy.fft import dctn, idctn, next_fast_len

from ..errors import TsgError
from ..microscope import Microscope
from ..optics.probe import probe_wave
from .multislice import potential_sampling_A, tilted_cell

_TAPER = 0.18  # of the box's edge: what the window falls from 1 to 0 in, on both sides together
_BATCH = 32  # plane waves at a time
_PROBE_STEPS = 2  # of the probe's sampling per pixel


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionMatrix:
    """What a detector collects of a specimen in a square box, the tilt axis in its middle.

    matrix        (n, n) complex64, Hermitian, for amplitudes of plane waves whose mean square over the box is their sum
    waves         (n, 2) integers: frequencies (y, x) in units of 1 / extent_A
    extent_A      edge of the box
    thickness_A   of the box along the beam; incident waves are those of its upper face
    """

    matrix: torch.Tensor
    waves: np.ndarray
    extent_A: float
    thickness_A: float

    def frame(self, microscope: Microscope, *, n_pixels: int) -> np.ndarray:
        """Square frame over the box, (n_pixels, n_pixels) means over pixels, as fractions of the incident beam.

        The focus is on the plane of the tilt axis. The probe may be wider than the box.
        """
        pixel_size_A = self.extent_A / n_pixels
        image = sum(
            share * self._scan(focused, n_pixels=n_pixels, pixel_size_A=pixel_size_A)
            for share, focused in microscope.foci()
        )
        # the mean over a pixel, in the basis that mirrors the image at its edges
        transfer = np.sinc(np.arange(n_pixels) / (2 * n_pixels))
        return idctn(dctn(image, norm="ortho") * transfer[:, None] * transfer, norm="ortho").astype(np.float32)

    def _scan(self, microscope: Microscope, *, n_pixels: int, pixel_size_A: float) -> np.ndarray:
        probe = self._probe(microscope, step_A=pixel_size_A / _PROBE_STEPS)
        n_grid, middle = _PROBE_STEPS * n_pixels, len(probe) // 2
        window = _window(n_grid)
        keep = tuple(self.waves.T % n_grid)
        image = np.empty((n_pixels, n_pixels))
        # grid point j lies at j steps, pixel i's centre at (i + 1/2) pixels
        places = _PROBE_STEPS * np.arange(n_pixels) + _PROBE_STEPS // 2
        for i, y in enumerate(places):
            rows = slice(middle - y, middle - y + n_grid)
            waves = np.stack([probe[rows, middle - x : middle - x + n_grid] for x in places]) * window
            amplitudes = torch.fft.fft2(torch.as_tensor(waves, dtype=torch.complex64))[:, keep[0], keep[1]] / n_grid**2
            collected = (amplitudes.conj() * (amplitudes @ self.matrix.T)).sum(dim=1).real
            image[i] = collected.numpy() * self.extent_A**2
        return image

    def _probe(self, microscope: Microscope, *, step_A: float) -> np.ndarray:
        """Wave on the upper face around the middle pixel, of integral |.|^2 = 1 over area, twice the box to each side."""
        n = 4 * int(np.ceil(self.extent_A / step_A))
        above = replace(microscope, defocus_A=microscope.defocus_A + self.thickness_A / 2)
        return probe_wave(above, extent_A=(n * step_A,) * 2, gpts=(n, n)) / step_A


def detection_matrix(
    atoms: Atoms,
    *,
    microscope: Microscope,
    tilt_deg: float,
    extent_A: float,
    cone_mrad: float | None = None,
    gpts: int | None = None,
    slice_thickness_A: float = 1.5,
    parametrization: str = "kirkland",
) -> DetectionMatrix:
    """The matrix of the detector of `microscope` and the atoms (centred), tilted, in a box of `extent_A` squared.

    `cone_mrad` bounds the incident plane waves: by default the convergence and 10 mrad for the edges of the window.
    `gpts` of the potential are by default the fewest that reach the detector's outer angle.
    Raises TsgError where the cone reaches the detector, or the particle the window's flanks.
    """
    cone_mrad = microscope.convergence_mrad + 10 if cone_mrad is None else cone_mrad
    if cone_mrad > microscope.detector_inner_mrad:
        raise TsgError(f"cone_mrad={cone_mrad:g} reaches the detector, from {microscope.detector_inner_mrad:g} mrad on")
    half_A, flat_A = np.abs(atoms.positions).max(), extent_A * (1 - _TAPER) / 2
    if half_A > flat_A:
        raise TsgError(
            f"atoms {half_A:.1f} A from the middle do not fit a box of {extent_A:g} A, flat to {flat_A:.1f} A"
        )
    gpts = next_fast_len(int(np.ceil(extent_A / potential_sampling_A(microscope)))) if gpts is None else gpts
    cell = tilted_cell(atoms, tilt_deg=tilt_deg, extent_A=(extent_A, extent_A))
    with abtem.config.set({"diagnostics.progress_bar": False}):
        potential = abtem.Potential(
            cell, gpts=gpts, slice_thickness=slice_thickness_A, parametrization=parametrization
        ).build(lazy=False)
        slices = potential.transmission_function(energy=microscope.energy_keV * 1e3).array
    angle_mrad = _frequencies(gpts) * (microscope.wavelength_A / extent_A * 1e3)
    slices = torch.as_tensor(np.ascontiguousarray(np.asarray(slices).swapaxes(1, 2)), dtype=torch.complex64)
    annulus = (angle_mrad >= microscope.detector_inner_mrad) & (angle_mrad < microscope.detector_outer_mrad)
    rows, columns = np.nonzero(angle_mrad <= cone_mrad)
    distances_A = np.asarray(potential.slice_thickness)
    propagators = {d: _propagator(angle_mrad, d, microscope.wavelength_A) for d in set(distances_A.tolist())}
    detected = torch.cat(
        [
            _propagated(rows[i : i + _BATCH], columns[i : i + _BATCH], slices, [propagators[d] for d in distances_A])[
                :, torch.as_tensor(annulus)
            ]
            for i in range(0, len(rows), _BATCH)
        ]
    )
    signed = np.stack([np.where(k < gpts // 2, k, k - gpts) for k in (rows, columns)], axis=1)
    return DetectionMatrix(
        matrix=detected.conj() @ detected.T, waves=signed, extent_A=extent_A, thickness_A=float(distances_A.sum())
    )


def _propagated(rows, columns, slices, propagators) -> torch.Tensor:
    """Fourier coefficients (n, gpts, gpts) behind the specimen of plane waves of unit amplitude."""
    gpts = slices.shape[-1]
    spectrum = torch.zeros(len(rows), gpts, gpts, dtype=torch.complex64)
    spectrum[range(len(rows)), rows, columns] = 1
    for transmission, propagator in zip(slices, propagators, strict=True):
        spectrum = torch.fft.fft2(torch.fft.ifft2(spectrum) * transmission) * propagator
    return spectrum


def _propagator(angle_mrad: np.ndarray, distance_A: float, wavelength_A: float) -> torch.Tensor:
    """Fresnel's propagator, on the two thirds of the band that a product of two waves leaves free of aliasing.

    The slices themselves are not limited to that band: at 0.1 A that took a tenth of the atoms' peaks, which then were
    further from those at 0.05 A than with the little aliasing it prevents.
    """
    kept = angle_mrad < 2 / 3 * angle_mrad[0].max()
    phase = -np.pi * distance_A / wavelength_A * (angle_mrad * 1e-3) ** 2
    return torch.as_tensor(np.where(kept, np.exp(1j * phase), 0), dtype=torch.complex64)


def _frequencies(gpts: int) -> np.ndarray:
    """|k| (gpts, gpts) in units of the box's lowest frequency."""
    k = np.fft.fftfreq(gpts, 1 / gpts)
    return np.hypot(k[:, None], k)


def _window(n: int) -> np.ndarray:
    """(n, n): 1 in the middle, falling to 0 at the box's edges as a squared cosine."""
    flank = n * _TAPER / 2
    along = np.sin(np.pi / 2 * np.minimum(1, (0.5 + np.minimum(np.arange(n), n - 1 - np.arange(n))) / flank)) ** 2
    return along[:, None] * along
