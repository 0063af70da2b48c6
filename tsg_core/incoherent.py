"""The fast engine: every atom adds its cross-section times the probe's intensity at its exact position."""

import math
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from scipy.interpolate import CubicSpline

from .errors import TsgError
from .geometry import rotate_about_y
from .microscope import Microscope
from .probe import transfer_function
from .sampling import PaddedFrame
from .scattering import atom_transfer, thermal_sigma_A


def incoherent_frames(
    atoms: Atoms,
    *,
    microscope: Microscope,
    tilt_deg: np.ndarray,
    frame: PaddedFrame,
    thermal_displacement_A: float | None = None,
    depth_step_A: float = 4.0,
    device: str = "cpu",
    progress=iter,
) -> np.ndarray:
    """Frames (n_tilt, n_y, n_x), fractions of the incident beam.

    The frame's spectrum is the probe's transfer function times the atoms' structure factor, which is a product of an
    exponential in y and one in x: a matrix product for each tilt, exact in the atoms' positions. Only frequencies below
    2 alpha / lambda are computed. Each atom adds its own transfer (scattering and thermal displacement), and sees the
    probe at its depth, in steps of `depth_step_A`, with the focus (defocus 0) on the plane of the tilt axis.
    Each tilt is computed by itself, so that a frame is the same in any batch.
    `thermal_displacement_A` replaces the elements' own thermal displacements.
    """
    if microscope.detector_inner_mrad < microscope.convergence_mrad:
        raise TsgError(
            f"detector_inner_mrad={microscope.detector_inner_mrad:g} lies inside the convergent beam of "
            f"{microscope.convergence_mrad:g} mrad, where images are not incoherent; use engine='prism' or 'multislice'"
        )
    if thermal_displacement_A is not None and not (math.isfinite(thermal_displacement_A) and thermal_displacement_A >= 0):
        raise TsgError(f"thermal_displacement_A={thermal_displacement_A} must be zero or a positive number of angstrom")
    if not (math.isfinite(depth_step_A) and depth_step_A > 0):
        raise TsgError(f"depth_step_A={depth_step_A} must be a positive number")
    in_focus = transfer_function(microscope, extent_A=frame.extent_A)
    band = in_focus.shape[0] // 2, in_focus.shape[1] - 1
    k_y, k_x = frame.frequencies(band, device=device)
    k = torch.sqrt(k_y[:, None] ** 2 + k_x**2)
    pixels = frame.pixel_transfer(k_y, k_x) / frame.pixel_size_A**2
    middle_y, middle_x = frame.middle_A

    symbols = np.array(atoms.get_chemical_symbols())
    elements = []  # how each transfers, its exponentials along the tilt axis, its x and z
    for element in sorted(set(symbols)):
        x, y, z = torch.as_tensor(atoms.positions[symbols == element].T.copy(), dtype=torch.float64, device=device)
        sigma_A = thermal_sigma_A(element) if thermal_displacement_A is None else thermal_displacement_A
        own = _interpolated(k, *atom_transfer(element, microscope)) * torch.exp(-2 * torch.pi**2 * sigma_A**2 * k**2)
        elements.append(((own * pixels).to(torch.float32), _exponential(k_y[:, None], y + middle_y), x, z))

    frames = np.empty((len(tilt_deg), *frame.shape), np.float32)
    for i in progress(range(len(tilt_deg))):
        tilt_rad = np.deg2rad(tilt_deg[i])
        spectrum = 0
        for transfer, along_y, x, z in elements:
            column, depth = rotate_about_y(x, z, np.cos(tilt_rad), np.sin(tilt_rad))
            along_x = _exponential((column + middle_x)[:, None], k_x)
            slab = torch.round(depth / depth_step_A).to(torch.int64)
            for number in torch.unique(slab).tolist():
                at_depth = replace(microscope, defocus_A=microscope.defocus_A + number * depth_step_A)
                otf = torch.as_tensor(transfer_function(at_depth, extent_A=frame.extent_A), device=device)
                here = slab == number
                spectrum = spectrum + transfer * otf * (along_y[:, here] @ along_x[here])
        frames[i] = frame.image(spectrum).clamp(min=0).cpu().numpy()
    return frames


def _interpolated(k: torch.Tensor, known_k: np.ndarray, values: np.ndarray) -> torch.Tensor:
    """Cubic interpolation of an atom's transfer, 0 beyond the band."""
    inside = CubicSpline(known_k, values)(k.clamp(max=float(known_k[-1])).cpu().numpy())
    return torch.as_tensor(inside, device=k.device) * (k <= float(known_k[-1]))


def _exponential(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """exp(-2 pi i a b) in complex64; whole turns are dropped in double precision first."""
    turns = a * b
    angle = (-2 * torch.pi * (turns - turns.round())).to(torch.float32)
    return torch.complex(torch.cos(angle), torch.sin(angle))
