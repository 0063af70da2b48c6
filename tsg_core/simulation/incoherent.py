"""The fast engine: each atom adds its cross-section times the intensity of the probe, at its exact position."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from scipy.interpolate import CubicSpline

from ..errors import TsgError
from ..geometry import rotate_about_y
from ..microscope import Microscope
from ..optics.channelling import shipped_coefficients, strengths_of
from ..optics.pixels import PaddedFrame
from ..optics.probe import transfer_function
from ..optics.scattering import atom_transfer, thermal_sigma_A


def incoherent_frames(
    atoms: Atoms,
    *,
    microscope: Microscope,
    tilt_deg: np.ndarray,
    frame: PaddedFrame,
    thermal_displacement_A: float | None = None,
    depth_step_A: float = 4.0,
    channelling: bool = False,
    device: str = "cpu",
    progress=iter,
) -> np.ndarray:
    """Frames (n_tilt, n_y, n_x) as fractions of the incident beam.

    The spectrum of a frame is the transfer function of the probe times the structure factor of the atoms. The structure
    factor is a product of an exponential in y and one in x, so each tilt is a matrix product, exact in the positions of
    the atoms. Only frequencies below 2 alpha / lambda are computed. Each atom has its own transfer (scattering and
    thermal displacement) and sees the probe at its depth, in steps of `depth_step_A`; at defocus 0 the focus lies in
    the plane of the tilt axis. Tilts are computed separately, one per core, so a frame does not depend on its batch.
    Atoms outside the padded box at a tilt are left out there.
    `thermal_displacement_A` replaces the thermal displacements of the elements. `channelling` scales each atom for the
    effect of the atoms above and below it on the beam, with the shipped coefficients (see
    `optics.channelling.Channelling`).
    """
    if microscope.detector_inner_mrad < microscope.convergence_mrad:
        raise TsgError(
            f"detector_inner_mrad={microscope.detector_inner_mrad:g} lies inside the convergent beam of "
            f"{microscope.convergence_mrad:g} mrad, where images are not incoherent; take abTEM's multislice"
        )
    if thermal_displacement_A is not None and not 0 <= thermal_displacement_A < math.inf:
        raise TsgError(f"thermal_displacement_A={thermal_displacement_A} must be zero or a positive number of angstrom")
    if not (math.isfinite(depth_step_A) and depth_step_A > 0):
        raise TsgError(f"depth_step_A={depth_step_A} must be a positive number")
    tilt_rad = np.deg2rad(tilt_deg)[:, None]
    x, y, z = atoms.positions.T
    columns_A, depths_A = rotate_about_y(x, z, np.cos(tilt_rad), np.sin(tilt_rad))
    slabs = np.rint(depths_A / depth_step_A).astype(int)
    half_y_A, half_x_A = (extent / 2 for extent in frame.extent_A)
    seen = (np.abs(y) <= half_y_A) & (np.abs(columns_A) <= half_x_A)
    otfs = {}
    for slab in np.unique(slabs[seen]).tolist():
        at_depth = replace(microscope, defocus_A=microscope.defocus_A + slab * depth_step_A)
        otfs[slab] = torch.as_tensor(transfer_function(at_depth, extent_A=frame.extent_A), device=device)
    n_rows, n_columns = next(iter(otfs.values())).shape
    k_y, k_x = frame.frequencies((n_rows // 2, n_columns - 1), device=device)
    transfers = _atom_transfers(atoms, microscope, frame, k_y, k_x, thermal_displacement_A=thermal_displacement_A)
    along_y = _exponential(y + frame.middle_A[0], k_y)
    symbols = np.array(atoms.get_chemical_symbols())
    if channelling:
        strengths = strengths_of(symbols, microscope)
        k2 = (k_y[:, None] ** 2 + k_x**2).to(torch.float32)
        spread = torch.exp(-2 * torch.pi**2 * shipped_coefficients().spread_A ** 2 * k2)
    frames = np.empty((len(tilt_deg), *frame.shape), np.float32)

    def compute(i: int) -> None:
        spectrum = torch.zeros((n_rows, n_columns), dtype=torch.complex64, device=device)
        along_x = _exponential(columns_A[i] + frame.middle_A[1], k_x)
        if channelling:
            factors = shipped_coefficients().factors(np.stack([columns_A[i], y, depths_A[i]], axis=1), strengths)
            along_x, along_x_spread = (
                along_x * torch.as_tensor(factor, dtype=torch.float32, device=device)[:, None] for factor in factors
            )
        for element, transfer in transfers.items():
            for slab in np.unique(slabs[i, seen[i] & (symbols == element)]).tolist():
                chosen = seen[i] & (symbols == element) & (slabs[i] == slab)
                here = torch.as_tensor(np.flatnonzero(chosen), device=device)
                part = along_y[here].T @ along_x[here]
                if channelling:
                    part += (along_y[here].T @ along_x_spread[here]).mul_(spread)
                spectrum += part.mul_(otfs[slab]).mul_(transfer)
        frames[i] = frame.image(spectrum).clamp(min=0).cpu().numpy()

    with _one_tilt_a_thread(device) as pool:
        done = pool.map(compute, range(len(tilt_deg)))
        for _ in progress(range(len(tilt_deg))):
            next(done)
    return frames


def _atom_transfers(atoms, microscope, frame, k_y, k_x, *, thermal_displacement_A) -> dict[str, torch.Tensor]:
    """Transfer (k_y, k_x) of an atom of each element into the pixels of the frame."""
    k = torch.sqrt(k_y[:, None] ** 2 + k_x**2)
    pixels = frame.pixel_transfer(k_y, k_x) / frame.pixel_size_A**2
    transfers = {}
    for element in sorted(set(atoms.get_chemical_symbols())):
        sigma_A = thermal_sigma_A(element) if thermal_displacement_A is None else thermal_displacement_A
        own = _interpolated(k, *atom_transfer(element, microscope)) * torch.exp(-2 * torch.pi**2 * sigma_A**2 * k**2)
        transfers[element] = (own * pixels).to(torch.float32)
    return transfers


@contextmanager
def _one_tilt_a_thread(device: str):
    """A pool that computes one tilt per core, with a single PyTorch thread each.

    Within one tilt there are many small operations. Threads inside them would mostly wait for one another, and could
    make the rounding depend on the number of cores.
    """
    before = torch.get_num_threads()
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ThreadPoolExecutor(workers if device == "cpu" else 1, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _interpolated(k: torch.Tensor, known_k: np.ndarray, values: np.ndarray) -> torch.Tensor:
    """Cubic interpolation of an atom's transfer; 0 beyond the band."""
    inside = CubicSpline(known_k, values)(k.clamp(max=float(known_k[-1])).cpu().numpy())
    return torch.as_tensor(inside, device=k.device) * (k <= float(known_k[-1]))


def _exponential(places_A: np.ndarray, k: torch.Tensor) -> torch.Tensor:
    """exp(-2 pi i k place) (place, k) in complex64; whole turns are dropped in double precision first."""
    turns = torch.as_tensor(places_A, device=k.device)[:, None] * k
    angle = (-2 * torch.pi * (turns - turns.round())).to(torch.float32)
    return torch.complex(torch.cos(angle), torch.sin(angle))
