"""The fast engine: every atom adds its cross-section times the probe's intensity at its exact position."""

import numpy as np
import torch
from ase import Atoms
from scipy.fft import next_fast_len

from .errors import TsgError
from .geometry import rotate_about_y
from .microscope import Microscope
from .probe import transfer_function
from .scattering import ATOM_WIDTH_A, haadf_cross_section_A2


def incoherent_frames(
    atoms: Atoms,
    *,
    microscope: Microscope,
    tilt_deg: np.ndarray,
    shape: tuple[int, int],
    pixel_size_A: float,
    padding_A: float,
    atom_width_A: float = ATOM_WIDTH_A,
    device: str = "cpu",
    progress=iter,
) -> np.ndarray:
    """Frames (n_tilt, n_y, n_x), fractions of the incident beam.

    The frame's spectrum is the probe's transfer function times the atoms' structure factor, which is a product of an
    exponential in y and one in x: a matrix product for each tilt, exact in the atoms' positions. Only frequencies below
    2 alpha / lambda are computed, in a periodic box `padding_A` larger than the frame. Frequencies finer than the
    pixels can hold are left out; the small negative lobes that this leaves beside sharp atoms are set to zero.
    Each tilt is computed by itself, so that a frame is the same in any batch.
    """
    if microscope.detector_inner_mrad < microscope.convergence_mrad:
        raise TsgError(
            f"detector_inner_mrad={microscope.detector_inner_mrad:g} lies inside the convergent beam of "
            f"{microscope.convergence_mrad:g} mrad, where images are not incoherent; use engine='prism' or 'multislice'"
        )
    padded = tuple(next_fast_len(n + int(np.ceil(padding_A / pixel_size_A)), real=True) for n in shape)
    extent_A = tuple(n * pixel_size_A for n in padded)
    otf = transfer_function(microscope, extent_A=extent_A)
    m_y, m_x = (min(band, (n - 1) // 2) for band, n in zip((otf.shape[0] // 2, otf.shape[1] - 1), padded, strict=True))
    otf = otf[otf.shape[0] // 2 - m_y : otf.shape[0] // 2 + m_y + 1, : m_x + 1]
    k_y = torch.arange(-m_y, m_y + 1, dtype=torch.float64, device=device) / extent_A[0]
    k_x = torch.arange(m_x + 1, dtype=torch.float64, device=device) / extent_A[1]

    symbols = np.array(atoms.get_chemical_symbols())
    groups = []  # an element each: how it transfers, its exponentials along the tilt axis, its x and z
    for element in sorted(set(symbols)):
        x, y, z = torch.as_tensor(atoms.positions[symbols == element].T.copy(), dtype=torch.float64, device=device)
        own_width = torch.exp(-2 * torch.pi**2 * atom_width_A**2 * (k_y[:, None] ** 2 + k_x**2))
        strength = haadf_cross_section_A2(element, microscope) / pixel_size_A**2
        transfer = (strength * torch.as_tensor(otf, device=device) * own_width).to(torch.float32)
        middle_A = (shape[0] - 1) / 2 * pixel_size_A
        groups.append((transfer, _exponential(k_y[:, None], y + middle_A), x, z))

    frames = np.empty((len(tilt_deg), *shape), np.float32)
    rows = torch.arange(-m_y, m_y + 1, device=device) % padded[0]
    spectrum = torch.zeros((padded[0], padded[1] // 2 + 1), dtype=torch.complex64, device=device)
    for i in progress(range(len(tilt_deg))):
        tilt_rad = np.deg2rad(tilt_deg[i])
        total = 0
        for transfer, along_y, x, z in groups:
            column, _ = rotate_about_y(x, z, np.cos(tilt_rad), np.sin(tilt_rad))
            along_x = _exponential(column[:, None] + (shape[1] - 1) / 2 * pixel_size_A, k_x)
            total = total + transfer * (along_y @ along_x)
        spectrum[rows, : m_x + 1] = total
        frame = torch.fft.irfft2(spectrum, s=padded)[: shape[0], : shape[1]]
        frames[i] = frame.clamp(min=0).cpu().numpy()
    return frames


def _exponential(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """exp(-2 pi i a b) in complex64; whole turns are dropped in double precision first."""
    turns = a * b
    angle = (-2 * torch.pi * (turns - turns.round())).to(torch.float32)
    return torch.complex(torch.cos(angle), torch.sin(angle))
