"""The display of a run: one live line on a terminal, plain lines now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from tsg_core.tools.progress import clock

INTERVAL_s = 15.0  # between plain lines


class Display:
    """Says which chapter and cell is at work, and how far the loop in it has come."""

    def __init__(self, total: int, *, stream: TextIO | None = None):
        self.total, self.stream = total, stream or sys.stdout
        self.chapter = self.cell = ""
        self.progress_file: Path | None = None
        self.live = _LiveLine(self.stream, self._line) if self.stream.isatty() else None

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
        heading = f' "{title}"' if title else ""
        self.cell = f"  cell {number}/{total}{heading}"

    def tick(self) -> None:
        """To be called often while a chapter is at work."""
        if not self.live and time.monotonic() - self.printed >= INTERVAL_s:
            self.printed = time.monotonic()
            self.say(self._line())

    def end(self, text: str | None = None) -> None:
        """Close the chapter's line with `text`, or with how long it took."""
        self.say(f"{self.chapter}  {text or f'done in {clock(time.monotonic() - self.started)}'}")
        self.chapter = self.cell = ""

    def say(self, text: str) -> None:
        if self.live:
            self.live.print(text)
        else:
            print(text, file=self.stream, flush=True)

    def _line(self) -> str:
        return f"{self.chapter}{self.cell}{self._inside()}" if self.chapter else ""

    def _inside(self) -> str:
        try:
            text = self.progress_file.read_text(encoding="utf-8") if self.progress_file else ""
        except OSError:
            text = ""
        return f"  {text}" if text else ""


class _LiveLine:
    def __init__(self, stream: TextIO, line: Callable[[], str]):
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self.console = Console(file=stream, highlight=False)
        self.live = Live(
            get_renderable=lambda: Text(line(), no_wrap=True, overflow="ellipsis"),
            console=self.console,
            refresh_per_second=4,
            transient=True,
        )
        self.start, self.stop = self.live.start, self.live.stop

    def print(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)
