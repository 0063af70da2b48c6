"""The display of a run: one live line on a terminal, occasional plain lines elsewhere."""

import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tsg_core.tools.progress import clock

INTERVAL_s = 15.0  # between plain lines
TIMES = ((365 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min"))


class Display:
    """Shows which chapter and cell is running, and the progress that the loop in it writes to `progress_file`.

    On a terminal a line is live within the context `live`.
    """

    def __init__(self, total: int, *, stream: TextIO | None = None):
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        def line() -> Text:
            return Text(self.line(), no_wrap=True, overflow="ellipsis")

        self.total, self.chapter, self.cell = total, "", ""
        self.progress_file = Path(tempfile.gettempdir()) / f"tsg-progress-{os.getpid()}"
        self.console = Console(file=stream or sys.stdout, highlight=False, markup=False, soft_wrap=True)
        self.live = Live(get_renderable=line, console=self.console, transient=True)

    def begin(self, number: int, name: str) -> None:
        self.chapter, self.cell = f"[{number}/{self.total}] {name}", ""
        self.started = self.printed = time.monotonic()
        if not self.console.is_terminal:
            self.console.print(self.chapter)

    def tick(self) -> None:
        """Print a plain line where none is live; call this often while a chapter is running."""
        if not self.console.is_terminal and time.monotonic() - self.printed >= INTERVAL_s:
            self.printed = time.monotonic()
            self.console.print(self.line())

    def end(self, text: str = "") -> None:
        """Finish the chapter's line with `text`, or with the time it took."""
        self.console.print(f"{self.chapter}  {text or f'done in {clock(time.monotonic() - self.started)}'}")
        self.chapter = ""

    def line(self) -> str:
        inside = ""
        with suppress(OSError):
            inside = self.progress_file.read_text(encoding="utf-8")
        return f"{self.chapter}  {self.cell}  {inside}".rstrip() if self.chapter else ""


def time_in_words(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return next((f"{seconds / unit:.3g} {name}" for unit, name in TIMES if seconds >= 2 * unit), f"{seconds:.0f} s")
