"""Tasks for workers, which import this module and nothing slow."""

import os
import resource
import signal
import time
from pathlib import Path

from tsg_core.errors import TsgError


def write(folder: Path, n: int) -> int:
    """Note the beginning, wait, and write a file whole; in the midst of number 4, the first process dies."""
    with (folder / "begun").open("a") as file:
        file.write(f"{n} {os.getpid()}\n")
    time.sleep(0.1)
    if n == 4 and [m for m, _ in begun(folder)].count(4) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    partial = folder / f".{n}.{os.getpid()}"
    partial.write_text(f"result {n}")
    partial.replace(folder / f"{n}.txt")
    return n


def begun(folder: Path) -> list[tuple[int, int]]:
    """Number and process of every beginning, in order."""
    return [tuple(map(int, line.split())) for line in (folder / "begun").read_text().splitlines()]


def refuse(n: int) -> int:
    if n == 2:
        raise TsgError("two is refused")
    return n


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def pages_asked_for(n: int) -> int:
    """Pages of memory that the system had to give while n arrays of 2 MB were made, one after another."""
    import numpy as np

    ones = np.ones(250_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        ones + 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
