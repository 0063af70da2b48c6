"""Make multislice_frame.npz anew: `python tests/data/make_multislice_frame.py` (seconds)."""

import warnings
from pathlib import Path

import numpy as np
from ase import Atoms

from tsg_core.microscope import Microscope
from tsg_core.simulation import simulate_tilt_series

PATH = Path(__file__).parent / "multislice_frame.npz"
# unequal atoms at places that no flip or transposition maps onto one another; a small box, so the padding is narrow
ATOMS = Atoms("AuCuPt", positions=[[1.6, -0.9, 1.2], [-1.1, -1.6, -0.7], [-0.4, 1.3, -1.5]])
SETTINGS = {
    "microscope": Microscope(convergence_mrad=25.0),
    "tilt_deg": [25.0],
    "shape": (14, 16),
    "field_of_view_A": 6.4,
    "padding_A": 3.0,
}


def simulate(engine: str, **options) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return simulate_tilt_series(ATOMS, engine=engine, **{**SETTINGS, **options}).frames[0]


if __name__ == "__main__":
    np.savez_compressed(PATH, frame=simulate("abtem_multislice"))
