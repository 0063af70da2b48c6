"""What produced a result: the version of the code, found by following imports, and the versions of packages."""

import ast
import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds both packages
PACKAGES = ("tsg_core", "tsgbook")
# No number depends on these folders and files: they read and write files, draw figures and run the book.
# They count only if they are named as the code of a result.
FIGURES = frozenset({"tsg_core.pictures", "tsgbook.figures", "tsgbook.results"})
GROUND = frozenset({"tsg_core.errors", "tsg_core.tools", "tsg_core.commands", "tsg_core.formats"})
NUMBERS_OF_THE_BOOK = frozenset({"tsgbook.experiments", "tsgbook.networks"})
DATA_SUFFIXES = frozenset({".safetensors", ".csv", ".yaml", ".npz"})
DISTRIBUTIONS = ("numpy", "scipy", "torch", "abtem", "ase", "astra-toolbox", "scikit-image", "zarr", "pandas")


def code_version(modules: Iterable[ModuleType | str], *, figures: bool = False) -> str:
    """Hash (16 hex digits) of the code of these modules and of the project's modules that they import.

    Comments, docstrings and layout do not count. Data that lie beside a module and that it names do count (a file, or a
    folder with weights and tables). Imports, also those inside functions, are found in the syntax tree; nothing is
    imported for it. See `modules_used` for what is left out.
    """
    digest = hashlib.sha256()
    for name in modules_used(modules, figures=figures):
        digest.update(f"{name}\0{_module(name)[0]}\0".encode())
    return digest.hexdigest()[:16]


def modules_used(modules: Iterable[ModuleType | str], *, figures: bool = False) -> list[str]:
    """Full names, sorted, of these modules and of the project's modules that they import.

    Folders on which no number depends are left out: tools, file formats, commands and drawing unless they are among
    `modules` themselves (drawing: or `figures` is set), and what runs the book always. Raises ValueError for an unknown
    module.
    """
    named = {module if isinstance(module, str) else module.__name__ for module in modules}
    unknown = [name for name in sorted(named) if not source_of(name)]
    if unknown:
        raise ValueError(f"no module of this project is called {', '.join(unknown)}")
    waiting, seen = sorted(named), set()
    while waiting:
        name = waiting.pop()
        if name not in seen and _counts(name, named, figures) and source_of(name):
            seen.add(name)
            waiting.extend(_module(name)[1])
    return sorted(seen)


def remember_sources() -> None:
    """Read all modules now: a file that is edited later does not change what this process has loaded, nor its hash."""
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            _text(file)


def runs_the_book(name: str) -> bool:
    """Whether a module only runs, records or builds the book, so that no number depends on it."""
    return name.split(".")[0] == "tsgbook" and not _inside(name, NUMBERS_OF_THE_BOOK | FIGURES)


def imported_modules(tree: ast.AST, *, package: str = "") -> set[str]:
    """Full names of what a piece of code imports from this project, anywhere inside: modules and what they define.

    `package` is the full name of the package that the code belongs to, or ""; relative imports start there.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, package)
            found.update([origin, *(f"{origin}.{alias.name}" for alias in node.names)])
    return {name for name in found if name.startswith(tuple(f"{package}." for package in PACKAGES))}


def source_of(name: str) -> Path | None:
    """The file of the module or package with this name; None if there is none."""
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def code_text(tree: ast.AST) -> str:
    """The syntax tree as text, the same for code that differs only in comments, docstrings and layout."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and body:
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body = body[1:]
    return ast.dump(tree)


def package_versions() -> dict[str, str]:
    """Versions of Python, of this package and of the packages that results depend on; nothing is imported for it."""
    versions = {"python": platform.python_version(), "tsg": _version("tsg")}
    return versions | {name: _version(name) for name in DISTRIBUTIONS if _version(name)}


def _counts(name: str, named: set[str], figures: bool) -> bool:
    if _inside(name, FIGURES):
        return figures or name in named
    if name.split(".")[0] == "tsgbook":
        return not runs_the_book(name)
    # naming a package includes its modules: `formats` includes the readers
    return not _inside(name, GROUND) or _inside(name, frozenset(named))


def _inside(name: str, places: frozenset[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _origin(node: ast.ImportFrom, package: str) -> str:
    """The full name of the module that follows `from`."""
    if node.level == 0:
        return node.module or ""
    around = package.split(".")
    return ".".join([*around[: len(around) + 1 - node.level], *filter(None, [node.module])])


@cache
def _text(source: Path) -> str:
    return source.read_text(encoding="utf-8")


@cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    source = source_of(name)
    assert source is not None, name
    tree = ast.parse(_text(source))
    package = name if source.name == "__init__.py" else name.rpartition(".")[0]
    return code_text(tree) + _data(source, tree), frozenset(imported_modules(tree, package=package))


def _data(source: Path, tree: ast.AST) -> str:
    """Checksums of the data beside a module that the module names, files or folders."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = [path for path in source.parent.glob("*") if path.name in texts]
    inside = {inner for path in named for inner in (path.rglob("*") if path.is_dir() else [path])}
    files = sorted(file for file in inside if file.suffix in DATA_SUFFIXES)
    return "".join(f"\0{file.relative_to(ROOT)} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
