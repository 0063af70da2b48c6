"""Progress of long loops, shown in a terminal or written to a file that a parent process reads."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
FILE_VARIABLE = "TSG_PROGRESS_FILE"
_INTERVAL_s = 0.3
_loops: list["_Loop"] = []  # loops at work, outermost first
_thread = threading.local()


def track(
    iterable: Iterable[T],
    *,
    label: str,
    total: int | None = None,
    done: int = 0,
    costs: Sequence[float] | None = None,
) -> Iterator[T]:
    """Yield the items of `iterable` while the display shows "label 3/10, 0:42 left".

    `total` is needed if the length is unknown; it includes the `done` items of an interrupted loop. `costs` gives the
    relative times of the items, if they differ much. If the environment variable TSG_PROGRESS_FILE names a file, the
    line is written there, whole; otherwise a bar appears if stderr is a terminal, and nothing if it is not. Nested
    loops share one line.
    """
    if is_hidden():
        yield from iterable
        return
    if total is None and isinstance(iterable, Sized):
        total = len(iterable) + done
    loop = _Loop(label, total, done, costs)
    display = loop.display = _display() if not _loops else _loops[0].display
    _loops.append(loop)
    try:
        display(force=True)
        for item in iterable:
            yield item
            loop.done += 1
            display()
    finally:
        _loops.remove(loop)
        if not _loops:
            display.close()


@contextmanager
def hidden() -> Iterator[None]:
    """Show no progress of what this thread does: another thread or process shows that of the task it is part of."""
    _thread.hidden = True
    try:
        yield
    finally:
        _thread.hidden = False


def is_hidden() -> bool:
    """Whether this thread works on a task of another one."""
    return getattr(_thread, "hidden", False)


def clock(seconds: float) -> str:
    """0:42, 3:10 or 2:05:00."""
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{s:02d}" if hours else f"{minutes}:{s:02d}"


class _Loop:
    def __init__(self, label: str, total: int | None, done: int, costs: Sequence[float] | None = None):
        self.label, self.total, self.done, self.done_before, self.costs = label, total, done, done, costs
        self.started = time.monotonic()
        self.display: Any = None  # of the outermost loop, shared by those inside it

    def share(self, done: float) -> float:
        """The fraction of the work that the first `done` items make up."""
        if self.costs is None:
            return done / (self.total or 1)
        whole = int(done)
        begun = (done - whole) * sum(self.costs[whole : whole + 1])
        return (sum(self.costs[:whole]) + begun) / sum(self.costs)

    def __str__(self) -> str:
        return f"{self.label} {min(self.done + 1, self.total or self.done + 1)}{f'/{self.total}' if self.total else ''}"


def _line() -> str:
    text = ", ".join(map(str, _loops))
    left_s = _seconds_left()
    return text if left_s is None else f"{text}, {clock(left_s)} left"


def _fraction() -> float | None:
    """Fraction of the outermost loop that is done, including what inner loops have done of its current item."""
    inner = 0.0
    for loop in reversed(_loops):
        inner = loop.share(loop.done + inner) if loop.total else 0.0
    return inner if _loops and _loops[0].total else None


def _seconds_left() -> float | None:
    fraction = _fraction()
    if fraction is None:
        return None
    outer = _loops[0]
    fraction_here = fraction - outer.share(outer.done_before)
    if fraction_here <= 0:
        return None
    return (time.monotonic() - outer.started) * max(1 - fraction, 0) / fraction_here


def _display():
    path = os.environ.get(FILE_VARIABLE)
    if path:
        return _FileDisplay(Path(path))
    return _Bar() if sys.stderr is not None and sys.stderr.isatty() else _Silent()


class _Silent:
    def __call__(self, *, force: bool = False) -> None:
        pass

    def close(self) -> None:
        pass


class _FileDisplay:
    def __init__(self, path: Path):
        self.path, self.written = path, 0.0

    def __call__(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self.written >= _INTERVAL_s:
            self.written = now
            self._write(_line())

    def close(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(self.path)
        except OSError:
            pass  # a display that cannot be updated must not end the work


class _Bar:
    def __init__(self):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.progress = Progress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True),
                                 transient=True)  # fmt: skip
        self.task = self.progress.add_task("", total=1)
        self.progress.start()

    def __call__(self, *, force: bool = False) -> None:
        self.progress.update(self.task, description=_line(), completed=_fraction() or 0)

    def close(self) -> None:
        self.progress.stop()
