"""abTEM's multislice and PRISM, for comparison: scanned at Nyquist and transferred to the pixels exactly."""

from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from scipy.fft import next_fast_len

from ..errors import TsgError
from ..microscope import Microscope
from ..optics.pixels import PaddedFrame
from ..optics.probe import abtem_lens, band_edge, probe_radius_A, source_transfer
from ..optics.scattering import thermal_sigma_A
from .specimen import checked_sampling_A, in_box, tilted_cell


def abtem_frames(
    atoms: Atoms,
    *,
    engine: str,
    microscope: Microscope,
    tilt_deg: np.ndarray,
    frame: PaddedFrame,
    scan_step_A: float | None = None,
    sampling_A: float | None = None,
    slice_thickness_A: float = 1.0,
    interpolation: int | None = None,
    phonon_configurations: int = 0,
    thermal_displacement_A: float | None = None,
    phonon_seed: int = 0,
    progress=iter,
) -> np.ndarray:
    """Frames (n_tilt, n_y, n_x) as fractions of the incident beam, by abTEM's "prism" or "multislice".

    The whole periodic box is scanned in steps of at most `microscope.nyquist_sampling_A`, so that the image between the
    scan points is known. The probe is focused (defocus 0) on the plane of the tilt axis. PRISM's `interpolation` is by
    default the largest whose window still contains the probe. The default `sampling_A` of the potential is the coarsest
    that reaches the outer angle of the detector, at most 0.1 A. Totals then depend on the sampling by several per cent,
    the pattern hardly at all; half the sampling costs four times as much. `phonon_configurations` frozen sets of
    displacements are averaged; 0 keeps the atoms at rest. `thermal_displacement_A` (one dimension, root mean square)
    replaces the displacements of the elements. Atoms outside the box at a tilt are left out there.
    Raises TsgError for a scan step coarser than Nyquist, or finer than the sampling of the potential.
    """
    import abtem  # here, since its import compiles for seconds

    sampling_A = checked_sampling_A(microscope, sampling_A)
    nyquist_A = microscope.nyquist_sampling_A
    scan_step_A = nyquist_A if scan_step_A is None else scan_step_A
    if not sampling_A <= scan_step_A <= nyquist_A * (1 + 1e-6):
        raise TsgError(
            f"scan_step_A={scan_step_A:g} must lie between the potential's sampling of {sampling_A:.3f} A and the "
            f"Nyquist step of {nyquist_A:.3f} A"
        )
    sigma_A = {
        element: thermal_sigma_A(element) if thermal_displacement_A is None else thermal_displacement_A
        for element in set(atoms.get_chemical_symbols())
    }
    interpolation = interpolation or prism_interpolation(microscope, extent_A=frame.extent_A)
    # PRISM keeps the beam's total only where its interpolation divides the grid
    fewest = (int(np.ceil(extent / sampling_A / interpolation)) for extent in frame.extent_A[::-1])
    gpts = tuple(interpolation * next_fast_len(n) for n in fewest)
    steps = tuple(int(np.ceil(extent / scan_step_A)) for extent in frame.extent_A[::-1])
    frames = np.empty((len(tilt_deg), *frame.shape), np.float32)
    with abtem.config.set({"diagnostics.progress_bar": False}):
        for i in progress(range(len(tilt_deg))):
            seen = in_box(atoms, tilt_deg=tilt_deg[i], extent_A=frame.extent_A)
            cell = tilted_cell(seen, tilt_deg=tilt_deg[i], extent_A=frame.extent_A)
            if phonon_configurations:
                cell = abtem.FrozenPhonons(cell, phonon_configurations, sigma_A, seed=phonon_seed)
            potential = abtem.Potential(cell, gpts=gpts, slice_thickness=slice_thickness_A, parametrization="lobato")
            detector = abtem.AnnularDetector(microscope.detector_inner_mrad, microscope.detector_outer_mrad)
            scan = abtem.GridScan((0, 0), frame.extent_A[::-1], gpts=steps, endpoint=False)
            matrix = _scattering_matrix(potential, microscope, interpolation) if engine == "prism" else None
            image = 0.0
            for share, focused in microscope.foci():
                lens = abtem_lens(replace(focused, defocus_A=focused.defocus_A + potential.box[2] / 2))
                if matrix is not None:
                    scanned = matrix.scan(scan=scan, detectors=detector, ctf=abtem.CTF(**lens))
                else:
                    scanned = abtem.Probe(**lens).scan(potential, scan=scan, detectors=detector)
                image = image + share * np.asarray(scanned.compute().array).T
            frames[i] = _onto_pixels(image, microscope=microscope, frame=frame)
    return frames


def _scattering_matrix(potential, microscope: Microscope, interpolation: int):
    import abtem

    cutoff = {key: value for key, value in abtem_lens(microscope).items() if key in ("energy", "semiangle_cutoff")}
    return abtem.SMatrix(potential=potential, interpolation=interpolation, **cutoff)


def prism_interpolation(microscope: Microscope, *, extent_A: tuple[float, float]) -> int:
    """Largest interpolation whose window, the box divided by it, still contains 99 % of the probe."""
    return max(1, int(min(extent_A) / (2 * probe_radius_A(microscope, fraction=0.99))))


def _onto_pixels(scan: np.ndarray, *, microscope: Microscope, frame: PaddedFrame) -> np.ndarray:
    """Means over the pixels of the frame, from an image (n_scan_y, n_scan_x) known at Nyquist over the whole box."""
    band = tuple(
        min(band_edge(microscope, extent_A=extent), (n - 1) // 2)
        for extent, n in zip(frame.extent_A, scan.shape, strict=True)
    )
    k_y, k_x = frame.frequencies(band)
    spectrum = torch.fft.fft2(torch.as_tensor(scan, dtype=torch.float64))
    spectrum = spectrum[torch.arange(-band[0], band[0] + 1) % scan.shape[0], : band[1] + 1]
    # the tilt axis is in the middle of abTEM's box and at middle_A from the frame's first pixel
    shift_y, shift_x = (extent / 2 - middle for extent, middle in zip(frame.extent_A, frame.middle_A, strict=True))
    phase = torch.exp(2j * torch.pi * (k_y * shift_y)[:, None]) * torch.exp(2j * torch.pi * k_x * shift_x)
    source = torch.as_tensor(source_transfer(microscope, (k_y[:, None] ** 2 + k_x**2).numpy()))
    pixels = frame.image(spectrum * phase * source * frame.pixel_transfer(k_y, k_x))
    return (pixels * np.prod(frame.padded) / scan.size).clamp(min=0).numpy().astype(np.float32)
