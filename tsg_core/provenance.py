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

    Comments, docstrings and layout do not count; weights and tables in a folder of a module's name do. Imports are
    found in the syntax tree, those inside functions too, so nothing is imported to find out. Names are given with or
    without the leading `tsg_core.`.
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
        if name not in seen and name not in left_out and (PACKAGE / f"{name}.py").is_file():
            seen.add(name)
            waiting.extend(_module(name)[1])
    return sorted(seen)


def imported_modules(tree: ast.AST) -> set[str]:
    """Names, without `tsg_core.`, of the package's modules that a piece of code imports anywhere inside."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tsg_core."))
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level == 1 and origin:
                found.add(origin.split(".")[0])
            elif origin.startswith("tsg_core."):
                found.add(origin.split(".")[1])
            elif node.level == 1 or origin == "tsg_core":
                found.update(alias.name for alias in node.names)
    return found


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
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    imports = frozenset(imported_modules(tree))
    return code_text(tree) + _data(name), imports


def _data(name: str) -> str:
    """Checksums of the files that a module reads from the folder of its own name."""
    files = sorted(path for path in (PACKAGE / name).rglob("*") if path.suffix in DATA_SUFFIXES)
    return "".join(f"\0{path.relative_to(PACKAGE)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)


def _short_name(module: ModuleType | str) -> str:
    name = module if isinstance(module, str) else module.__name__
    return name.removeprefix("tsg_core.")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
