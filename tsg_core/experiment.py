"""A tilt series as a microscope hands it over, with the truth beside it: simulated, raw and misaligned.

An alloy decahedron and a small silver icosahedron on a flake of carbon, in counts of a detector with an offset, with
hot pixels, noise, a beam current that drifts, frames that drifted, and an inclined tilt axis that is off the middle.
`benchmarks/experiment_like.py` makes the file.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from .errors import TsgError
from .microscope import NON_ABERRATED, Microscope
from .preparation.alignment import Alignment
from .preparation.transformation import axis_rotation, moved_back, recorded_positions, translation_of, without_gauge
from .simulation import simulate_tilt_series
from .tilt_series import TiltSeries

EXPERIMENT_FILE = Path(__file__).parent / "data" / "experiment.npz"


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """What the raw series was made with.

    shift_px    (n_tilt, 2) displacement (y, x) of each raw frame, see `preparation.transformation`
    axis_deg    inclination of the tilt axis
    offset      counts of the detector without a beam
    gain        (n_tilt,) relative current of the beam
    counts_per_intensity  counts of a pixel of intensity 1 at gain 1
    hot_pixels  (n, 3) frame, row and column
    left_out    clean aligned frames, fractions of the beam, at angles that the raw series lacks
    atoms       relative to the tilt axis
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
        """Root mean square distance of the found shifts from the true ones, but for a translation of the object."""
        tilt_deg = alignment.series.tilt_deg
        left = without_gauge(self._difference_px(alignment), tilt_deg=tilt_deg, axis_deg=self.axis_deg)
        return float(np.sqrt((left**2).sum(axis=1).mean()))

    def left_out_beside(self, alignment: Alignment) -> TiltSeries:
        """`left_out` with the object where the alignment put it, for comparison with predicted frames."""
        along_across = self._difference_px(alignment) @ axis_rotation(self.axis_deg)
        shift_px = translation_of(along_across, tilt_deg=alignment.series.tilt_deg, at_deg=self.left_out.tilt_deg)
        frames = moved_back(self.left_out.frames, shift_px=shift_px)
        return self.left_out.noted("Moved to where the alignment put the object.", frames=frames)

    def _difference_px(self, alignment: Alignment) -> np.ndarray:
        same_pixels = np.isclose(alignment.series.pixel_size_A, self.left_out.pixel_size_A)
        if len(alignment.shift_px) != len(self.shift_px) or not same_pixels:
            raise TsgError("the truth is known of all frames and unbinned pixels; align the whole series")
        return alignment.shift_px - self.shift_px


def experiment_like() -> tuple[TiltSeries, Truth]:
    """The raw series, in counts, and the truth."""
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
    """Clean frames of displaced atoms seen with an inclined axis: misaligned without any interpolation.

    Each frame is simulated by itself with its atoms where `preparation.transformation` puts them. The options and
    errors are those of `simulation.simulate_tilt_series`, with its incoherent engine.
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
