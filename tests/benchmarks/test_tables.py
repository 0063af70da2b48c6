"""What the benchmarks leave for other programs and for the pages."""

import json
import re

import pytest
from conftest import ROOT

RECORD = (ROOT / "benchmarks" / "record.sh").read_text()


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import tables

    return tables


def test_tables_of_one_benchmark_stand_side_by_side_and_the_last_run_of_each_counts(tables, tmp_path, monkeypatch):
    monkeypatch.setenv(tables.FOLDER, str(tmp_path / "new"))
    tables.keep("sirt", "128 px", {"sparse": {"wall_s": 2.0}})
    tables.keep("sirt", "512 px", {"torch": {"wall_s": 3.0}})
    tables.keep("sirt", "128 px", {"sparse": {"wall_s": 1.0}})
    found = json.loads((tmp_path / "new" / "sirt.json").read_text())
    assert found == {"128 px": {"sparse": {"wall_s": 1.0}}, "512 px": {"torch": {"wall_s": 3.0}}}


def test_a_benchmark_alone_writes_nothing(tables, tmp_path, monkeypatch):
    monkeypatch.delenv(tables.FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    tables.keep("sirt", "128 px", {"sparse": {"wall_s": 2.0}})
    assert not list(tmp_path.iterdir())


def test_every_table_of_the_pages_is_recorded_by_a_benchmark_that_exists():
    recorded = re.findall(r"record (\w+) (\w+\.py)", RECORD)
    assert {path.stem for path in (ROOT / "book" / "speed").glob("*.txt")} == {table for table, _ in recorded}
    assert all((ROOT / "benchmarks" / script).is_file() for _, script in recorded)
