"""What made a result: the version of the code, found by walking imports, and the versions of the packages."""

import ast
import hashlib
import platform
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent
FIGURES = frozenset({"plotting", "results"})  # these show results; no result depends on them
PLUMBING = frozenset(
    {"artifacts", "book", "cells", "chapters", "cli", "display", "errors", "estimates", "execution", "files"}
    | {"notebook", "pipeline", "profiles", "progress", "provenance", "sphinx_hooks"}
)
DATA_SUFFIXES = frozenset({".safetensors", ".csv"})
PACKAGES = ("numpy", "scipy", "torch", "abtem", "ase", "astra-toolbox", "scikit-image", "zarr", "pandas")


def code_version(modules: Iterable[ModuleType | str], *, figures: bool = False) -> str:
    """Hash (16 hex digits) of the code of these `tsg_core` modules and of those that they import.

    Plumbing, on which no number depends, is left out, and so is what draws figures unless `figures`.

    Comments, docstrings and layout do not count; weights and tables in a folder of a module's name do, and files of
    the folder `data` that a module names. Imports are found in the syntax tree, those inside functions too, so nothing
    is imported to find out. Names are given with or without the leading `tsg_core.`.
    """
    digest = hashlib.sha256()
    for name in modules_used(modules, figures=figures):
        digest.update(f"{name}\0{_module(name)[0]}\0".encode())
    return digest.hexdigest()[:16]


def modules_used(modules: Iterable[ModuleType | str], *, figures: bool = False) -> list[str]:
    """Names, sorted and without `tsg_core.`, of these modules and of those they import. See `code_version`."""
    left_out = PLUMBING if figures else PLUMBING | FIGURES
    waiting = [_short_name(module) for module in modules]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name not in left_out and _source(name):
            seen.add(name)
            waiting.extend(_module(name)[1])
    return sorted(seen)


def imported_modules(tree: ast.AST, *, package: str = "") -> set[str]:
    """Names, without `tsg_core.`, that a piece of code imports anywhere inside, of modules and of what they define.

    `package` is the one within `tsg_core` that the code belongs to, "" for none: relative imports start there.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, package)
            found.update([origin, *(f"{origin}.{alias.name}" for alias in node.names)])
    return {name.removeprefix("tsg_core.") for name in found if name.startswith("tsg_core.")}


def _origin(node: ast.ImportFrom, package: str) -> str:
    """The full name of what comes after `from`."""
    if node.level == 0:
        return node.module
    around = f"tsg_core.{package}".strip(".").split(".")
    return ".".join([*around[: len(around) + 1 - node.level], *filter(None, [node.module])])


def code_text(tree: ast.AST) -> str:
    """A text of the syntax tree that is the same for code that differs in comments, docstrings and layout only."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and body:
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body = body[1:]
    return ast.dump(tree)


def package_versions() -> dict[str, str]:
    """Versions of Python, of this package and of the packages that results depend on, without importing any."""
    versions = {"python": platform.python_version(), "tsg": _version("tsg")}
    return versions | {name: _version(name) for name in PACKAGES if _version(name)}


@lru_cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    source = _source(name)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    package = name if source.name == "__init__.py" else name.rpartition(".")[0]
    return code_text(tree) + _data(name, tree), frozenset(imported_modules(tree, package=package))


def _source(name: str) -> Path | None:
    """The file of a module or of a package; None where there is none of the name."""
    path = PACKAGE.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _data(name: str, tree: ast.AST) -> str:
    """Checksums of the files that a module reads: those in the folder of its own name and those in `data` it names."""
    own = {path for path in PACKAGE.joinpath(*name.split(".")).rglob("*") if path.suffix in DATA_SUFFIXES}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = {path for path in (PACKAGE / "data").glob("*.*") if path.name in texts}
    return "".join(
        f"\0{path.relative_to(PACKAGE)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sorted(own | named)
    )


def _short_name(module: ModuleType | str) -> str:
    name = module if isinstance(module, str) else module.__name__
    return name.removeprefix("tsg_core.")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
