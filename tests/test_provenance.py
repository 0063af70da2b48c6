import ast

import pytest

from tsg_core import provenance
from tsg_core.provenance import code_text, code_version, imported_modules, modules_used


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: a imports b inside a function, b imports plumbing."""
    (tmp_path / "a.py").write_text("def f():\n    from .b import g\n    return g\n")
    (tmp_path / "b.py").write_text("from .errors import TsgError\nfrom . import progress\nX = 1\n")
    (tmp_path / "errors.py").write_text("class TsgError(ValueError): pass\n")
    (tmp_path / "progress.py").write_text("def track(): pass\n")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    provenance._module.cache_clear()
    yield tmp_path
    provenance._module.cache_clear()


def change(package, name, text):
    (package / name).write_text(text)
    provenance._module.cache_clear()


def test_imports_are_followed_and_plumbing_left_out(package):
    assert modules_used(["tsg_core.a"]) == ["a", "b"]


def test_version_changes_with_the_code_of_an_import_alone(package):
    before = code_version(["a"])
    change(package, "progress.py", "def track(): return 1\n")
    change(package, "a.py", '"""Docstring."""\ndef f():\n    "What."\n    from .b import g  # why\n\n    return g\n')
    assert code_version(["a"]) == before
    change(package, "b.py", "X = 2\n")
    assert code_version(["a"]) != before


def test_version_changes_with_the_data_that_a_module_brings(package):
    before = code_version(["a"])
    (package / "b" / "wide").mkdir(parents=True)
    (package / "b" / "wide" / "README.md").write_text("A card.")
    provenance._module.cache_clear()
    assert code_version(["a"]) == before
    versions = [before]
    for content in (b"1", b"2"):
        (package / "b" / "wide" / "model.safetensors").write_bytes(content)
        provenance._module.cache_clear()
        versions.append(code_version(["a"]))
    assert len(set(versions)) == 3


def test_predictions_depend_on_the_shipped_weights():
    assert "weights" in modules_used(["comparison"])
    assert "model.safetensors" in provenance._module("weights")[0]


def test_every_form_of_import_is_seen():
    code = "import tsg_core.a\nfrom tsg_core.b import x\nfrom tsg_core import c\nfrom .d import y\nfrom . import e\n"
    assert imported_modules(ast.parse(code)) == {"a", "b", "b.x", "c", "d", "d.y", "e"}


def test_imports_within_a_package_start_there():
    code = "from .steps import prepare\nfrom . import gain\nfrom ..errors import TsgError\nimport numpy\n"
    expected = {"kit", "kit.steps", "kit.steps.prepare", "kit.gain", "errors", "errors.TsgError"}
    assert imported_modules(ast.parse(code), package="kit") == expected


def test_version_changes_with_a_module_within_a_package(package):
    """a imports the package kit, whose first file imports kit.inner, which imports b."""
    (package / "kit").mkdir()
    change(package, "kit/__init__.py", "from .inner import x\n")
    change(package, "kit/inner.py", "from ..b import X\nx = 1\n")
    change(package, "kit/unused.py", "y = 1\n")
    change(package, "a.py", "def f():\n    from .kit import x\n    return x\n")
    assert modules_used(["a"]) == ["a", "b", "kit", "kit.inner"]
    before = code_version(["a"])
    change(package, "kit/unused.py", "y = 2\n")
    assert code_version(["a"]) == before
    change(package, "kit/inner.py", "from ..b import X\nx = 2\n")
    assert code_version(["a"]) != before


def test_the_packages_of_the_module_are_followed():
    assert {"formats", "formats.mrc", "formats.checks"} <= set(modules_used(["tilt_series"]))
    assert {"preparation.refinement", "tilt_series"} <= set(modules_used(["preparation.steps"]))


def test_version_changes_with_shipped_data_that_a_module_names(package):
    (package / "data").mkdir()
    (package / "data" / "other.npz").write_bytes(b"1")
    change(package, "b.py", "FILE = 'series.npz'\n")
    before = code_version(["a"])
    change(package, "data/series.npz", "1")
    named = code_version(["a"])
    change(package, "data/other.npz", "2")
    assert code_version(["a"]) == named != before


def test_modules_are_given_as_objects_too():
    from tsg_core import sparsity, structures

    assert modules_used([sparsity, structures]) == ["sparsity", "structures"]


def test_code_text_keeps_strings_that_are_not_docstrings():
    assert code_text(ast.parse("x = 'a'")) != code_text(ast.parse("x = 'b'"))
    assert code_text(ast.parse("def f():\n    'a'\n    return 1")) == code_text(ast.parse("def f():\n    return 1"))
