"""A rival: a package's way to make a volume or frames, with three settings; what a run of it takes."""

import ctypes
import gc
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import psutil

OURS = "tsg"
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False, kw_only=True)
class Rival:
    """One way of one package; `run(case's series, ..., **setting)` returns what the part asks for.

    module, package  what is imported, and the distribution that has a version
    settings         three sets of options; the best by the truth is printed
    install          how to get it, or why it cannot be had by pip alone
    trained          it takes the option `seconds` and trains as long
    """

    name: str
    package: str
    module: str
    settings: tuple[dict, ...]
    run: Callable
    install: str = ""
    trained: bool = False

    @property
    def label(self) -> str:
        return f"{self.package} {metadata.version(self.package)}"

    def told(self, *, seconds: float) -> list[dict]:
        """The settings, with the time for what is trained."""
        return [{**setting, "seconds": seconds} if self.trained else setting for setting in self.settings]

    def missing(self) -> str:
        """Why it cannot run here, in one line; empty if it can."""
        if importlib.util.find_spec(self.module) is not None:
            return ""
        return f"{self.name}: {self.package} is not installed; {self.install}"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Wall and processor seconds of a run, and the megabytes by which it raised the memory of the process.

    The memory is NaN where the system does not tell its peak.
    """

    wall_s: float
    processor_s: float
    memory_MB: float


def measured(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """The result of `work()` and its cost.

    What earlier work left unused is handed back and the peak of the memory is reset first, which Linux can.
    """
    known = _reset_peak()
    before_B = psutil.Process().memory_info().rss
    wall_s, processor_s = time.perf_counter(), time.process_time()
    result = work()
    wall_s, processor_s = time.perf_counter() - wall_s, time.process_time() - processor_s
    memory_MB = max(0.0, _peak_B() - before_B) / 1e6 if known else float("nan")
    return result, Cost(wall_s=wall_s, processor_s=processor_s, memory_MB=memory_MB)


def _reset_peak() -> bool:
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (AttributeError, OSError):
        return False
    return True


def _peak_B() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
