"""The structure of the code: which package may import which, no circles, no long files, and the names users rely on."""

import ast
import re
from functools import cache
from importlib import import_module
from itertools import chain

import networkx
import pytest
from conftest import ROOT

PAGE = ROOT / "book" / "architecture.md"
FACES = {
    "structures": ["training_particles", "test_particles", "random_rotation"],
    "microscope": ["Microscope", "ABERRATED", "NON_ABERRATED"],
    "tilt_series": ["TiltSeries"],
    "sparsity": ["sparse_indices", "midpoint_trios"],
    "losses": ["charbonnier", "census", "tsgnet_loss"],
    "simulation": ["simulate_tilt_series", "ENGINES"],
    "model": [
        *("TSGNet", "STRIDE", "PUBLISHED_CHANNELS", "SMALL_CHANNELS"),
        *("displacement_px", "pair_mean", "pad_to_stride", "warp"),
    ],
    "training": ["TrainingSettings", "train", "LOSSES", "PRECISIONS", "MODEL_FILE", "HISTORY_FILE", "STATE_FILE"],
    "interpolation": ["densify", "densify_with_uncertainty", "Densified", "sigma_series", "METHODS"],
    "reconstruction": ["ENGINES", "cgls", "fbp", "in_slabs", "lazy_slabs", "os_em", "os_sart", "project", "sirt", "tv"],
    "evaluation": ["image_metrics", "object_points", "chamfer_distance", "rms_error", "fourier_shell_correlation"],
}
# what redesign of the table must never allow: (importer, imported), in tsg_core
NEVER = [
    *((room, "commands") for room in ("interpolation", "pictures", "preparation", "reconstruction", "formats")),
    *((room, "pictures") for room in ("interpolation", "preparation", "reconstruction", "evaluation", "formats")),
    *((room, science) for room in ("errors", "geometry", "tools") for science in ("tilt_series", "optics", "formats")),
    *((room, above) for room in ("optics", "simulation", "reconstruction", "evaluation", "model", "losses", "training")
      for above in ("interpolation", "preparation", "samples")),
    *((room, "simulation") for room in ("optics", "reconstruction", "evaluation", "model", "training")),
    ("preparation", "interpolation"),
    ("interpolation", "preparation"),
]  # fmt: skip


def modules():
    """Full name -> path of every module of both packages."""
    found = {}
    for path in chain((ROOT / "tsg_core").rglob("*.py"), (ROOT / "tsgbook").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name):
    """Modules of this project that one imports, at the top or inside functions."""
    return imported_by(name, MODULES[name])


@cache
def imported_by(name, path):
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            origin = ".".join([*around, *filter(None, [node.module])])
            inner = {f"{origin}.{alias.name}" for alias in node.names}
            found.update(inner & MODULES.keys() or {origin})
    return found & MODULES.keys()


def room(name):
    """The package (or module at the root) that a module belongs to, as the table calls it."""
    parts = name.split(".")
    if parts[0] == "tsgbook":
        inner = ".".join(parts[:2])
        return inner if len(parts) > 1 and (ROOT / "tsgbook" / parts[1]).is_dir() else "tsgbook"
    return parts[1] if len(parts) > 1 else "tsg_core"


def table():
    """Room -> text of the column "May import", as the page says it."""
    rows = re.findall(r"^\| `([\w.]+)` \| .*? \| ?(.*?) ?\|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(rows)


def allowed(importer, imported):
    text = table()[importer]
    if text.startswith("everything"):
        but = text.partition(" but ")[2]
        if imported == "tsgbook":
            return "`tsgbook` itself" not in but
        return imported.removeprefix("tsgbook.") not in re.findall(r"\b(figures|networks)\b", but)
    return imported in text.split(", ")


def arrows():
    return {(room(name), room(other), name, other) for name in MODULES for other in imports(name)}


def test_every_package_is_on_the_page_and_no_other():
    rooms = {room(name) for name in MODULES} - {"tsg_core"}
    assert set(table()) == rooms
    drawn = (ROOT / "book" / "_static" / "rooms.svg").read_text(encoding="utf-8")
    assert {name for name in rooms if f">{name.removeprefix('tsgbook.')}<" not in drawn} == set()


def test_imports_are_those_that_the_page_allows():
    wrong = [f"{name} imports {other}" for a, b, name, other in arrows() if a != b and not allowed(a, b)]
    assert wrong == []


@pytest.mark.parametrize(("importer", "imported"), NEVER)
def test_the_page_never_allows(importer, imported):
    assert not allowed(importer, imported)


def test_the_module_never_imports_the_book():
    rows = {name: text for name, text in table().items() if not name.startswith("tsgbook")}
    assert not [name for name, text in rows.items() if "tsgbook" in text or "everything" in text]
    assert not [name for name in MODULES if room(name)[:7] != "tsgbook" and any("tsgbook" in i for i in imports(name))]


def test_no_circle_but_the_declared_one():
    graph = networkx.DiGraph((name, other) for name in MODULES for other in imports(name) if name != other)
    circles = [members for members in networkx.strongly_connected_components(graph) if len(members) > 1]
    for members in circles:
        assert "tsg_core.tilt_series" in members and {room(name) for name in members} == {"tilt_series", "formats"}
    packages = networkx.DiGraph((a, b) for a, b, *_ in arrows() if a != b and "tilt_series" not in (a, b))
    assert [c for c in networkx.strongly_connected_components(packages) if len(c) > 1 and "tsgbook" not in c] == []


def test_no_file_is_too_long_to_read():
    files = chain(*((ROOT / folder).rglob("*.py") for folder in ("tsg_core", "tsgbook", "tests", "benchmarks")))
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


def test_the_root_reads_like_a_table_of_contents():
    entries = [p for p in (ROOT / "tsg_core").iterdir() if p.name not in ("__pycache__", "__init__.py")]
    assert len(entries) <= 22 and {p.stem for p in entries} == {n for n in table() if not n.startswith("tsgbook")}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in FACES.items() for name in names])
def test_agreed_names_are_importable(module, name):
    assert hasattr(import_module(f"tsg_core.{module}"), name)
    assert name in getattr(import_module(f"tsg_core.{module}"), "__all__", [name])


def test_a_new_import_is_noticed(tmp_path, monkeypatch):
    """The rule itself works: lazy and relative imports are read."""
    file = tmp_path / "kriging.py"
    file.write_text("def f():\n    from ..preparation import gain\n    from tsgbook import results\n")
    monkeypatch.setitem(MODULES, "tsg_core.interpolation.kriging", file)
    assert imports("tsg_core.interpolation.kriging") == {"tsg_core.preparation.gain", "tsgbook.results"}
    assert not allowed("interpolation", "preparation") and not allowed("interpolation", "tsgbook")
