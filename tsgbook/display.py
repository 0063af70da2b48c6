"""The display of a run: one live line on a terminal, occasional plain lines elsewhere."""

import sys
import time
from pathlib import Path
from typing import TextIO

from tsg_core.tools.progress import clock

INTERVAL_s = 15.0  # between plain lines


class Display:
    """Shows which chapter and cell is running, and the progress of the loop in it."""

    def __init__(self, total: int, *, stream: TextIO | None = None):
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self.total = total
        self.chapter = self.cell = ""
        self.progress_file: Path | None = None
        self.console = Console(file=stream or sys.stdout, highlight=False, markup=False, soft_wrap=True)

        def line() -> Text:
            return Text(self.line(), no_wrap=True, overflow="ellipsis")

        self.live = (
            Live(get_renderable=line, console=self.console, transient=True) if self.console.is_terminal else None
        )

    def __enter__(self) -> "Display":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_) -> None:
        if self.live:
            self.live.stop()

    def begin(self, number: int, name: str, *, progress_file: Path) -> None:
        self.chapter, self.cell, self.progress_file = f"[{number}/{self.total}] {name}", "", progress_file
        self.started = self.printed = time.monotonic()
        if not self.live:
            self.say(self.chapter)

    def at_cell(self, number: int, total: int, title: str) -> None:
        self.cell = f"  cell {number}/{total}" + (f' "{title}"' if title else "")

    def tick(self) -> None:
        """Update the display; call this often while a chapter is running."""
        if not self.live and time.monotonic() - self.printed >= INTERVAL_s:
            self.printed = time.monotonic()
            self.say(self.line())

    def end(self, text: str | None = None) -> None:
        """Finish the chapter's line with `text`, or with the time it took."""
        self.say(f"{self.chapter}  {text or f'done in {clock(time.monotonic() - self.started)}'}")
        self.chapter = self.cell = ""

    def say(self, text: str) -> None:
        self.console.print(text)

    def line(self) -> str:
        try:
            inside = self.progress_file.read_text(encoding="utf-8") if self.progress_file else ""
        except OSError:
            inside = ""
        return f"{self.chapter}{self.cell}  {inside}".rstrip() if self.chapter else ""
