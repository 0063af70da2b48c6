"""Work in another process that is killed, as by a lack of memory or of power: nothing of it can tidy up."""

import multiprocessing
import time
from collections.abc import Callable

import psutil
import torch

_PATIENCE_s = 120.0


def killed(work: Callable[[], object], *, when: Callable[[], bool], patience_s: float = _PATIENCE_s) -> bool:
    """Do the work in a copy of this process and kill it, with its children, once `when` is true; False if it ended."""
    process = multiprocessing.get_context("fork").Process(target=_quietly, args=(work,))
    process.start()
    deadline = time.monotonic() + patience_s
    while process.is_alive() and not when():
        assert time.monotonic() < deadline, "what the work was to be killed at never came"
        time.sleep(0.002)
    was_alive = process.is_alive()
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)] if was_alive else []
    for member in family:
        member.kill()
    process.join()
    psutil.wait_procs(family[1:], timeout=_PATIENCE_s)
    assert was_alive or process.exitcode == 0, f"the work ended with {process.exitcode}"
    return was_alive


def after(seconds: float) -> Callable[[], bool]:
    """True from so many seconds on."""
    moment = time.monotonic() + seconds
    return lambda: time.monotonic() >= moment


def _quietly(work: Callable[[], object]) -> None:
    torch.set_num_threads(1)
    work()
