"""Work divided among threads, as many as PyTorch may use."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .progress import track

T = TypeVar("T")
R = TypeVar("R")


def in_threads(
    work: Callable[[T], R], items: Iterable[T], *, at_most: int | None = None, label: str | None = None
) -> list[R]:
    """Run `work` on every item in threads, on all cores or on `at_most` that many.

    Threads help because SciPy's sparse products release the interpreter lock. With a `label`, progress is shown.
    """
    items = list(items)
    threads = min(n_threads(), at_most or n_threads(), len(items))
    if threads <= 1:  # to start one thread takes longer than the work on a small series
        return _listed(map(work, items), n=len(items), label=label)
    with ThreadPoolExecutor(threads) as pool:
        return _listed(pool.map(work, items), n=len(items), label=label)


def _listed(done: Iterator[R], *, n: int, label: str | None) -> list[R]:
    return list(track(done, label=label, total=n) if label else done)


def n_threads() -> int:
    """Number of cores that this process may use, or fewer if OMP_NUM_THREADS says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores
