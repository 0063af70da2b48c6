"""Rows of a table, for other programs: one JSON file for each benchmark, written where `benchmarks/record.sh` asks."""

import os
from collections.abc import Mapping
from pathlib import Path

from tsg_core.tools.digests import read_json, write_json

FOLDER = "BENCHMARK_RESULTS"  # variable: without it a benchmark only prints
Rows = Mapping[str, Mapping[str, float | str]]


def keep(benchmark: str, table: str, rows: Rows) -> None:
    """Put the rows of one table, by their names, beside the other tables of the benchmark; units are in the columns."""
    if folder := os.environ.get(FOLDER):
        path = Path(folder) / f"{benchmark}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, (read_json(path) or {}) | {table: {name: dict(row) for name, row in rows.items()}})
