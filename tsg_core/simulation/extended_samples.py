"""Samples that go on outside the frame, as wide as the rays of the requested frames need, ready for simulation."""

from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ..errors import TsgError
from ..microscope import Microscope
from ..optics.probe import probe_radius_A
from ..structures import bounding_diameter_A, film, lamella, needle, on_carbon, width_seen_A
from ..tools.files import existing, readable
from .from_files import FORMATS, particle_from
from .series import PROBE_FRACTION

SAMPLES = ("film", "lamella", "needle", "on-carbon")
THICKNESS_A = {"film": 30.0, "lamella": 40.0, "needle": 30.0, "on-carbon": 20.0}  # of a needle, its diameter


def extended_sample(
    source: str | Path,
    *,
    sample: str,
    microscope: Microscope,
    tilt_deg: np.ndarray,
    field_of_view_A: float,
    thickness_A: float | None = None,
    crystalline: bool = False,
    seed: int = 0,
    say: Callable[[str], None] = lambda sentence: None,
) -> Atoms:
    """A film, lamella or needle of an element or a crystal's cell, or a particle on carbon, that fills square frames.

    `source` is a chemical symbol or a file with a periodic cell; for "on-carbon", a file with a particle. The sample
    reaches as far as rays through the frame and the probe do at the highest tilt. A film or needle of an element is
    amorphous unless `crystalline`. `say` gets sentences on what was made.
    Raises TsgError for an unknown sample, tilts above 80 degrees (but for needles), and as the builders of
    `tsg_core.structures` do.
    """
    if sample not in SAMPLES:
        raise TsgError(f"sample={sample!r} is not one of {', '.join(SAMPLES)}")
    thickness_A = THICKNESS_A[sample] if thickness_A is None else thickness_A
    margin_A = probe_radius_A(microscope, fraction=PROBE_FRACTION)
    height_A = field_of_view_A + 2 * margin_A
    seen = {"field_of_view_A": field_of_view_A, "tilt_deg": tilt_deg, "margin_A": margin_A}
    if sample == "on-carbon":
        particle = particle_from(source, seed=seed, say=say)
        below_A = bounding_diameter_A(particle) + 2 * thickness_A + 4.0  # twice the depth of the carbon's lower face
        width_A = width_seen_A(thickness_A=below_A, **seen)
        made = on_carbon(particle, thickness_A=thickness_A, width_A=width_A, height_A=height_A, seed=seed)
    elif sample == "needle":
        solid = _solid(source)
        made = needle(solid, diameter_A=thickness_A, length_A=height_A, crystalline=crystalline, seed=seed)
    else:
        size = {"thickness_A": thickness_A, "width_A": width_seen_A(thickness_A=thickness_A, **seen), "seed": seed}
        solid = _solid(source)
        if sample == "lamella":
            made = lamella(solid, height_A=height_A, **size)
        else:
            made = film(solid, height_A=height_A, crystalline=crystalline, **size)
    reach_A = np.ptp(made.positions, axis=0)
    say(f"Made: {made.info['name']}, {reach_A[0]:.0f} A wide and {reach_A[1]:.0f} A high, with seed {seed}.")
    return made


def _solid(source: str | Path) -> str | Atoms:
    """A chemical symbol, or the periodic cell in a file."""
    path = Path(source)
    if not path.suffix and not path.exists():
        return str(source)
    with readable(existing(path)):
        return ase.io.read(path, format=FORMATS.get(path.suffix.lower()))
