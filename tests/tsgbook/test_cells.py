import json
import subprocess
import sys

import pytest

from tsgbook.cells import cell_text, code_behind

CHAPTER = [
    "n = 3\nlabel = 'x'",
    "import numpy as np\nimport matplotlib.pyplot as plt\nfrom tools import draw, write",
    "def double(x):\n    return factor * x",
    "factor = 2\nparticles = [double(i) for i in range(n)]",
    "for name, axis in axes:\n    axis.plot(particles)\nplt.show()",
    "for name in ('a', 'b'):\n    store.make(name, lambda path: write(path, particles))",
]


def behind(**changed):
    cells = [changed.get(f"cell_{k}", cell) for k, cell in enumerate(CHAPTER)]
    return code_behind(cells, parameters=["n"])


@pytest.mark.parametrize(
    "changed",
    [
        {"cell_0": "n = 4\nlabel = 'y'"},
        {"cell_1": "import numpy\nfrom tools import write, other"},
        {"cell_2": "def double(x):\n    'Twice.'\n    return factor * x  # twice"},
        {"cell_4": "for name, axis in axes:\n    axis.scatter(particles, c='red')"},
    ],
)
def test_what_a_cell_does_not_depend_on_does_not_count(changed):
    assert behind(**changed) == behind()


@pytest.mark.parametrize(
    "changed",
    [
        {"cell_0": "n = len('abc')"},
        {"cell_1": "from other_tools import write"},
        {"cell_2": "def double(x):\n    return factor + x"},
        {"cell_3": "factor = 3\nparticles = [double(i) for i in range(n)]"},
        {"cell_4": "particles.append(7)"},
        {"cell_4": "particles[0] = 7"},
        {"cell_4": "for p in (1, 2):\n    particles.append(p)"},
        {"cell_4": "if n > 3:\n    particles = []"},
        {"cell_5": "store.make('a', lambda path: write(path, particles))"},
    ],
)
def test_what_a_cell_depends_on_counts(changed):
    assert behind(**changed) != behind()


def test_layout_of_a_cell_does_not_count_and_magics_are_text():
    assert cell_text("x = 1  # one") == cell_text("x=1")
    assert cell_text("%matplotlib inline") != cell_text("%matplotlib widget")


RUNNING = """
import json, os, sys
from IPython.core.interactiveshell import InteractiveShell
from tsgbook.cells import running_code
shell = InteractiveShell.instance()
assert running_code() is None
os.environ["TSG_RUN"] = json.dumps({"parameters": ["n"]})
for cell in json.loads(sys.argv[1]):
    shell.run_cell(cell, store_history=True)
"""


def test_the_kernel_knows_the_cells_it_has_run():
    cells = ["n = 3", "particles = list(range(n))", "print(json.dumps(running_code()), particles)"]
    cells[0] = "n = 3\nimport json\nfrom tsgbook.cells import running_code"
    done = subprocess.run(
        [sys.executable, "-c", RUNNING, json.dumps(cells)], capture_output=True, text=True, check=True
    )
    statements = json.loads(done.stdout[: done.stdout.rindex("]", 0, done.stdout.rindex("[")) + 1])
    assert len(statements) == 4 and "'range'" in statements[1]
