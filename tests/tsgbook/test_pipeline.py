import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import jupytext
import nbformat
import pytest

from tsg_core.errors import TsgError
from tsg_core.tools.digests import write_json
from tsgbook.chapters import Chapter
from tsgbook.notebook import INJECTED, modules_of, parameter_defaults, without_paths
from tsgbook.pipeline import Run, describe
from tsgbook.profiles import load_profile

CHAPTERS = (
    Chapter(name="01_first", makes=("numbers.txt",)),
    Chapter(name="02_second", makes=("sum_*.txt",), needs=("01_first",)),
    Chapter(name="03_third"),
)

FIRST = """\
# %% [markdown]
# # Numbers
# Some prose.

# %% tags=["parameters"]
artifacts = "artifacts/none"
n = 1

# %%
from tsgbook.artifacts import Artifacts
store = Artifacts(artifacts)

# %% [markdown]
# ## Make them

# %%
def write(path, *, n):
    path.write_text(" ".join(map(str, range(n))))

store.make("numbers.txt", write, parameters={"n": n})
print("made", n)
"""
SECOND = """\
# %% tags=["parameters"]
artifacts = ""
power = 1

# %%
from tsgbook.artifacts import Artifacts
store = Artifacts(artifacts)
def write_sum(path, *, power, numbers):
    path.write_text(str(sum(int(word) ** power for word in numbers.read_text().split())))

store.make("sum_a.txt", write_sum, parameters={"power": power, "numbers": store.path("numbers.txt")})
"""
THIRD = "# %%\nimport sys\nprint(sys.executable)\nmessage = 'third'\nprint(message)\n"
PROFILE = "chapters: {01_first: {n: 3}, 02_second: {power: 2}}"


class Checkout:
    def __init__(self, root):
        self.root, self.notebooks = root, root / "notebooks"
        (self.notebooks / "profiles").mkdir(parents=True)
        (self.notebooks / "profiles" / "tiny.yaml").write_text(PROFILE)
        for name, text in (("01_first", FIRST), ("02_second", SECOND), ("03_third", THIRD)):
            self.write(name, text)
        self.artifacts = root / "artifacts" / "tiny"

    def write(self, name, text):
        (self.notebooks / f"{name}.py").write_text(text)

    def at(self, *overrides):
        profile = load_profile("tiny", overrides=overrides, root=self.root, chapters=CHAPTERS)
        return Run(profile, root=self.root, chapters=CHAPTERS)

    def run(self, *overrides, **options):
        stream = io.StringIO()
        self.at(*overrides).run(stream=stream, **options)
        return stream.getvalue()

    def plan(self, *overrides):
        return self.at(*overrides).plan()

    def executed(self, name):
        return nbformat.read(self.artifacts / "executed" / f"{name}.ipynb", as_version=4)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """A checkout whose chapters have run; copied for each test."""
    root = tmp_path_factory.mktemp("checkout")
    said = Checkout(root).run()
    return root, said


@pytest.fixture
def checkout(run_once, tmp_path):
    import shutil

    shutil.copytree(run_once[0], tmp_path / "c")
    here = Checkout.__new__(Checkout)
    here.root, here.notebooks = tmp_path / "c", tmp_path / "c" / "notebooks"
    here.artifacts = here.root / "artifacts" / "tiny"
    return here


def test_chapters_run_in_order_with_the_profiles_parameters(run_once, checkout):
    said = run_once[1].splitlines()
    lines = [line for line in said if "  cell " not in line]  # which a slow machine says in between
    assert [line.split("  ")[0] for line in lines] == [
        "[1/3] 01_first", "[1/3] 01_first", "[2/3] 02_second", "[2/3] 02_second", "[3/3] 03_third", "[3/3] 03_third",
    ]  # fmt: skip
    assert "done in 0:" in lines[1]
    assert (checkout.artifacts / "numbers.txt").read_text() == "0 1 2"
    assert (checkout.artifacts / "sum_a.txt").read_text() == "5"


def test_the_kernel_is_this_python(checkout):
    outputs = checkout.executed("03_third").cells[-1].outputs
    assert [line for o in outputs for line in o.text.split()][-1] == "third"
    # its path is not published, so ask what it was turned into
    expected = without_paths(sys.executable, checkout.root)
    assert next(line for o in outputs for line in o.text.split()) == expected != sys.executable


def test_executed_notebooks_are_whole_and_hold_no_path_of_the_machine(run_once, checkout):
    for name in ("01_first", "02_second", "03_third"):
        text = (checkout.artifacts / "executed" / f"{name}.ipynb").read_text()
        notebook = checkout.executed(name)
        nbformat.validate(notebook)
        for place in (str(run_once[0]), sys.prefix, os.path.expanduser("~") + "/"):
            assert place not in text
        assert "papermill" not in notebook.metadata and notebook.metadata["tsg"]["duration_s"] > 0
    injected = [c for c in checkout.executed("01_first").cells if INJECTED in c.metadata.get("tags", [])]
    assert 'artifacts = "artifacts/tiny"' in injected[0].source and "n = 3" in injected[0].source
    assert sorted(p.name for p in (checkout.artifacts / "executed").iterdir()) == sorted(
        f"{name}.{suffix}" for name in ("01_first", "02_second", "03_third") for suffix in ("ipynb", "json")
    )


def test_an_unchanged_run_executes_nothing(checkout, monkeypatch):
    monkeypatch.setattr("tsgbook.pipeline.execute", lambda *a, **k: pytest.fail("executed"))
    assert checkout.run().count("current") == 3
    assert checkout.at().outdated() == {}


@pytest.mark.parametrize(
    ("overrides", "changed", "plan"),
    [
        (("n=4",), {}, {"01_first": "n changed", "02_second": "01_first runs before it"}),
        (("power=3",), {}, {"02_second": "power changed"}),
        ((), {"01_first": FIRST.replace("made", "wrote")}, {"01_first": "its cells", "02_second": "01_first runs"}),
        ((), {"02_second": SECOND.replace("from", "import tsg_core.sparsity\nfrom")}, {"02_second": "its cells"}),
    ],
)
def test_what_changed_and_what_depends_on_it_runs_again(checkout, overrides, changed, plan):
    for name, text in changed.items():
        checkout.write(name, text)
    found = {name: why for name, why in checkout.plan(*overrides).items() if why}
    assert found.keys() == plan.keys()
    assert all(part in found[name] for name, part in plan.items())
    assert checkout.at(*overrides).outdated() == {name: why for name, why in found.items() if "before it" not in why}


def test_recorded_results_count_where_a_chapter_shows_them(checkout):
    results = checkout.root / "book" / "results"
    results.mkdir(parents=True)
    (results / "metrics.csv").write_text("1")
    assert checkout.at().outdated() == {}
    checkout.write("03_third", f"# %%\nimport tsgbook.results\n\n{THIRD}")
    stamp, now = checkout.artifacts / "executed" / "03_third.json", checkout.at()
    write_json(stamp, {"recipe": now._recipe(CHAPTERS[2]), "artifacts": {}})  # as if it had run
    assert now.outdated() == {}
    (results / "metrics.csv").write_text("2")
    assert now.outdated() == {"03_third": "the recorded results changed"}
    assert now.outdated(but_for_results=True) == {}


@pytest.mark.parametrize("content", ["[]", "{}", '{"recipe": {}}', None])
def test_without_a_whole_stamp_or_an_executed_notebook_a_chapter_has_not_run(checkout, content):
    if content is None:
        (checkout.artifacts / "executed" / "03_third.ipynb").unlink()
    else:
        (checkout.artifacts / "executed" / "03_third.json").write_text(content)
    assert checkout.at().outdated() == {"03_third": "not run yet"}


def test_a_new_parameter_goes_through_to_what_depends_on_it(checkout):
    checkout.run("n=4")
    assert (checkout.artifacts / "sum_a.txt").read_text() == "14"
    assert set(checkout.plan("n=4").values()) == {""}


def test_a_chapter_that_makes_the_same_again_makes_nothing_else_run(checkout):
    checkout.write("01_first", FIRST.replace('print("made"', 'print("has made"'))
    said = checkout.run()
    assert "02_second  current" in said and "01_first  done" in said


def test_code_of_the_package_counts(checkout, monkeypatch):
    monkeypatch.setattr("tsgbook.pipeline.code_version", lambda modules: "other")
    assert checkout.plan()["02_second"] == "the code in tsg_core that it uses changed"


@pytest.mark.parametrize("cell", ["%%time\n{}", "%matplotlib inline\n{}", "files = !ls\n{}", "def late():\n    {}"])
@pytest.mark.parametrize("line", ["from tsg_core import sparsity", "import tsg_core.sparsity as s"])
def test_code_is_found_beside_magics_and_inside_functions(cell, line):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.format(line))])
    assert modules_of(notebook) == {"tsg_core.sparsity"}


@pytest.mark.parametrize(
    ("old", "new"),
    [("Some prose.", "Better prose."), ("print(", "# a comment\nprint("), ('"parameters"]', '"parameters", "x"]')],
)
def test_new_prose_comments_and_tags_show_and_make_no_artifact_anew(checkout, old, new):
    made = checkout.at().store.provenance("numbers.txt")
    checkout.write("01_first", FIRST.replace(old, new))
    assert checkout.plan()["01_first"] == "its cells changed"
    checkout.run(only="first")
    after = checkout.executed("01_first")
    assert any(new.strip("]") in f"{c.source} {json.dumps(c.metadata.tags)[1:]}" for c in after.cells)
    assert after.cells[-1].outputs != []
    assert checkout.at().store.provenance("numbers.txt") == made
    assert set(checkout.plan().values()) == {""}


READER = """\
# %% tags=["parameters"]
artifacts = ""
series_path = ""

# %%
from pathlib import Path
print(Path(series_path).read_text() if series_path else "none")
"""


def test_a_file_outside_counts_by_its_content_with_the_angles_beside_it(checkout, tmp_path, monkeypatch):
    """Replaced under the same name and with the same length and date."""
    checkout.write("03_third", READER)
    (checkout.notebooks / "profiles" / "tiny.yaml").write_text(f"{PROFILE[:-1]}, 03_third: {{series_path: ''}}}}")
    monkeypatch.chdir(tmp_path)
    recording, angles = tmp_path / "rec.mrc", tmp_path / "rec.rawtlt"
    recording.write_text("one")
    (tmp_path / "rec_dense.mrc").write_text("a result")
    checkout.run("series_path=rec.mrc", only="third")
    assert "one" in str(checkout.executed("03_third").cells[-1].outputs)
    (tmp_path / "rec_dense.mrc").write_text("another result")
    assert checkout.plan("series_path=rec.mrc")["03_third"] == ""
    before = recording.stat()
    recording.write_text("two")
    os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert checkout.plan("series_path=rec.mrc")["03_third"] == "what lies at series_path changed"
    checkout.run("series_path=rec.mrc", only="third")
    assert "two" in str(checkout.executed("03_third").cells[-1].outputs)
    angles.write_text("-60 0 60")
    assert checkout.plan("series_path=rec.mrc")["03_third"] == "what lies at series_path changed"
    with pytest.raises(TsgError, match="03_third.series_path is .*missing.mrc', which does not exist"):
        checkout.run("series_path=missing.mrc", only="third")


@pytest.mark.parametrize("damage", [lambda path: path.write_text("0"), lambda path: path.unlink()])
def test_a_damaged_artifact_is_made_anew(checkout, damage):
    damage(checkout.artifacts / "numbers.txt")
    assert "numbers.txt" in checkout.plan()["01_first"]
    checkout.run()
    assert (checkout.artifacts / "numbers.txt").read_text() == "0 1 2"


def test_only_one_chapter(run_once, checkout, tmp_path):
    assert checkout.run(only="third") == "[3/3] 03_third\n[3/3] 03_third  current\n"
    fresh = Checkout(tmp_path / "fresh")
    with pytest.raises(TsgError, match="02_second, cell 2 of 2: .*numbers.txt is missing; no chapter makes it"):
        fresh.run(only="2")  # of the book's chapters none makes it
    with pytest.raises(TsgError, match="no chapter is called 'fourth'; choose one of 01_first"):
        fresh.run(only="fourth")
    assert describe(checkout.at().plan(only="third")) == "03_third  is current"
    assert describe({"03_third": "n changed"}) == "03_third  runs: n changed"


def test_force_runs_what_is_current(checkout):
    assert set(checkout.at().plan(force=True).values()) == {"--force"}
    sidecar = checkout.artifacts / "numbers.txt.json"
    sidecar.write_text(sidecar.read_text().replace('"duration_s"', '"of the first run": 1, "duration_s"'))
    assert "done in" in checkout.run(only="first", force=True)
    assert "of the first run" not in checkout.at().store.provenance("numbers.txt")


def test_a_failing_cell_is_named_and_the_notebook_so_far_kept(checkout):
    checkout.write("03_third", "# %%\nx = 1\nprint(x)\n\n# %%\n# why\ny = {}['missing']\n")
    with pytest.raises(TsgError) as caught:
        checkout.run()
    text = str(caught.value)
    assert text.startswith("03_third, cell 2 of 2: KeyError in the cell that begins '# why'; the notebook so far is ")
    assert "KeyError: 'missing'" in text.splitlines()[-1] and "\x1b" not in text
    kept = nbformat.read(checkout.artifacts / "executed" / "03_third.failed.ipynb", as_version=4)
    assert any("1\n" in str(o.get("text")) for c in kept.cells if c.cell_type == "code" for o in c.outputs)
    checkout.write("03_third", THIRD)
    checkout.run()
    assert not (checkout.artifacts / "executed" / "03_third.failed.ipynb").exists()


def test_a_mistake_in_what_was_asked_for_is_one_line(checkout):
    checkout.write("03_third", "# %%\nfrom tsg_core.errors import TsgError\nraise TsgError('gap=13 is too much')\n")
    with pytest.raises(TsgError) as caught:
        checkout.run()
    assert str(caught.value) == "03_third, cell 1 of 1: gap=13 is too much"


def test_a_dead_kernel_is_one_line(checkout):
    checkout.write("03_third", "# %%\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.raises(TsgError, match="the kernel died"):
        checkout.run()


def test_parameters_that_the_notebook_lacks_are_refused(checkout):
    (checkout.notebooks / "profiles" / "tiny.yaml").write_text("chapters: {01_first: {m: 3}}")
    with pytest.raises(TsgError, match="sets 01_first.m, but the notebook's cell of parameters holds artifacts, n"):
        checkout.run()


def test_two_runs_at_once_are_refused(checkout):
    import fcntl

    with (checkout.artifacts / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TsgError, match="another run is at work"):
            checkout.run()


def test_a_pair_out_of_step_is_said_and_the_py_half_runs(checkout):
    jupytext.write(jupytext.reads("# %%\nprint('old')\n", "py:percent"), checkout.notebooks / "03_third.ipynb")
    assert "03_third: the .ipynb differs from the .py" in checkout.run()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_ends_the_kernel_and_the_next_run_goes_on(checkout, tmp_path):
    pid_file = tmp_path / "pid"
    checkout.write("03_third", textwrap.dedent(f"""\
        # %%
        import os, pathlib, time
        pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))
        time.sleep(60 if not os.environ.get("AGAIN") else 0)
        """))  # fmt: skip
    script = textwrap.dedent(f"""\
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background, it is ignored
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from pathlib import Path
        from test_pipeline import CHAPTERS
        from tsgbook.pipeline import Run
        from tsgbook.profiles import load_profile
        root = Path({str(checkout.root)!r})
        try:
            Run(load_profile("tiny", root=root, chapters=CHAPTERS), root=root, chapters=CHAPTERS).run()
        except KeyboardInterrupt:
            sys.exit(130)
        """)  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    for _ in range(300):
        if pid_file.exists() and pid_file.read_text():
            break
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    for _ in range(100):  # until the system has cleared it away
        if not alive(int(pid_file.read_text())):
            break
        time.sleep(0.1)
    assert not alive(int(pid_file.read_text()))
    assert not list((checkout.artifacts / "executed").glob("*.partial*"))
    assert checkout.plan()["03_third"] == "not run yet"


def test_parameter_defaults_are_read_without_running():
    assert parameter_defaults(jupytext.reads(FIRST, "py:percent")) == {"artifacts": "artifacts/none", "n": 1}


def test_stamps_hold_no_machine_path(run_once, checkout):
    stamp = json.loads((checkout.artifacts / "executed" / "01_first.json").read_text())
    assert stamp["parameters"] == {"n": 3} and stamp["artifacts"].keys() == {"numbers.txt"}
    assert str(run_once[0]) not in json.dumps(stamp)
