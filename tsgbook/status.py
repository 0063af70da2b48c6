"""What the pages say of the run that made them: a row on each chapter's card, and the tables of the page `status`."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from nbformat import NotebookNode

from .display import time_in_words
from .notebook import code_cells

WORDS_PER_MINUTE = 180  # of a text with figures and formulas
MINUTES_PER_CODE_CELL = 0.25
PLACE = "<!-- tables of the run -->"
_CARD = "| **You need** |"
Record = Mapping[str, Any]


class PeakMemory:
    """The largest resident memory of a process and its children, by looking now and then."""

    def __init__(self) -> None:
        self.bytes = 0

    def look(self, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            together = [process, *process.children(recursive=True)]
            self.bytes = max(self.bytes, sum(one.memory_info().rss for one in together))
        except psutil.Error:  # it has just ended
            pass


def git_state(root: Path) -> str:
    """The commit of a checkout, and whether files differ from it; empty if there is none."""

    def said(*command: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = said("rev-parse", "--short=10", "HEAD")
        return commit and commit + (", with changes" if said("status", "--porcelain", "-uno") else "")
    except FileNotFoundError:  # no git here
        return ""


def device() -> str:
    """The processors of this machine in words, with its graphics cards, if any."""
    cores = f"{os.cpu_count()} processor cores"
    if shutil.which("nvidia-smi") is None:
        return cores
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    names = subprocess.run(asked, capture_output=True, text=True).stdout.split("\n")
    return ", ".join([cores, *(name.strip() for name in names if name.strip())])


def with_cost(notebook: NotebookNode, *, recorded_s: float | None = None) -> NotebookNode:
    """The notebook with a row on its card: the time to read it, and the time and memory that its run took."""
    card = next((c for c in notebook.cells if c.cell_type == "markdown" and _CARD in c.source), None)
    if card is None:
        return notebook
    lines = card.source.splitlines()
    last = max(k for k, line in enumerate(lines) if line.startswith("|"))
    lines.insert(last + 1, f"| **It takes** | {_cost(notebook, recorded_s)} |")
    card.source = "\n".join(lines)
    return notebook


def recorded_durations(folder: Path) -> dict[str, float]:
    """Seconds of each chapter in the recorded run, from `durations.csv` in a folder; empty if there is none."""
    file = folder / "durations.csv"
    return dict(pd.read_csv(file).itertuples(index=False)) if file.is_file() else {}


def status_tables(records: Sequence[Record]) -> str:
    """Markdown: a row for each executed chapter, and the packages that were used."""
    rows = ["| chapter | profile | run on | time | memory | code | device |", "|---|---|---|---|---|---|---|"]
    for record in records:
        made = str(record.get("made", "–")).replace("T", " ")[:16]
        took = time_in_words(record["duration_s"]) if "duration_s" in record else "–"
        rows.append(
            f"| {record.get('chapter', '–')} | {record.get('profile', '–')} | {made} | {took} | "
            f"{_memory(record) or '–'} | {record.get('git') or '–'} | {record.get('device', '–')} |"
        )
    versions = {name: version for record in records for name, version in record.get("versions", {}).items()}
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n".join(rows) + (f"\n\nPackages: {packages}." if packages else "")


def _cost(notebook: NotebookNode, recorded_s: float | None) -> str:
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    minutes = words / WORDS_PER_MINUTE + MINUTES_PER_CODE_CELL * len(code_cells(notebook))
    parts = [f"about {max(5, 5 * round(minutes / 5))} minutes to read"]
    record = notebook.metadata.get("tsg", {})
    if "duration_s" in record:
        memory = _memory(record)
        using = f" and {memory} of memory" if memory else ""
        parts.append(f"{time_in_words(record['duration_s'])}{using} to run with the profile `{record['profile']}`")
    if recorded_s is not None:
        parts.append(f"{time_in_words(recorded_s)} in the recorded run of the profile `book`")
    return "; ".join(parts)


def _memory(record: Record) -> str:
    peak = record.get("peak_memory_bytes", 0)
    return f"{peak / 1e9:.1f} GB" if peak else ""
