"""What a result is made of: cells as a reader would write them, each changed in one way that changes the result."""

import importlib
import json
import subprocess
import sys
import types

import numpy as np
import pytest
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.tilt_series import TiltSeries
from tsg_core.tools.digests import checksum
from tsgbook.contents import recipe_of

CHAPTER = """
import random
import numpy as np
from pathlib import Path
from tsgbook.artifacts import Artifacts
from tsg_core import sparsity
a = [3, 1, 2, 5, 4]
b = np.arange(4.0)
factor = 2

def twice(x):
    return factor * x

def write(path, *, values, scale=1):
    '''A docstring.'''
    path.write_text(str([twice(scale * x) for x in values]))

#
store.make("numbers.txt", write, parameters={"values": a + list(b)})
"""
READING = CHAPTER.replace("values, scale", "scale").replace("in values", "in a + list(b)").replace(
    'parameters={"values": a + list(b)}', ""
)  # fmt: skip
# one cell that runs each chapter in a namespace of its own, as a kernel would
KERNEL = """
import json, sys, tempfile, textwrap
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
from tsgbook.artifacts import Artifacts
shell = InteractiveShell.instance()
found = []
with tempfile.TemporaryDirectory() as folder:
    for number, (first, second) in enumerate(json.load(sys.stdin)):
        for chapter in (first, second):
            shell.reset(new_session=False)
            shell.user_ns["store"] = Artifacts(Path(folder) / str(number))
            for cell in chapter.split("\\n#\\n"):
                shell.run_cell(cell, store_history=True).raise_error()
        store = shell.user_ns["store"]
        made = store.path("numbers.txt").read_text()
        store.forget("numbers.txt")
        shell.run_cell(chapter.split("\\n#\\n")[-1]).raise_error()
        found.append([made, store.path("numbers.txt").read_text()])
print("FOUND" + json.dumps(found))
"""
CHANGES = {
    "pop": ("\n#\n", "\nx = a.pop()\n#\n"),
    "shuffle": ("\n#\n", "\nrandom.seed(1); random.shuffle(a)\n#\n"),
    "out": ("\n#\n", "\nnp.add(b, 1, out=b)\n#\n"),
    "append in a loop": ("\n#\n", "\nfor x in (7, 8):\n    a.append(x)\n#\n"),
    "a function's effect": ("\n#\n", "\ndef change(x): x[0] = 9\nchange(a)\n#\n"),
    "what a function of a function reads": ("factor = 2", "factor = 3"),
    "a function that the function calls": ("return factor * x", "return factor + x"),
    "the function": ("str([", "str([0] + ["),
    "its default": ("scale=1", "scale=4"),
    "the value of a default": ("scale=1", "scale=len(a)"),
}


def run(pairs):
    done = subprocess.run([sys.executable, "-c", KERNEL], input=json.dumps(pairs), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout.split("FOUND")[1])


@pytest.fixture(scope="module")
def after_change():
    """What stands in the artifact after a change and a run by hand, and what a fresh run makes."""
    keys = [(way, name) for way in ("parameter", "global") for name in CHANGES]
    chapters = {"parameter": CHAPTER, "global": READING}
    pairs = [(chapters[way], chapters[way].replace(*CHANGES[name])) for way, name in keys]
    unchanged = [(chapters[way], chapters[way]) for way in chapters]
    results = run([*unchanged, *pairs])
    assert all(made == fresh for made, fresh in results[:2])
    return results[0][0], dict(zip(keys, results[2:], strict=True))


@pytest.mark.parametrize("way", ["parameter", "global"])
@pytest.mark.parametrize("name", CHANGES)
def test_no_change_goes_stale(after_change, way, name):
    """Whether the list is a parameter or, forgotten there, read by the function."""
    before, found = after_change
    made, fresh = found[way, name]
    assert made == fresh != before


def write(path, *, values=()):
    """A docstring."""
    path.write_text(str(values))  # a comment


def recipe(function=write, **parameters):
    return recipe_of(function, parameters)


def series(value=1.0):
    return TiltSeries(np.full((2, 40, 40), value), [0.0, 1.0], 0.5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, 2), (1, True), (1, 1.0), ("1", 1), ([1, 2], [2, 1]), ({"a": 1}, {"a": 2}), (None, 0),
        (np.zeros(100), np.ones(100)), (np.zeros(100), np.zeros(100, np.float32)), (np.zeros((10, 10)), np.zeros(100)),
        (ABERRATED, NON_ABERRATED), (series(), series(2.0)), (np.sin, np.cos), (json.dumps, json.loads),
        (Atoms("Pd", [[0, 0, 0.0]]), Atoms("Pd", [[0, 0, 0.1]])), (Atoms("Pd"), Atoms("Al")),
        (range(3), range(4)), ({1, 2}, {1, 3}), (series, write),
    ],
)  # fmt: skip
def test_values_count_by_their_contents(first, second):
    assert recipe(values=first) != recipe(values=second) or json.dumps(recipe(values=first)) != json.dumps(
        recipe(values=second)
    )
    assert recipe(values=[first]) == recipe(values=[first])


def test_equal_contents_are_equal():
    assert recipe(values=series()) == recipe(values=series())
    assert recipe(values={2, 1}) == recipe(values={1, 2})
    assert recipe(values=np.arange(100)[::2]) == recipe(values=np.arange(0, 100, 2))
    assert recipe(values=Atoms("Pd")) == recipe(values=Atoms("Pd"))


def test_comments_docstrings_and_layout_do_not_count(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for k, text in enumerate(["'What.'\n    return 1  # one", "return (\n        1)", "return 2"]):
        (tmp_path / f"own_{k}.py").write_text(f"def build(path):\n    {text}\n")
        found.append(recipe(__import__(f"own_{k}").build)["function"]["source"])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("uses", ["import {0}", "from {0} import VALUE", "def late():\n    import {0}"])
def test_a_module_beside_the_notebook_counts_with_what_it_imports(tmp_path, monkeypatch, uses):
    monkeypatch.syspath_prepend(tmp_path)
    deep, helper = "deep_" + str(len(uses)), "helper_" + str(len(uses))
    (tmp_path / f"{helper}.py").write_text(f"import json\n{uses.format(deep)}\ndef go(path): pass\n")
    found = []
    for value in (1, 2):
        (tmp_path / f"{deep}.py").write_text(f"VALUE = {value}\n")
        module = __import__(helper)

        def build(path):
            module.go(path)  # noqa: B023

        found.append(recipe(build))
    assert found[0] != found[1]


def test_a_module_edited_while_the_kernel_goes_on_is_made_anew_when_it_is_loaded(tmp_path, monkeypatch):
    """Of the three states, the second is the old code beside the new file."""
    monkeypatch.syspath_prepend(tmp_path)
    found, module = [], "edited"
    for value, load in ((1, importlib.import_module), (2, None), (2, importlib.reload)):
        (tmp_path / "edited.py").write_text(f"def go(path):\n    return {value}  # {'x' * value}\n")
        if load:
            module = load(module)
        found.append(json.dumps([recipe(module.go), recipe(values=module)]))
    assert len(set(found)) == 3


def test_a_package_counts_with_its_folders_and_a_module_without_those_beside_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("pack/__init__.py", "pack/inner/deep.py", "beside/deep.py", "single.py", "space/within.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("def go(path):\n    pass\n")
    functions = [importlib.import_module(name).go for name in ("pack", "single", "space.within")]
    before = [recipe(function) for function in functions]
    (tmp_path / "beside" / "deep.py").write_text("X = 1\n")
    assert [recipe(function) for function in functions] == before
    (tmp_path / "pack" / "inner" / "deep.py").write_text("X = 1\n")
    assert recipe(functions[0]) != before[0]
    (tmp_path / "space" / "within.py").write_text("X = 1\n")
    assert recipe(functions[2]) != before[2]


def test_a_module_that_a_function_will_import_counts_before_it_is_loaded(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def build(path):
        import not_loaded_yet  # noqa: F401

    found = []
    for value in (1, 2):
        (tmp_path / "not_loaded_yet.py").write_text(f"VALUE = {value}\n")
        found.append(recipe(build)["function"]["imports"]["not_loaded_yet"]["code"])
    assert found[0] != found[1] and "not_loaded_yet" not in sys.modules


def test_a_class_counts_with_its_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_class.py").write_text("class Own:\n    pass\n")
    found = recipe(values=importlib.import_module("own_class").Own)["parameters"]["values"]
    assert found["name"] == "own_class.Own" and found["module"]["code"]


def test_the_digest_of_an_array_has_16_digits():
    assert len(recipe(values=np.zeros(3))["parameters"]["values"]["digest"]) == 16


def test_the_projects_own_code_is_told_by_its_modules():
    from tsg_core import sparsity
    from tsg_core.simulation import datasets
    from tsg_core.tools.provenance import code_version
    from tsgbook.figures import plotting

    made = recipe(datasets.write_dataset)
    assert made["function"] == "tsg_core.simulation.datasets.write_dataset"
    assert made["code"] == code_version([datasets]) != code_version([sparsity])

    def thinned(path):
        sparsity.sparse_indices(3, gap=2)

    def imports_inside(path):
        from tsg_core.sparsity import sparse_indices

        sparse_indices(3, gap=2)

    def draws(path):
        plotting.use_book_style()

    assert recipe(thinned)["code"] == recipe(imports_inside)["code"] == code_version([sparsity])
    assert recipe(draws)["code"] == code_version([plotting]) != code_version([])


def test_what_cannot_be_told_by_its_contents_is_refused(tmp_path):
    from tsgbook.artifacts import Artifacts

    rng, store, opened, normal = np.random.default_rng(1), Artifacts(tmp_path), (tmp_path / "a").open("w"), [].append

    def reads_generator(path):
        rng.normal()

    def reads_store(path):
        store.path("numbers.txt")

    def reads_method(path):
        normal(1)

    def reads_nothing_defined(path):
        undefined  # noqa: B018, F821

    class Own:
        pass

    for function, message in (
        (lambda path: None, "write it as a function with `def`"),
        (reads_generator, "rng, which .*reads_generator reads, is a Generator"),
        (reads_store, "store, which .*reads_store reads, is an Artifacts, .*give the values that it holds as param"),
        (reads_method, "uses a method of a list"),
        (reads_nothing_defined, "reads undefined, which is not defined"),
        (json, "a module cannot make a result"),
    ):
        with pytest.raises(TsgError, match=message) as caught:
            recipe(function)
        assert "\n" not in str(caught.value)
    for value, message in (
        (opened, "the parameter values is a TextIOWrapper"),
        (Own(), "the parameter values is a .*Own"),
        (Own, "the class .*Own, which is defined in a notebook; put it into a .py file"),
        (type("Top", (), {"__module__": "__main__"}), "the class __main__.Top, which is defined in a notebook"),
        (types.ModuleType("made_up"), "the code of made_up is not known; put it into a .py file"),
        (Artifacts, "runs the book and is no part of a result"),
        (tmp_path / "missing", "missing does not exist"),
    ):
        with pytest.raises(TsgError, match=message):
            recipe(values=value)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        if path == tmp_path:
            raise PermissionError(13, "Permission denied")
        return checksum(path)

    monkeypatch.setattr("tsgbook.contents.checksum", refuse)
    with pytest.raises(TsgError, match="the parameter values: .* cannot be read: Permission denied"):
        recipe(values=tmp_path)


def test_functions_that_call_one_another_in_a_circle(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "circle.py").write_text("def a(path):\n    return b(path)\ndef b(path):\n    return a(path)\n")
    assert recipe(__import__("circle").a)["function"]["reads"]["b"]["reads"]["a"] == "circle.a"


def test_a_data_set_stands_for_its_folder(tmp_path):
    from tsg_core.simulation.datasets import Dataset, write_dataset

    found = []
    for seed in (1, 2):
        particle = Atoms("Au", positions=[[0.1 * seed, 0, 0]])
        path = write_dataset(
            tmp_path / f"{seed}" / "a.zarr", [particle], microscope=ABERRATED, tilt_deg=[0.0], shape=16,
            field_of_view_A=16.0,
        )  # fmt: skip
        found.append(recipe(values={"aberrated": Dataset(path)}))
    assert found[0]["parameters"]["values"]["aberrated"]["file"] == "a.zarr"
    assert found[0] != found[1]
