"""Memory that would be taken, compared with what is free, before it is taken."""

import psutil

from ..errors import TsgError


def check_memory(n_bytes: int, what: str, *, remedy: str) -> None:
    """Raise TsgError if fewer bytes are free; `what` begins the line that says so, `remedy` ends it."""
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise TsgError(f"{what} needs {n_bytes / 1e9:.3g} GB of memory and {free / 1e9:.3g} GB are free; {remedy}")
