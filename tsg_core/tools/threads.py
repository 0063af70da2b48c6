"""Work dealt to threads, as many as PyTorch is given."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .progress import track

T = TypeVar("T")
R = TypeVar("R")


def in_threads(
    work: Callable[[T], R], items: Sequence[T], *, at_most: int | None = None, label: str | None = None
) -> list[R]:
    """`work` on every item, on all cores or `at_most` so many: SciPy's sparse products let other threads run meanwhile.

    A `label` has the progress shown.
    """
    with ThreadPoolExecutor(min(n_threads(), at_most or n_threads())) as pool:
        done = pool.map(work, items)
        return list(track(done, label=label, total=len(items)) if label else done)


def n_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
