import os

from tsg_core.tools import progress
from tsg_core.tools.progress import clock, track


def test_nothing_is_printed_where_nobody_looks(capsys, monkeypatch):
    monkeypatch.delenv(progress.FILE_VARIABLE, raising=False)
    assert list(track(range(3), label="series")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_file_holds_the_line_of_all_loops_and_is_emptied(tmp_path, monkeypatch):
    file = tmp_path / "progress"
    monkeypatch.setenv(progress.FILE_VARIABLE, str(file))
    monkeypatch.setattr(progress, "_INTERVAL_s", 0)
    lines = []
    for _ in track(iter("ab"), label="series", total=2):
        for _ in track([1, 2, 3], label="frame"):
            lines.append(file.read_text())
    assert lines[0] == "series 1/2, frame 1/3"
    assert lines[4].startswith("series 2/2, frame 2/3, 0:00 left")
    assert file.read_text() == "" and os.listdir(tmp_path) == ["progress"]


def test_time_left_counts_what_was_done_before_and_inner_loops(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    left = []
    for _ in track(range(4), label="step", total=10, done=6):
        left.append(progress._seconds_left())
        for _ in track(range(2), label="frame"):
            now[0] += 10
        left.append(progress._seconds_left())
    assert left[0] is None
    assert round(left[2], 6) == 60  # one of the four items left took 20 s
    monkeypatch.setattr(progress, "_loops", [])


def test_time_left_knows_that_items_differ(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    left = []
    for cost in track([1, 9], label="method", costs=[1, 9]):
        left.append(progress._seconds_left())
        now[0] += cost
    assert left == [None, 9]
    monkeypatch.setattr(progress, "_loops", [])


def test_an_interrupted_loop_leaves_nothing_behind(monkeypatch):
    loop = track(range(3), label="series")
    next(loop)
    loop.close()
    assert progress._loops == []


def test_clock():
    assert [clock(s) for s in (0, 42.4, 190, 7500)] == ["0:00", "0:42", "3:10", "2:05:00"]
