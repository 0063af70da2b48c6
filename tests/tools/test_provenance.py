import ast
import platform

import numpy
import pytest

from tsg_core.tools import provenance
from tsg_core.tools.provenance import code_text, code_version, imported_names, modules_used, package_versions, source_of


def forget_sources():
    provenance._module.cache_clear()
    provenance._text.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: a imports b inside a function, b imports what no number depends on."""
    folder = tmp_path / "tsg_core"
    (folder / "tools").mkdir(parents=True)
    (folder / "a.py").write_text("def f():\n    from .b import g\n    return g\n")
    (folder / "b.py").write_text("from .errors import TsgError\nfrom .tools import progress\nX = 1\n")
    (folder / "errors.py").write_text("class TsgError(ValueError): pass\n")
    (folder / "tools" / "progress.py").write_text("def track(): pass\n")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    forget_sources()
    yield folder
    forget_sources()


def change(package, name, text):
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text(text)
    forget_sources()


def test_imports_are_followed_and_tools_left_out(package):
    assert modules_used(["tsg_core.a"]) == ["tsg_core.a", "tsg_core.b"]


def test_version_changes_with_the_code_of_an_import_alone(package):
    before = code_version(["tsg_core.a"])
    change(package, "tools/progress.py", "def track(): return 1\n")
    change(package, "a.py", '"""Docstring."""\ndef f():\n    "What."\n    from .b import g  # why\n\n    return g\n')
    assert code_version(["tsg_core.a"]) == before
    change(package, "b.py", "X = 2\n")
    assert code_version(["tsg_core.a"]) != before


def test_a_file_edited_after_it_was_loaded_counts_as_it_was(package):
    """As in a notebook whose kernel goes on with the module that it has imported."""
    provenance.remember_sources()
    (package / "b.py").write_text("X = 2\n")
    edited = code_version(["tsg_core.a"])
    forget_sources()
    assert code_version(["tsg_core.a"]) != edited


def test_version_changes_with_a_folder_of_weights_that_a_module_names(package):
    change(package, "b.py", "FOLDER = 'wide'\n")
    before = code_version(["tsg_core.a"])
    change(package, "wide/README.md", "A card.")
    assert code_version(["tsg_core.a"]) == before
    versions = [before]
    for content in ("1", "2"):
        change(package, "wide/model.safetensors", content)
        versions.append(code_version(["tsg_core.a"]))
    assert len(set(versions)) == 3


def test_version_changes_with_shipped_data_that_a_module_names(package):
    change(package, "other.npz", "1")
    change(package, "b.py", "FILE = 'series.npz'\n")
    before = code_version(["tsg_core.a"])
    change(package, "series.npz", "1")
    named = code_version(["tsg_core.a"])
    change(package, "other.npz", "2")
    assert code_version(["tsg_core.a"]) == named != before


def test_predictions_depend_on_the_shipped_weights():
    assert "tsg_core.model.shipped" in modules_used(["tsgbook.experiments.frames_and_volumes"])
    assert "model.safetensors" in provenance._module("tsg_core.model.shipped")[0]


def test_every_form_of_import_is_seen():
    code = "import tsg_core.a\nfrom tsg_core.b import x\nfrom tsgbook import c\nfrom .d import y\nfrom . import e\n"
    absolute = {"tsg_core.a", "tsg_core.b", "tsg_core.b.x", "tsgbook", "tsgbook.c"}
    relative = {"tsg_core.d", "tsg_core.d.y", "tsg_core", "tsg_core.e"}
    assert imported_names(ast.parse(code), package="tsg_core") == absolute | relative
    assert imported_names(ast.parse(code)) == absolute


def test_imports_within_a_package_start_there():
    code = "from .steps import prepare\nfrom . import gain\nfrom ..errors import TsgError\nimport numpy\n"
    expected = {"kit", "kit.steps", "kit.steps.prepare", "kit.gain", "errors", "errors.TsgError"}
    found = imported_names(ast.parse(code), package="tsg_core.kit")
    assert found == {f"tsg_core.{name}" for name in expected} | {"numpy"}


def test_version_changes_with_a_module_within_a_package(package):
    """a imports the package kit, whose first file imports kit.inner, which imports b."""
    change(package, "kit/__init__.py", "from .inner import x\n")
    change(package, "kit/inner.py", "from ..b import X\nx = 1\n")
    change(package, "kit/unused.py", "y = 1\n")
    change(package, "a.py", "def f():\n    from .kit import x\n    return x\n")
    used = ["tsg_core.a", "tsg_core.b", "tsg_core.kit", "tsg_core.kit.inner"]
    assert modules_used(["tsg_core.a"]) == used
    before = code_version(["tsg_core.a"])
    change(package, "kit/unused.py", "y = 2\n")
    assert code_version(["tsg_core.a"]) == before
    change(package, "kit/inner.py", "from ..b import X\nx = 2\n")
    assert code_version(["tsg_core.a"]) != before


def test_a_reader_of_files_counts_only_where_it_is_named():
    """A fix to one reader must not cost the hours that the metrics of frames take."""
    used = modules_used(["tsgbook.experiments.frames_and_volumes"])
    assert "tsg_core.tilt_series" in used and not [name for name in used if "formats" in name]
    assert {"tsg_core.formats", "tsg_core.formats.mrc"} <= set(modules_used(["tsg_core.formats"]))


def test_what_draws_counts_for_figures_alone():
    """Or where it is named itself."""
    drawing = ["tsgbook.experiments.claims"]
    assert not [name for name in modules_used(drawing) if name.startswith("tsgbook.figures")]
    assert "tsgbook.figures.plotting" in modules_used(["tsgbook.figures.plotting"])
    assert modules_used(["tsgbook.pipeline"]) == []


def test_modules_are_given_as_objects_too():
    from tsg_core import geometry, sparsity

    assert modules_used([sparsity, geometry]) == modules_used(["tsg_core.sparsity", "tsg_core.geometry"])
    assert "tsg_core.geometry" in modules_used([geometry])


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="tsg_core.sparsities"):
        code_version(["tsg_core.sparsities"])


def test_a_version_has_16_digits_and_names_without_code_of_the_project_have_no_source():
    assert len(code_version(["tsg_core.errors"])) == 16
    assert source_of("tsg_core") is source_of("numpy.linalg") is source_of("tsg_core.no_such") is None


def test_the_packages_of_a_result_are_named_with_their_versions():
    found = package_versions()
    assert found["python"] == platform.python_version() and found["numpy"] == numpy.__version__
    assert found.keys() <= {"python", *provenance.DISTRIBUTIONS}


def test_code_text_keeps_strings_that_are_not_docstrings():
    assert code_text(ast.parse("x = 'a'")) != code_text(ast.parse("x = 'b'"))
    assert code_text(ast.parse("def f():\n    'a'\n    return 1")) == code_text(ast.parse("def f():\n    return 1"))
    assert code_text(ast.parse("def f():\n    g()\n    return 1")) != code_text(ast.parse("def f():\n    return 1"))
