"""HAADF-STEM tilt series of atoms: checks of the request, the engines, the dose."""

import inspect
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from ..errors import TsgError
from ..geometry import tilted_positions
from ..microscope import Microscope
from ..optics.pixels import PaddedFrame
from ..optics.probe import clear_padding_A, fraction_within, probe_radius_A
from ..optics.scattering import scattering_factor_A
from ..tilt_series import TiltSeries
from ..tools.progress import track
from .abtem_engines import abtem_frames
from .incoherent import incoherent_frames
from .multislice import multislice_frames
from .noise import with_dose
from .specimen import leaves

ENGINES: dict[str, Callable[..., np.ndarray]] = {
    "incoherent": incoherent_frames,
    "multislice": multislice_frames,
    "abtem_multislice": partial(abtem_frames, engine="multislice"),
    "abtem_prism": partial(abtem_frames, engine="prism"),
}
_SET_HERE = {"atoms", "engine", "microscope", "tilt_deg", "frame", "progress"}
PROBE_FRACTION = 0.99  # of the probe that the padding must hold


def simulate_tilt_series(
    atoms: Atoms,
    *,
    microscope: Microscope,
    tilt_deg: ArrayLike,
    shape: int | tuple[int, int],
    field_of_view_A: float,
    engine: str = "incoherent",
    dose_per_A2: float | None = None,
    seed: int = 0,
    padding_A: float | None = None,
    **engine_options: Any,
) -> TiltSeries:
    """Tilt series of a sample with coordinates relative to the tilt axis; intensities are fractions of the beam.

    tilt_deg         (n_tilt,) strictly ascending
    shape            (n_y, n_x) pixels of a frame, or one number for both
    field_of_view_A  edge of the frame along x; pixels are square, field_of_view_A / n_x wide, and lie as
                     `geometry.pixel_centres_A` says: the tilt axis is in the middle of the frame
    engine           "incoherent": |probe|^2 at every atom, milliseconds per frame; "multislice": every electron wave
                     through the specimen, seconds per frame; "abtem_multislice" and "abtem_prism": the same by abTEM,
                     minutes to hours per frame
    dose_per_A2      electrons per square angstrom and frame: Poisson noise drawn from `seed` and the tilt angle
    padding_A        by how much the simulated box exceeds the frame, so that images do not wrap round; by default the
                     radius that contains 99 % of the probe, and twice that if the sample goes on outside the frame
    engine_options   see `incoherent.incoherent_frames`, `multislice.multislice_frames` and `abtem_engines.abtem_frames`

    A frame depends only on its own angle: any split of the tilts gives the same frames. The metadata record microscope,
    engine, padding and the fraction of the probe inside it; a fraction below 99 % gives a warning. Atoms may lie
    outside the frame: those in the padding add the tails of the probe, others nothing; the history says so.
    Raises TsgError for no atoms, a frame that shows none, positions that are not finite, elements without a scattering
    factor, bad angles, shapes, doses or engines, and a padding that contains less than half of the probe.
    """
    n_y, n_x = shape = _check_shape(shape)
    tilt_deg = _check_tilts(tilt_deg)
    _check_number("field_of_view_A", field_of_view_A)
    pixel_size_A = field_of_view_A / n_x
    _check_atoms(atoms, tilt_deg=tilt_deg, half_y_A=n_y * pixel_size_A / 2, half_x_A=field_of_view_A / 2)
    outside = leaves(atoms, frame=PaddedFrame(shape=shape, pixel_size_A=pixel_size_A, padding_A=0.0))
    if dose_per_A2 is not None:
        _check_number("dose_per_A2", dose_per_A2)
    if engine not in ENGINES:
        raise TsgError(f"engine={engine!r} is not one of {', '.join(ENGINES)}")
    _check_options(engine, engine_options)
    padding_A, held = _padding(
        microscope, padding_A=padding_A, field_A=min(n_y, n_x) * pixel_size_A, sides=2 if outside else 1
    )

    frame = PaddedFrame(shape=shape, pixel_size_A=pixel_size_A, padding_A=padding_A)
    frames = ENGINES[engine](
        atoms,
        microscope=microscope,
        tilt_deg=tilt_deg,
        frame=frame,
        progress=partial(track, label=f"tilts, {engine}"),
        **engine_options,
    )
    metadata = {
        "microscope": asdict(microscope),
        "engine": engine,
        "padding_A": padding_A,
        "probe_fraction": held,
        "engine_options": engine_options,
        "dose_per_A2": dose_per_A2,
        "seed": seed,
    }
    series = TiltSeries(frames, tilt_deg, pixel_size_A, metadata=metadata)
    if outside:
        series = series.noted(
            f"The sample goes on outside the frames; {padding_A / 2:.3g} A beyond them it still adds to their sides."
        )
    return series if dose_per_A2 is None else with_dose(series, dose_per_A2=dose_per_A2, seed=seed)


def _padding(microscope: Microscope, *, padding_A: float | None, field_A: float, sides: int) -> tuple[float, float]:
    """The padding, and the fraction of the probe that reaches neither the frame's other side nor its own image.

    With matter on both `sides` of the frame, the tails from beyond one side must not reach the other one.
    """
    if padding_A is None:
        clear_A = clear_padding_A(microscope, field_A=field_A, fraction=PROBE_FRACTION)
        padding_A = max(clear_A, sides * probe_radius_A(microscope, fraction=PROBE_FRACTION))
    elif not (math.isfinite(padding_A) and padding_A >= 0):
        raise TsgError(f"padding_A={padding_A} must be zero or positive")
    held = fraction_within(microscope, radius_A=min(padding_A / sides, (field_A + padding_A) / 2))
    needed = f"padding_A={padding_A:g} holds {held:.1%} of the probe; {PROBE_FRACTION:.0%} lie within "
    if held < 0.5:
        raise TsgError(needed + f"{probe_radius_A(microscope, fraction=PROBE_FRACTION):.1f} A, so widen padding_A")
    if held < PROBE_FRACTION - 1e-6:
        warnings.warn(needed + f"{probe_radius_A(microscope, fraction=PROBE_FRACTION):.1f} A", stacklevel=3)
    return float(padding_A), held


def _check_options(engine: str, options: dict) -> None:
    known = set(inspect.signature(ENGINES[engine]).parameters) - _SET_HERE
    for name in options:
        if name not in known:
            raise TsgError(f"{name} is no option of the engine {engine!r}; it has {', '.join(sorted(known))}")


def _check_shape(shape: Any) -> tuple[int, int]:
    pair = tuple(shape) if np.ndim(shape) else (shape, shape)
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and n >= 2 for n in pair):
        raise TsgError(f"shape={shape} must be a whole number of pixels or a pair (n_y, n_x), at least 2 each")
    return int(pair[0]), int(pair[1])


def _check_tilts(tilt_deg: ArrayLike) -> np.ndarray:
    tilt_deg = np.atleast_1d(np.asarray(tilt_deg, float))
    if tilt_deg.ndim != 1 or tilt_deg.size == 0 or not np.isfinite(tilt_deg).all():
        raise TsgError("tilt_deg must be a list of finite angles")
    if (np.diff(tilt_deg) <= 0).any():
        raise TsgError("tilt_deg must ascend without repeats")
    return tilt_deg


def _check_number(name: str, value: Any) -> None:
    if not (math.isfinite(value) and value > 0):
        raise TsgError(f"{name}={value} must be a positive number")


def _check_atoms(atoms: Atoms, *, tilt_deg: np.ndarray, half_y_A: float, half_x_A: float) -> None:
    if len(atoms) == 0:
        raise TsgError("there are no atoms to image")
    if not np.isfinite(atoms.positions).all():
        first = int(np.argmax(~np.isfinite(atoms.positions).all(axis=1)))
        raise TsgError(f"atom {first} has the position {atoms.positions[first]}, which is not finite")
    for element in sorted(set(atoms.get_chemical_symbols())):
        scattering_factor_A(element, np.zeros(1))
    for tilt in tilt_deg:
        column, row, _ = tilted_positions(atoms.positions, tilt_deg=tilt)[0].T
        if not ((np.abs(row) <= half_y_A) & (np.abs(column) <= half_x_A)).any():
            raise TsgError(
                f"no atom lies in the frame, +-{half_x_A:.1f} A along x and +-{half_y_A:.1f} A along y, at {tilt:g} "
                "deg; centre the atoms or widen the field of view"
            )
