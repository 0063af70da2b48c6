"""Multislice frames of a set of atoms, each computed once, and what they cost."""

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from scipy.ndimage import gaussian_filter

from ...errors import TsgError
from ...geometry import pixel_centres_A
from ...microscope import Microscope
from ...optics.probe import clear_padding_A
from ...simulation.detection_matrix import FLANK_A, MARGIN_A, DetectionMatrix, box_of, detection_matrix
from ...simulation.multislice import frame_by
from ...simulation.specimen import potential_sampling_A
from ...tilt_series import TiltSeries, microscope_of
from ..atoms.fit import SPOT_SIGMA_A

TRANSFORMS, PRODUCTS = 2.5e10, 1e11  # operations a second of one core, from frames in boxes of 16 to 18 A
BRIGHT = 0.2  # of the brightest spot above the vacuum
LONGEST_h = 24.0  # of computing on one core that is begun at all


@dataclass(frozen=True, kw_only=True)
class MultisliceSettings:
    """How frames are computed.

    Slices of 3 A, and a cone of incident waves 1 mrad wider than the beam, cost half of what 1 A and 5 mrad cost; the
    frames of known atoms stay within 52 dB of those (25 mrad, Cs 100 um), which is nearer than fitted atoms are.
    """

    slice_thickness_A: float = 3.0
    parametrization: str = "lobato"
    beyond_mrad: float = 1.0
    device: str = "cpu"
    memory_GB: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class MultisliceAtoms:
    """Atoms relative to the tilt axis, and the microscope and frames (n_y, n_x) in which they are seen."""

    atoms: Atoms
    microscope: Microscope
    shape: tuple[int, int]
    pixel_size_A: float
    settings: MultisliceSettings = MultisliceSettings()
    _kept: dict[float, np.ndarray] = field(default_factory=dict)

    def frames(self, tilt_deg: np.ndarray) -> np.ndarray:
        """Frames (n, n_y, n_x) float32 as fractions of the incident beam; those computed before are recalled.

        Raises TsgError as `detection_matrix` does, and for work that takes longer than a day on one core.
        """
        tilts = [float(tilt) for tilt in np.atleast_1d(tilt_deg)]
        new = [tilt for tilt in tilts if tilt not in self._kept]
        self._check_cost(len(new))
        for tilt in new:
            self.matrix(tilt)
        return np.stack([self._kept[tilt] for tilt in tilts])

    def matrix(self, tilt_deg: float, *, wider: float = 1.0) -> DetectionMatrix:
        """The detection matrix for beams that converge by up to `wider` times the angle of the microscope.

        The frame at this tilt is kept. Raises TsgError as `detection_matrix` does.
        """
        made = detection_matrix(
            self.atoms,
            microscope=self.microscope,
            tilt_deg=float(tilt_deg),
            cone_mrad=wider * self.microscope.convergence_mrad + self.settings.beyond_mrad,
            slice_thickness_A=self.settings.slice_thickness_A,
            parametrization=self.settings.parametrization,
            antialias=False,
            device=self.settings.device,
            memory_GB=self.settings.memory_GB,
        )
        sizes = {"shape": self.shape, "pixel_size_A": self.pixel_size_A}
        self._kept[float(tilt_deg)] = frame_by(made, self.microscope, **sizes)
        return made

    @property
    def box_A(self) -> tuple[float, float]:
        """Edges (y, x) of the box that holds the atoms at every tilt, in which the engine computes the frames."""
        return box_of(self.atoms, sampling_A=potential_sampling_A(self.microscope))

    def _check_cost(self, n_tilt: int) -> None:
        hours = n_tilt * seconds_of_frame(self.microscope, box_A=self.box_A, settings=self.settings) / 3600
        if hours > LONGEST_h:
            raise TsgError(
                f"multislice of {len(self.atoms)} atoms in a box of {self.box_A[0]:.0f} x {self.box_A[1]:.0f} A at "
                f"{n_tilt} tilts would take about {hours:.0f} hours on one core; ask for fewer tilts, or take the "
                "method atoms"
            )


def seconds_of_object(series: TiltSeries, *, n_frames: int) -> float:
    """About how long so many multislice frames of the object in a series take on one core.

    Its atoms are taken to lie where a frame is bright. Raises TsgError if no microscope is recorded.
    """
    return n_frames * seconds_of_frame(needed_microscope(series), box_A=bright_box_A(series))


def bright_box_A(series: TiltSeries) -> tuple[float, float]:
    """Edges (y, x) of a box about the tilt axis that holds all bright spots and what `box_of` adds to them."""
    smooth = gaussian_filter(series.frames, (0, *(2 * [SPOT_SIGMA_A / series.pixel_size_A]))).max(axis=0)
    vacuum = np.median(np.concatenate([smooth[0], smooth[-1], smooth[:, 0], smooth[:, -1]]))
    bright = np.nonzero(smooth - vacuum > BRIGHT * (smooth.max() - vacuum))
    reaches_A = (
        np.abs(pixel_centres_A(n, pixel_size_A=series.pixel_size_A)[at]).max(initial=0.0)
        for n, at in zip(smooth.shape, bright, strict=True)
    )
    y_A, x_A = (2 * (reach_A + MARGIN_A + FLANK_A) for reach_A in reaches_A)
    return y_A, x_A


def needed_microscope(series: TiltSeries) -> Microscope:
    """The microscope recorded with a series. Raises TsgError if there is none."""
    microscope = microscope_of(series)
    if microscope is None:
        raise TsgError("multislice needs the microscope, and none is recorded with the frames; take the method atoms")
    return microscope


def seconds_of_frame(
    microscope: Microscope,
    *,
    box_A: tuple[float, float],
    settings: MultisliceSettings = MultisliceSettings(),
) -> float:
    """About how long one frame takes on one core: transforms of all waves, their products, and the scan.

    The box is as thick as it is wide.
    """
    wavelength_A = microscope.wavelength_A
    sampling_A = potential_sampling_A(microscope)
    area_A2, side_A = float(np.prod(box_A)), float(np.sqrt(np.prod(box_A)))
    thickness_A = max(box_A[1] - 2 * (FLANK_A + MARGIN_A), 1.0)

    def waves_in(inner_mrad: float, outer_mrad: float) -> float:
        return np.pi * area_A2 * (outer_mrad**2 - inner_mrad**2) * 1e-6 / wavelength_A**2

    n_waves = waves_in(0.0, microscope.convergence_mrad + settings.beyond_mrad)
    n_detected = waves_in(microscope.detector_inner_mrad, microscope.detector_outer_mrad)
    grid = area_A2 / sampling_A**2
    transforms = n_waves * (2 * thickness_A / settings.slice_thickness_A + 1) * 5 * grid * np.log2(grid)
    products = 4 * n_waves**2 * n_detected
    m_scan = (
        2 * microscope.convergence_mrad * 1e-3 / wavelength_A * (side_A + clear_padding_A(microscope, field_A=side_A))
    )
    m_box = 2 * np.sqrt(n_waves / np.pi)
    scan = 4 * m_scan**2 * m_box * m_scan * (m_box + m_scan)
    return float((transforms + scan * len(microscope.foci())) / TRANSFORMS + products / PRODUCTS)
