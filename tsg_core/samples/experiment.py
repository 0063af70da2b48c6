"""A simulated tilt series as a microscope would record it, raw and misaligned, together with the truth.

It shows an alloy decahedron and a small silver icosahedron on a flake of carbon. The frames are detector counts with an
offset, hot pixels and noise. The beam current and the frames drift, and the tilt axis is inclined and off centre.
`benchmarks/experiment_like.py` makes the file.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from ..errors import TsgError
from ..geometry import pixel_centres_A
from ..microscope import NON_ABERRATED, Microscope
from ..preparation.alignment import Alignment
from ..preparation.transformation import axis_rotation, moved_back, recorded_positions, shift_error_px, translation_of
from ..simulation.series import simulate_tilt_series
from ..tilt_series import TiltSeries

EXPERIMENT_FILE = Path(__file__).parent / "experiment.npz"


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """The true values behind the raw series.

    shift_px    (n_tilt, 2) displacement (y, x) of each raw frame; see `preparation.transformation`
    axis_deg    inclination of the tilt axis
    offset      detector counts without a beam
    gain        (n_tilt,) relative beam current
    counts_per_intensity  counts in a pixel of intensity 1 at gain 1
    hot_pixels  (n, 3) frame, row and column
    left_out    clean, aligned frames, as fractions of the beam, at angles that the raw series lacks
    atoms       with positions relative to the tilt axis
    """

    shift_px: np.ndarray
    axis_deg: float
    offset: float
    gain: np.ndarray
    counts_per_intensity: float
    hot_pixels: np.ndarray
    left_out: TiltSeries
    atoms: Atoms

    def shift_error_px(self, alignment: Alignment) -> float:
        """Root mean square distance of the found shifts from the true ones, apart from a translation of the object."""
        self._check(alignment)
        tilt_deg = alignment.series.tilt_deg
        return shift_error_px(alignment.shift_px, self.shift_px, tilt_deg=tilt_deg, axis_deg=self.axis_deg)

    def left_out_beside(self, alignment: Alignment) -> TiltSeries:
        """`left_out`, moved so that the object is where the alignment put it, for comparison with predicted frames."""
        self._check(alignment)
        along_across = (alignment.shift_px - self.shift_px) @ axis_rotation(self.axis_deg)
        shift_px = translation_of(along_across, tilt_deg=alignment.series.tilt_deg, at_deg=self.left_out.tilt_deg)
        frames = moved_back(self.left_out.frames, shift_px=shift_px)
        return self.left_out.noted("Moved to where the alignment put the object.", frames=frames)

    def _check(self, alignment: Alignment) -> None:
        same_pixels = np.isclose(alignment.series.pixel_size_A, self.left_out.pixel_size_A)
        if len(alignment.shift_px) != len(self.shift_px) or not same_pixels:
            raise TsgError("the truth is known only for all frames with unbinned pixels; align the whole series")


def experiment_like() -> tuple[TiltSeries, Truth]:
    """The raw series in counts, and the truth."""
    with np.load(EXPERIMENT_FILE) as stored:
        data = {name: stored[name] for name in stored}
    pixel_size_A = float(data["pixel_size_A"])
    raw = TiltSeries(data["counts"], data["tilt_deg"], pixel_size_A, metadata={"source": "experiment-like, simulated"})
    truth = Truth(
        shift_px=data["shift_px"],
        axis_deg=float(data["axis_deg"]),
        offset=float(data["offset"]),
        gain=data["gain"],
        counts_per_intensity=float(data["counts_per_intensity"]),
        hot_pixels=data["hot_pixels"],
        left_out=TiltSeries(data["left_out"], data["left_out_deg"], pixel_size_A),
        atoms=Atoms(numbers=data["numbers"], positions=data["positions_A"]),
    )
    return raw, truth


def simulate_recorded(
    atoms: Atoms,
    *,
    tilt_deg: np.ndarray,
    shift_px: np.ndarray,
    axis_deg: float,
    shape: int,
    pixel_size_A: float,
    microscope: Microscope = NON_ABERRATED,
    **engine_options,
) -> TiltSeries:
    """Clean frames of displaced atoms tilted about an inclined axis: misaligned without any interpolation.

    Each frame is simulated separately, with its atoms where `preparation.transformation` puts them. Options and errors
    are those of `simulation.simulate_tilt_series` with the incoherent engine.
    """
    shift_A = np.asarray(shift_px) * pixel_size_A
    positions_A = recorded_positions(atoms.positions, tilt_deg=tilt_deg, shift_A=shift_A, axis_deg=axis_deg)
    frames = [
        simulate_tilt_series(
            Atoms(atoms.numbers, positions=p), microscope=microscope, tilt_deg=[0.0], shape=shape,
            field_of_view_A=shape * pixel_size_A, **engine_options,
        ).frames[0]
        for p in positions_A
    ]  # fmt: skip
    return TiltSeries(np.array(frames), tilt_deg, pixel_size_A)


def recorded_balls(
    *,
    tilt_deg: np.ndarray,
    shift_px: np.ndarray,
    axis_deg: float,
    shape: int,
    pixel_size_A: float = 5.0,
    reach: float = 0.3,
    seed: int = 0,
) -> TiltSeries:
    """Clean frames of 25 Gaussian balls with random places, sizes and weights, misaligned without any interpolation.

    The centres lie within `reach` edge lengths of the middle of the frame; each sigma is between 1/50 and 1/16 of the
    edge; the brightest pixel is 1. The object has no fine detail, as if pixels were several angstrom wide.
    """
    rng = np.random.default_rng(seed)
    edge_A = shape * pixel_size_A
    directions = rng.normal(size=(25, 3))
    radii_A = reach * edge_A * rng.random((25, 1)) ** (1 / 3)
    positions_A = radii_A * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    weights, sigma_A = rng.uniform(0.3, 1, 25), edge_A * rng.uniform(1 / 50, 1 / 16, (25, 1))
    shift_A = np.asarray(shift_px) * pixel_size_A
    recorded_A = recorded_positions(positions_A, tilt_deg=tilt_deg, shift_A=shift_A, axis_deg=axis_deg)
    centres_A = pixel_centres_A(shape, pixel_size_A=pixel_size_A)
    across, along = (np.exp(-0.5 * ((centres_A - recorded_A[..., k : k + 1]) / sigma_A) ** 2) for k in (0, 1))
    frames = np.stack([(weights[:, None] * y).T @ x for y, x in zip(along, across, strict=True)])
    return TiltSeries(frames / frames.max(), tilt_deg, pixel_size_A)
