import io

from tsgbook import display
from tsgbook.display import Display


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work(stream, tmp_path):
    shown = Display(8, stream=stream)
    shown.progress_file = tmp_path / "progress"
    with shown.live:
        shown.begin(5, "05_training")
        shown.cell = 'cell 7 of 15 "Train [once]"'
        shown.progress_file.write_text("training step 120/600, 3:10 left")
        shown.tick()
        line = shown.line()
        shown.end()
    return line


def test_the_line_names_chapter_cell_and_loop(tmp_path):
    line = work(io.StringIO(), tmp_path)
    assert line == '[5/8] 05_training  cell 7 of 15 "Train [once]"  training step 120/600, 3:10 left'


def test_elsewhere_than_on_a_terminal_lines_are_plain_and_few(tmp_path, monkeypatch):
    stream = io.StringIO()
    work(stream, tmp_path)
    assert stream.getvalue() == "[5/8] 05_training\n[5/8] 05_training  done in 0:00\n"
    monkeypatch.setattr(display, "INTERVAL_s", 0)
    stream = io.StringIO()
    work(stream, tmp_path)
    assert "Train [once]" in stream.getvalue().splitlines()[1]


def test_on_a_terminal_one_line_lives_and_the_end_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    work(stream, tmp_path)
    text = stream.getvalue()
    assert "\x1b[" in text and "[5/8] 05_training  done in 0:00\n" in text
