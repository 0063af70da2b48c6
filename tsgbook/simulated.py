"""What chapter 2 has simulated, for the chapters after it: the microscopes, by name."""

from dataclasses import asdict
from pathlib import Path

import yaml

from tsg_core.microscope import Microscope

from .artifacts import Artifacts
from .chapters import SIMULATED_MICROSCOPES


def write_microscopes(path: Path, *, microscopes: dict[str, Microscope]) -> None:
    """Write the settings of microscopes, in order, to a YAML file."""
    path.write_text(yaml.safe_dump({name: asdict(m) for name, m in microscopes.items()}, sort_keys=False))


def simulated_microscopes(store: Artifacts) -> dict[str, Microscope]:
    """The microscopes of chapter 2, by name and in its order. Raises TsgError if it has not run."""
    stored = yaml.safe_load(store.path(SIMULATED_MICROSCOPES).read_text(encoding="utf-8"))
    return {name: Microscope(**settings) for name, settings in stored.items()}
