"""A real recording that comes with another package, where that is installed; no licence lets this one ship it."""

from importlib.util import find_spec
from pathlib import Path

NEEDLE = "tests/test_data/HAADF.mrc"  # a needle, 77 raw frames of 256 x 256 px, tilt axis along x
PACKAGE = "etspy"


def needle_path() -> Path | None:
    """The raw HAADF series of a needle in the package etspy; None where that is not installed, or came without it."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / NEEDLE
    return path if path.is_file() else None
