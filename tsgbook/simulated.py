"""What chapter 2 has simulated, for the chapters after it: the microscopes, by name."""

import yaml

from tsg_core.microscope import Microscope

from .artifacts import Artifacts
from .chapters import SIMULATED_MICROSCOPES


def simulated_microscopes(store: Artifacts) -> dict[str, Microscope]:
    """The microscopes of chapter 2, by name and in its order. Raises TsgError if it has not run."""
    stored = yaml.safe_load(store.path(SIMULATED_MICROSCOPES).read_text(encoding="utf-8"))
    return {name: Microscope(**settings) for name, settings in stored.items()}
