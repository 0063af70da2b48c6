"""The multislice engine: frames by detection matrices."""

import numpy as np
from ase import Atoms

from ..errors import TsgError
from ..microscope import Microscope
from ..optics.pixels import PaddedFrame
from ..optics.probe import clear_padding_A
from .detection_matrix import FLANK_A, DetectionMatrix, box_edges_A, detection_matrix, on_grid
from .specimen import checked_sampling_A, in_box, leaves


def multislice_frames(
    atoms: Atoms,
    *,
    microscope: Microscope,
    tilt_deg: np.ndarray,
    frame: PaddedFrame,
    progress=iter,
    box_A: float | tuple[float, float] | None = None,
    cone_mrad: float | None = None,
    sampling_A: float | None = None,
    slice_thickness_A: float = 1.0,
    parametrization: str = "lobato",
    antialias: bool = True,
    phonon_configurations: int = 0,
    thermal_displacement_A: float | None = None,
    phonon_seed: int = 0,
    device: str = "cpu",
    memory_GB: float | None = None,
) -> np.ndarray:
    """Frames (n_tilt, n_y, n_x) as fractions of the incident beam, by multislice; options as in `detection_matrix`.

    Each tilt needs one matrix, in a box that contains the particle, whatever the frame and the probe. A sample that
    goes on outside the frame is cut to a box that contains the frame, its padding and the flanks that taper the wave.
    Raises TsgError as `detection_matrix` does, and for such a sample in a smaller box.
    """
    outside = leaves(atoms, frame=frame)
    if outside:
        box_A = _box_of_frame(frame, box_A, sampling_A=checked_sampling_A(microscope, sampling_A))
    frames = np.empty((len(tilt_deg), *frame.shape), np.float32)
    for i in progress(range(len(tilt_deg))):
        seen = in_box(atoms, tilt_deg=float(tilt_deg[i]), extent_A=box_A) if outside else atoms
        matrix = detection_matrix(
            seen,
            microscope=microscope,
            tilt_deg=float(tilt_deg[i]),
            box_A=box_A,
            cone_mrad=cone_mrad,
            sampling_A=sampling_A,
            slice_thickness_A=slice_thickness_A,
            parametrization=parametrization,
            antialias=antialias,
            phonon_configurations=phonon_configurations,
            thermal_displacement_A=thermal_displacement_A,
            phonon_seed=phonon_seed,
            device=device,
            memory_GB=memory_GB,
            cut=outside,
        )
        frames[i] = matrix.frame(microscope, frame=frame)
    return frames


def _box_of_frame(frame: PaddedFrame, box_A, *, sampling_A: float) -> tuple[float, float]:
    """Edges (y, x) of the box for a sample that goes on outside the frame; TsgError if those given are smaller."""
    least_A = tuple(n * frame.pixel_size_A + frame.padding_A + 2 * FLANK_A for n in frame.shape)
    if box_A is None:
        return on_grid(least_A, sampling_A=sampling_A)
    box_A = box_edges_A(box_A)
    for axis, edge_A, needed_A in zip("yx", box_A, least_A, strict=True):
        if edge_A < needed_A:
            raise TsgError(
                f"a box of {edge_A:g} A along {axis} is too small for a sample that goes on outside the frame: frame, "
                f"probe and flanks need {needed_A:.1f} A; widen the box or narrow the field of view"
            )
    return box_A


def frames_of_microscopes(
    atoms: Atoms,
    *,
    microscopes: dict[str, Microscope],
    tilt_deg: float,
    shape: tuple[int, int],
    pixel_size_A: float,
    **options,
) -> dict[str, np.ndarray]:
    """A frame (n_y, n_x) for each microscope at one tilt from one detection matrix; options as in `detection_matrix`.

    The microscopes must share one energy and one detector; the default cone is that of the widest beam.
    Raises TsgError for different detectors or energies, and as `detection_matrix` does.
    """
    widest = max(microscopes.values(), key=lambda microscope: microscope.convergence_mrad)
    matrix = detection_matrix(atoms, microscope=widest, tilt_deg=tilt_deg, **options)
    sizes = {"shape": shape, "pixel_size_A": pixel_size_A}
    return {name: frame_by(matrix, microscope, **sizes) for name, microscope in microscopes.items()}


def frame_by(
    matrix: DetectionMatrix, microscope: Microscope, *, shape: tuple[int, int], pixel_size_A: float
) -> np.ndarray:
    """The frame (n_y, n_x) of a microscope, padded as its probe needs. Raises TsgError as `DetectionMatrix.frame`."""
    padding_A = clear_padding_A(microscope, field_A=min(shape) * pixel_size_A)
    return matrix.frame(microscope, frame=PaddedFrame(shape=shape, pixel_size_A=pixel_size_A, padding_A=padding_A))
