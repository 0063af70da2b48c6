"""What produced a result: the version of the code, found by following imports, and the versions of packages."""

import ast
import hashlib
import platform
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache
from importlib import metadata
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds both packages
PACKAGES = ("tsg_core", "tsgbook")
FIGURES = ("tsg_core.pictures", "tsgbook.figures", "tsgbook.results")
# No number depends on these folders and files: they read and write files and draw figures.
# They count only if they are named as the code of a result.
LEFT_OUT = ("tsg_core.errors", "tsg_core.tools", "tsg_core.commands", "tsg_core.formats", *FIGURES)
# the rest of tsgbook runs the book, and never counts
OF_THE_BOOK = ("tsgbook.experiments", "tsgbook.networks", *FIGURES)
DATA_SUFFIXES = (".safetensors", ".csv", ".yaml", ".npz")
DISTRIBUTIONS = ("tsg", "numpy", "scipy", "torch", "abtem", "ase", "astra-toolbox", "scikit-image", "zarr", "pandas")


def code_version(modules: Iterable[ModuleType | str]) -> str:
    """Hash (16 hex digits) of the code of these modules and of the project's modules that they import.

    Comments, docstrings and layout do not count. Data that lie beside a module and that it names do count (a file, or a
    folder with weights and tables). Imports, also those inside functions, are found in the syntax tree; nothing is
    imported for it. See `modules_used` for what is left out.
    """
    digest = hashlib.sha256()
    for name in modules_used(modules):
        digest.update(f"{name}\0{_module(name)[0]}\0".encode())
    return digest.hexdigest()[:16]


def modules_used(modules: Iterable[ModuleType | str]) -> list[str]:
    """Full names, sorted, of these modules and of the project's modules that they import.

    Folders on which no number depends are left out: tools, file formats, commands and drawing unless they are among
    `modules` themselves, and what runs the book always. Naming a package includes the modules in it. Raises ValueError
    for an unknown module.
    """
    named = {module if isinstance(module, str) else module.__name__ for module in modules}
    unknown = [name for name in sorted(named) if not source_of(name)]
    if unknown:
        raise ValueError(f"no module of this project is called {', '.join(unknown)}")
    waiting, seen = sorted(named), set()
    while waiting:
        name = waiting.pop()
        counts = not runs_the_book(name) and (_inside(name, named) or not _inside(name, LEFT_OUT))
        if name not in seen and counts and source_of(name):
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
    return name.split(".")[0] == "tsgbook" and not _inside(name, OF_THE_BOOK)


def imported_names(tree: ast.AST, *, package: str = "") -> set[str]:
    """Full names of what a piece of code imports, anywhere inside: modules and what they define.

    Relative imports start in `package`; without one they are left out.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            found.update([origin, *(f"{origin}.{alias.name}" for alias in node.names)])
    return found


def source_of(name: str) -> Path | None:
    """The file of the module or package of this project with this name; None if there is none."""
    top, *inner = name.split(".")
    path = ROOT.joinpath(top, *inner)
    files = (path.with_suffix(".py"), path / "__init__.py") if top in PACKAGES and inner else ()
    return next((file for file in files if file.is_file()), None)


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
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _inside(name: str, places: Collection[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


@cache
def _text(source: Path) -> str:
    return source.read_text(encoding="utf-8")


@cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    source = source_of(name)
    assert source is not None, name
    tree = ast.parse(_text(source))
    package = name if source.name == "__init__.py" else name.rpartition(".")[0]
    return code_text(tree) + _data(source, tree), frozenset(imported_names(tree, package=package))


def _data(source: Path, tree: ast.AST) -> str:
    """Checksums of the data beside a module that the module names, files or folders."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = [path for path in source.parent.glob("*") if path.name in texts]
    inside = {inner for path in named for inner in (path.rglob("*") if path.is_dir() else [path])}
    files = sorted(file for file in inside if file.suffix in DATA_SUFFIXES)
    return "".join(f"\0{file.relative_to(ROOT)} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files)
