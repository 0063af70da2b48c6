"""A book of three tiny chapters in a folder of its own, to run, to kill and to resume."""

import io
from pathlib import Path

from tsgbook.chapters import Chapter
from tsgbook.pipeline import Run
from tsgbook.profiles import load_profile

CHAPTERS = (
    Chapter(name="01_numbers", makes=("numbers.csv",)),
    Chapter(name="02_sums", makes=("sums.json",), needs=("01_numbers",)),
    Chapter(name="03_wait"),
)
_START = """\
# %% tags=["parameters"]
artifacts = ""

# %%
import json
import pathlib
import time
from tsgbook.artifacts import Artifacts
store = Artifacts(artifacts)
"""
_TEXTS = {
    "01_numbers": """
def write(path):
    path.write_text("".join(f"{i},{i * i}\\n" for i in range(100)))

# %%
store.make("numbers.csv", write)
""",
    "02_sums": """
def add(path, *, numbers):
    rows = [line.split(",") for line in numbers.read_text().split()]
    path.write_text(json.dumps({"sum": sum(int(square) for _, square in rows)}))

# %%
store.make("sums.json", add, parameters={"numbers": store.path("numbers.csv")})
""",
    "03_wait": """
# %%
while not (pathlib.Path(store.folder).parent.parent / "go").exists():
    time.sleep(0.05)
""",
}


def create(root: Path) -> None:
    (root / "notebooks" / "profiles").mkdir(parents=True)
    (root / "notebooks" / "profiles" / "tiny.yaml").write_text("chapters: {}")
    for name, text in _TEXTS.items():
        (root / "notebooks" / f"{name}.py").write_text(_START + text)


def book(root: Path) -> Run:
    return Run(load_profile("tiny", root=root, chapters=CHAPTERS), root=root, chapters=CHAPTERS)


def run(root: Path, **options) -> str:
    """Run the chapters; returns what was said. The last one ends where a file `go` lies in the folder."""
    stream = io.StringIO()
    book(root).run(stream=stream, **options)
    return stream.getvalue()
