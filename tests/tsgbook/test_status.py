"""What the pages say of the run that made them."""

import os
import subprocess
import sys

import nbformat
from conftest import ROOT

from tsgbook import status
from tsgbook.chapters import CHAPTERS
from tsgbook.notebook import read_chapter

RECORD = {
    "profile": "smoke",
    "chapter": "03_sparsity",
    "duration_s": 95.0,
    "made": "2026-11-23T10:00:00+00:00",
    "peak_memory_bytes": 1.25e9,
    "git": "abc, with changes",
    "device": "2 processor cores",
    "versions": {"python": "3.11", "numpy": "2.4"},
}


def test_every_chapter_has_a_card_and_gets_a_row():
    for chapter in CHAPTERS:
        notebook = read_chapter(ROOT / "notebooks", chapter.name)
        before = notebook.cells[0].source.splitlines()
        notebook.metadata["tsg"] = RECORD
        after = status.with_cost(notebook, recorded_s=3600.0).cells[0].source.splitlines()
        (row,) = [line for line in after if line not in before]
        assert after[after.index(row) - 1].startswith("| **"), chapter.name  # inside the table
        assert "minutes to read" in row and "1.2 GB" in row and "`smoke`" in row and "recorded run" in row


def test_a_notebook_that_was_not_run_by_the_pipeline_says_only_how_long_it_is():
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_markdown_cell("| | |\n|---|---|\n| **You need** | time |\n\n" + "word " * 1800)]
    row = status.with_cost(notebook).cells[0].source.splitlines()[3]
    assert row == "| **It takes** | about 10 minutes to read |"


def test_the_tables_hold_a_row_for_each_record_and_what_is_unknown():
    text = status.status_tables([RECORD, {"chapter": "04_model"}])
    rows = text.splitlines()
    assert len(rows) == 6 and "1.2 GB" in rows[2] and "2026-11-23 10:00" in rows[2] and "abc, with changes" in rows[2]
    assert rows[3].count("–") == 6 and "numpy 2.4" in rows[-1]


def test_git_state_names_the_commit_and_says_when_files_differ(tmp_path):
    assert status.git_state(tmp_path) == ""
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "file").write_text("1")
    for command in (["init", "-q"], ["add", "file"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    commit = status.git_state(tmp_path)
    assert len(commit) == 10
    (tmp_path / "file").write_text("2")
    assert status.git_state(tmp_path) == f"{commit}, with changes"


def test_peak_memory_is_the_largest_seen_and_survives_the_end():
    peak = status.PeakMemory()
    peak.look(os.getpid())
    own = peak.bytes
    assert own > 10e6
    child = subprocess.Popen([sys.executable, "-c", "x = bytearray(80_000_000); print(1, flush=True); input()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    child.stdout.readline()
    peak.look(os.getpid())
    assert peak.bytes > own + 60e6
    child.communicate(b"\n")
    peak.look(child.pid)
    assert peak.bytes > own + 60e6


def test_recorded_durations_are_those_of_the_book():
    found = status.recorded_durations(ROOT / "book" / "results")
    assert found["01_structures"] > 0 and set(found) <= {chapter.name for chapter in CHAPTERS}
    assert status.recorded_durations(ROOT / "book") == {}
