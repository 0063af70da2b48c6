"""Multislice frames for any probe from one calculation: what each pair of incident plane waves adds to the signal.

A wave incident on a box is a sum of plane waves with amplitudes c. The detector collects c* D c of it, with the
Hermitian detection matrix D = S* A S, where S propagates plane waves through the specimen (multislice) and A keeps the
annulus. D depends only on the specimen, its tilt and the detector. The same matrix therefore gives the images for every
focus, aberration and aperture within the cone of incident waves. S is the scattering matrix of Ophus (Adv. Struct.
Chem. Imaging 3, 13, 2017).

The box must contain the particle, but not the probe. What passes beside the specimen is not scattered to a dark-field
detector, so the incident wave is cut, smoothly, to the box: a probe twice as wide costs no more propagation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import psutil
import torch
from ase import Atoms

from ..errors import TsgError
from ..microscope import Microscope
from ..optics.pixels import PaddedFrame
from ..optics.probe import source_transfer
from ..optics.scattering import thermal_sigma_A
from .matrix_scan import scan_spectra
from .plane_waves import Slices, fast_gpts, scattered, specimen_slices
from .specimen import checked_sampling_A, reach_A

FLANK_A = 2.0  # of the window, at each edge of the box
MARGIN_A = 1.0  # between the atoms and the window's flanks
CONE_mrad = 5.0  # of incident waves beyond the convergence of the microscope, for the spread by the window's flanks
PARAMETRIZATIONS = ("lobato", "kirkland", "peng")  # of the atoms' potentials, by abTEM
_BLOCKS = 8  # of rows of the matrix; only its upper triangle is computed
_MOST_PASSES = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionMatrix:
    """What a detector collects from a specimen in a rectangular box with the tilt axis in its middle.

    matrix        (n, n) complex64, Hermitian, for amplitudes of plane waves whose mean square over the box is their sum
    waves         (n, 2) integers: frequencies (y, x) in units of 1 / box_A; phases are 0 in the middle of the box
    box_A         edges (y, x) of the box
    thickness_A   of the box along the beam; incident waves are those at its upper face
    detector_mrad (inner, outer) angles of the detector for which the matrix was made
    cone_mrad     half angle of the cone of incident waves
    """

    matrix: torch.Tensor
    waves: np.ndarray
    box_A: tuple[float, float]
    thickness_A: float
    energy_keV: float
    detector_mrad: tuple[float, float]
    cone_mrad: float

    def frame(self, microscope: Microscope, *, frame: PaddedFrame) -> np.ndarray:
        """Frame (n_y, n_x) float32: means over pixels, as fractions of the incident beam; tilt axis in the middle.

        The focus is on the plane of the tilt axis. The probe may be wider than the box; it repeats itself with the
        period of the padded frame. Raises TsgError where the matrix is of another detector, energy or a narrower cone.
        """
        return self.frames([microscope], frame=frame)[0]

    def frames(self, microscopes: Sequence[Microscope], *, frame: PaddedFrame) -> np.ndarray:
        """Frames (n, n_y, n_x) of several microscopes, as `frame` returns them, in less time than one by one."""
        field_A = (n * frame.pixel_size_A for n in frame.shape)
        beyond_A = max(0.0, *((box - field) / 2 for box, field in zip(self.box_A, field_A, strict=True)))
        frame = replace(frame, padding_A=frame.padding_A + beyond_A)  # copies of the probe stay outside the box, too
        spectra = self.spectra(microscopes, period_A=frame.extent_A)
        m_y, m_x = (n // 2 for n in spectra.shape[1:])
        k_y, k_x = frame.frequencies((m_y, m_x))
        middle_y, middle_x = frame.middle_A
        phase = torch.exp(-2j * torch.pi * (k_y * middle_y)[:, None]) * torch.exp(-2j * torch.pi * k_x * middle_x)
        transfer = phase * frame.pixel_transfer(k_y, k_x)
        pixels = torch.stack([frame.image(one[:, m_x:].to(torch.complex128) * transfer) for one in spectra])
        return (pixels * np.prod(frame.padded)).clamp(min=0).numpy().astype(np.float32)

    def spectra(self, microscopes: Sequence[Microscope], *, period_A: tuple[float, float]) -> torch.Tensor:
        """Fourier coefficients (n, 2 m_y + 1, 2 m_x + 1) of scanned images about the tilt axis, 1 / period apart."""
        for microscope in microscopes:
            self._check(microscope)
        above = [replace(one, defocus_A=one.defocus_A + self.thickness_A / 2) for one in microscopes]
        spectra = scan_spectra(
            self.matrix, self.waves, microscopes=above, box_A=self.box_A, flank_A=FLANK_A, period_A=period_A
        ).cpu()
        k_y, k_x = (
            np.arange(-(n // 2), n // 2 + 1) / period for n, period in zip(spectra.shape[1:], period_A, strict=True)
        )
        k2 = k_y[:, None] ** 2 + k_x**2
        return spectra * torch.as_tensor(np.stack([source_transfer(microscope, k2) for microscope in microscopes]))

    def _check(self, microscope: Microscope) -> None:
        detector_mrad = (microscope.detector_inner_mrad, microscope.detector_outer_mrad)
        if (microscope.energy_keV, *detector_mrad) != (self.energy_keV, *self.detector_mrad):
            raise TsgError(
                f"the matrix is of {self.energy_keV:g} keV and a detector of {self.detector_mrad[0]:g} to "
                f"{self.detector_mrad[1]:g} mrad; make another for this microscope"
            )
        if microscope.convergence_mrad > self.cone_mrad:
            raise TsgError(
                f"the matrix holds waves of up to {self.cone_mrad:g} mrad and the microscope converges by "
                f"{microscope.convergence_mrad:g} mrad; make it with a wider cone"
            )


def detection_matrix(
    atoms: Atoms,
    *,
    microscope: Microscope,
    tilt_deg: float,
    box_A: float | tuple[float, float] | None = None,
    cone_mrad: float | None = None,
    sampling_A: float | None = None,
    slice_thickness_A: float = 1.0,
    parametrization: str = "lobato",
    antialias: bool = True,
    phonon_configurations: int = 0,
    thermal_displacement_A: float | None = None,
    phonon_seed: int = 0,
    device: str | torch.device = "cpu",
    memory_GB: float | None = None,
    cut: bool = False,
) -> DetectionMatrix:
    """The matrix for the detector of `microscope` and the tilted atoms, whose positions are relative to the tilt axis.

    box_A         edge, or a pair (y, x); by default a box that fits the particle at every tilt, see `box_of`
    cone_mrad     limit of the incident plane waves; by default the convergence plus 5 mrad. A wider cone serves several
                  microscopes with the same detector
    sampling_A    of the potential; by default the coarsest that reaches the detector's outer angle, at most 0.1 A
    antialias     see `plane_waves.specimen_slices`
    memory_GB     working memory, by default what is free; less memory takes longer
    cut           the atoms are those of a larger sample inside the box at this tilt: they may reach its edges. Frames
                  are then right as far as probes stay clear of the flanks

    Frozen phonons work as in `abtem_engines.abtem_frames`: the matrix is the mean over displaced atoms.
    Raises TsgError if the beam reaches the detector, if the particle reaches the window's flanks, or if the matrix does
    not fit into memory.
    """
    if len(atoms) == 0:
        raise TsgError("there are no atoms to image")
    sampling_A = checked_sampling_A(microscope, sampling_A)
    _check_options(slice_thickness_A, parametrization, phonon_configurations, thermal_displacement_A)
    if not cut:
        box_A = box_of(atoms, sampling_A=sampling_A) if box_A is None else _checked_box(box_A, atoms)
    cone_mrad = microscope.convergence_mrad + CONE_mrad if cone_mrad is None else cone_mrad
    _check_angles(microscope, cone_mrad)
    device = _checked_device(device)
    n_configurations = max(1, phonon_configurations)
    matrix = None
    for configuration in range(n_configurations):
        displaced = atoms
        if phonon_configurations:
            displaced = _displaced(atoms, thermal_displacement_A, seed=(phonon_seed, configuration))
        slices = specimen_slices(
            displaced,
            microscope=microscope,
            tilt_deg=tilt_deg,
            extent_A=box_A,
            sampling_A=sampling_A,
            slice_thickness_A=slice_thickness_A,
            parametrization=parametrization,
            antialias=antialias,
            device=device,
        )
        if matrix is None:
            waves = _waves_within(cone_mrad, box_A, microscope)
            weights = _on_detector(slices, microscope)
            n_passes = _passes(len(waves), int((weights > 0).sum()), slices, memory_GB=memory_GB)
            matrix = torch.zeros(len(waves), len(waves), dtype=torch.complex64, device=device)
        for part in _parts(weights, n_passes):
            _add_collected(matrix, slices, waves, part)
    return DetectionMatrix(
        matrix=_completed(matrix, waves).div_(n_configurations),
        waves=waves,
        box_A=box_A,
        thickness_A=slices.thickness_A,
        energy_keV=microscope.energy_keV,
        detector_mrad=(microscope.detector_inner_mrad, microscope.detector_outer_mrad),
        cone_mrad=cone_mrad,
    )


def box_of(atoms: Atoms, *, sampling_A: float) -> tuple[float, float]:
    """Edges (y, x) of the smallest box for the atoms at every tilt, a margin and the window's flanks.

    The edges are whole numbers of grid points with fast transforms, so that frames at all tilts are sampled alike.
    """
    edges_A = (2 * (reach + MARGIN_A + FLANK_A) for reach in reach_A(atoms))
    return on_grid(edges_A, sampling_A=sampling_A)


def on_grid(edges_A: Iterable[float], *, sampling_A: float) -> tuple[float, float]:
    """The edges of a box, enlarged to whole numbers of grid points with fast transforms."""
    return tuple(sampling_A * fast_gpts(edge, sampling_A=sampling_A) for edge in edges_A)


def box_edges_A(box_A: float | tuple[float, float]) -> tuple[float, float]:
    """Edges (y, x) of a box that is given by one edge or by both."""
    return tuple(map(float, box_A)) if np.ndim(box_A) else (float(box_A),) * 2


def _checked_box(box_A, atoms: Atoms) -> tuple[float, float]:
    box_A = box_edges_A(box_A)
    for axis, edge_A, far_A in zip("yx", box_A, reach_A(atoms), strict=True):
        if not edge_A / 2 - FLANK_A >= far_A:
            raise TsgError(
                f"a box of {edge_A:g} A along {axis} cuts the particle, whose atoms reach {far_A:.1f} A from the "
                f"tilt axis at one tilt or another; one of {2 * (far_A + MARGIN_A + FLANK_A):.1f} A holds it"
            )
    return box_A


def _check_angles(microscope: Microscope, cone_mrad: float) -> None:
    if microscope.convergence_mrad > microscope.detector_inner_mrad:
        raise TsgError(
            f"the beam converges by {microscope.convergence_mrad:g} mrad and reaches the detector, from "
            f"{microscope.detector_inner_mrad:g} mrad on; take abTEM's multislice"
        )
    if cone_mrad < microscope.convergence_mrad:
        raise TsgError(
            f"cone_mrad={cone_mrad:g} leaves out waves of the probe, which converges by "
            f"{microscope.convergence_mrad:g} mrad; widen it"
        )


def _check_options(slice_thickness_A, parametrization, phonon_configurations, thermal_displacement_A) -> None:
    if not 0 < slice_thickness_A < np.inf:
        raise TsgError(f"slice_thickness_A={slice_thickness_A:g} must be a positive number")
    if parametrization not in PARAMETRIZATIONS:
        raise TsgError(f"parametrization={parametrization!r} is not one of {', '.join(PARAMETRIZATIONS)}")
    if phonon_configurations < 0 or phonon_configurations != int(phonon_configurations):
        raise TsgError(f"phonon_configurations={phonon_configurations} must be a whole number, 0 for atoms at rest")
    if thermal_displacement_A is not None and not 0 <= thermal_displacement_A < np.inf:
        raise TsgError(f"thermal_displacement_A={thermal_displacement_A:g} must be zero or positive")


def _checked_device(device) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise TsgError(f"device={str(device)!r} is not there: {str(error).splitlines()[0]}") from error


def _displaced(atoms: Atoms, thermal_displacement_A: float | None, *, seed) -> Atoms:
    sigma_A = [
        thermal_sigma_A(element) if thermal_displacement_A is None else thermal_displacement_A
        for element in atoms.get_chemical_symbols()
    ]
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(size=(len(atoms), 3)) * np.array(sigma_A)[:, None]
    return moved


def _waves_within(cone_mrad: float, box_A: tuple[float, float], microscope: Microscope) -> np.ndarray:
    """Frequencies (n, 2) of the box's plane waves inside the cone."""
    radius = cone_mrad * 1e-3 / microscope.wavelength_A
    m_y, m_x = (int(edge * radius) for edge in box_A)
    y, x = np.meshgrid(np.arange(-m_y, m_y + 1), np.arange(-m_x, m_x + 1), indexing="ij")
    inside = np.hypot(y / box_A[0], x / box_A[1]) <= radius
    return np.stack([y[inside], x[inside]], axis=1)


def _on_detector(slices: Slices, microscope: Microscope) -> torch.Tensor:
    """Fraction (n_y, n_x) of each frequency of the grid that lies on the annulus, whose edges cut through pixels."""
    angles_mrad = slices.angles_mrad()
    step_mrad = slices.wavelength_A * 1e3 / np.sqrt(np.prod(slices.extent_A))
    inner, outer = (
        np.clip((angles_mrad - edge) / step_mrad + 0.5, 0, 1)
        for edge in (microscope.detector_inner_mrad, microscope.detector_outer_mrad)
    )
    return torch.as_tensor(inner - outer, dtype=torch.float32, device=slices.transmission.device)


def _add_collected(matrix: torch.Tensor, slices: Slices, waves: np.ndarray, weights: torch.Tensor) -> None:
    """Add the upper triangle, in blocks, of what some pixels of the detector collect."""
    amplitudes = torch.empty(len(waves), int((weights > 0).sum()), dtype=torch.complex64, device=matrix.device)
    for block, part in scattered(slices, waves, weights=weights):
        amplitudes[block] = part
    edges = np.linspace(0, len(waves), _BLOCKS + 1).astype(int).tolist()
    for low, high in pairwise(edges):
        # the product's rows are waves of the conjugate matrix
        matrix[low:high, low:].addmm_(amplitudes[low:high], amplitudes[low:].mH)


def _completed(matrix: torch.Tensor, waves: np.ndarray) -> torch.Tensor:
    """The whole Hermitian matrix of the upper triangle of its conjugate, with phases 0 in the box's middle."""
    edges = np.linspace(0, len(waves), _BLOCKS + 1).astype(int).tolist()
    for low, high in pairwise(edges):
        matrix[high:, low:high] = matrix[low:high, high:].mH
    signs = torch.as_tensor(1.0 - 2.0 * (waves.sum(axis=1) % 2), dtype=torch.float32, device=matrix.device)
    return matrix.conj_physical_().mul_(signs).mul_(signs[:, None])


def _parts(weights: torch.Tensor, n_passes: int) -> list[torch.Tensor]:
    """The weights of the detector, divided among this many passes."""
    pixels = torch.nonzero(weights.ravel() > 0).ravel()
    parts = []
    for i in range(n_passes):
        part = torch.zeros_like(weights).ravel()
        part[pixels[i::n_passes]] = weights.ravel()[pixels[i::n_passes]]
        parts.append(part.reshape(weights.shape))
    return parts


def _passes(n_waves: int, n_pixels: int, slices: Slices, *, memory_GB: float | None) -> int:
    """Number of parts of the detector for which the amplitudes of the waves fit into memory beside the matrix.

    Raises TsgError if not even an eighth of them fits.
    """
    available = 0.9 * _free_bytes(slices.transmission.device) if memory_GB is None else memory_GB * 1e9
    kept = 8 * n_waves**2 * (1 + 1 / _BLOCKS) + 3e8  # the matrix, a block of it, and what the scan takes
    amplitudes = 8 * n_waves * n_pixels
    if kept + amplitudes / _MOST_PASSES > available:
        y_A, x_A = slices.extent_A
        raise TsgError(
            f"the detection matrix of {n_waves} waves in a box of {y_A:.1f} x {x_A:.1f} A needs "
            f"{(kept + amplitudes / _MOST_PASSES) / 1e9:.1f} GB of memory and has {available / 1e9:.1f} GB; a smaller "
            "box, down to what holds the particle (or the frame, if the sample goes on outside it), or a narrower cone "
            "takes less"
        )
    return int(np.ceil(amplitudes / (available - kept)))


def _free_bytes(device: torch.device) -> float:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
