"""Execution of one notebook: its kernel is this Python, and ends with it."""

import os
import sys

import nbformat
import pytest

from tsgbook.execution import execute


def test_the_kernel_is_this_python_and_ends_with_the_notebook(tmp_path):
    cells = [
        nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("import os, sys\nprint(a, os.getpid(), sys.executable)"),
    ]
    begun = []
    notebook = execute(
        nbformat.v4.new_notebook(cells=cells), parameters={"a": 3}, output=tmp_path / "{out}.ipynb", folder=tmp_path,
        progress_file=tmp_path / "progress", on_cell=begun.append,
    )  # fmt: skip
    a, pid, python = notebook.cells[-1].outputs[0].text.split()
    assert a == "3" and os.path.samefile(python, sys.executable)
    assert [cell.id for cell in cells] == [begun[0], begun[2]] and len(begun) == 3
    assert (tmp_path / "{out}.ipynb").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
