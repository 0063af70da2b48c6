"""What a result is made of, as JSON: values by their contents, functions by their source and by all that they read."""

import ast
import builtins
import dataclasses
import dis
import hashlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tsg_core.errors import TsgError
from tsg_core.tools.digests import checksum, digest_of
from tsg_core.tools.provenance import PACKAGES, code_text, code_version, imported_modules, runs_the_book, source_of

_STANDARD_LIBRARY = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib"))
_CODE = (FunctionType, BuiltinFunctionType, np.ufunc, type, ModuleType)
_SHORT = 32  # arrays of up to so many numbers are recorded as they are


def recipe_of(
    function: Callable[..., Any], parameters: Mapping[str, Any], *, code: Iterable[ModuleType | str] = ()
) -> dict[str, Any]:
    """What `function(path, **parameters)` depends on: `function`, `parameters`, and `code`, a hash of project modules.

    A function of this project, or of an installed package, stands under its name; the project's modules that it uses
    are in `code`, beside those that are named. Any other, as one defined in a notebook, counts by its source and by
    the contents of the values, functions and modules that it reads. Raises TsgError for what cannot be told by its
    contents, such as a lambda, a generator of random numbers or an open file.
    """
    contents = _Contents(code)
    if not isinstance(function, _CODE) or isinstance(function, ModuleType):
        raise TsgError(f"{_kind(function)} cannot make a result; give a function that is defined with `def`")
    made_by = contents.of(function, "the function")
    given = {key: contents.of(value, f"the parameter {key}") for key, value in parameters.items()}
    return {"function": made_by, "parameters": given, "code": code_version(contents.modules)}


class _Contents:
    def __init__(self, code: Iterable[ModuleType | str]):
        self.modules = {module if isinstance(module, str) else module.__name__ for module in code}
        self.seen: set[int] = set()  # functions and modules, which may call one another in a circle

    def of(self, value: Any, what: str) -> Any:
        """The value as JSON; `what` names it in the error where that cannot be done."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, _CODE):
            return self.of_code(value, what)
        if isinstance(value, np.generic):
            return self.of(value.item(), what)
        if isinstance(value, np.ndarray) and value.dtype != object:
            return self.of_array(value)
        if isinstance(value, Mapping):
            return {str(key): self.of(item, what) for key, item in value.items()}
        if isinstance(value, (set, frozenset)):
            return sorted((self.of(item, what) for item in value), key=digest_of)
        if isinstance(value, (list, tuple, range)):
            return [self.of(item, what) for item in value]
        if isinstance(value, os.PathLike):
            return outside_file(value, what)
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        elif hasattr(value, "todict"):  # as ASE's Atoms
            fields = value.todict()
        else:
            raise TsgError(f"{what} is {_kind(value)}, which is not known by its contents; {_REMEDY}")
        return {"type": self.of_code(type(value), what)} | self.of(fields, what)

    def of_array(self, array: np.ndarray) -> Any:
        if array.size <= _SHORT and array.dtype.kind in "biufU":
            return array.tolist()
        digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        return {"dtype": str(array.dtype), "shape": list(array.shape), "digest": digest}

    def of_code(self, value: Any, what: str) -> Any:
        """A name, where the project's or an installed package's code says the rest; else digests of source."""
        if not isinstance(getattr(value, "__self__", None), (ModuleType, type(None))):
            raise TsgError(f"{what} uses a method of {_kind(value.__self__)}; {_REMEDY}")
        module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or "builtins"
        name = module if isinstance(value, ModuleType) else f"{module}.{getattr(value, '__qualname__', value.__name__)}"
        if module.split(".")[0] in PACKAGES:
            if runs_the_book(module):
                raise TsgError(f"{what} uses {name}, which runs the book and is no part of a result; {_REMEDY}")
            self.modules.add(module)
            if "<" not in name:
                return name
        elif _installed(module) and "<" not in name:
            return name
        if isinstance(value, FunctionType):
            return self.of_function(value)
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is None or "<" in name:
            raise TsgError(f"{what} uses {name}, which is defined in a notebook or at a prompt; put it into a .py file")
        return {"name": name} | self.of_module(module, Path(file))

    def of_function(self, function: FunctionType) -> Any:
        name = function.__qualname__
        if id(function) in self.seen:
            return name
        self.seen.add(id(function))
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function.__code__)))
        except (OSError, SyntaxError):
            tree = None
        if tree is None or function.__name__ == "<lambda>":
            raise TsgError(f"the source of {name} is not known; write it as a function with `def`")
        reads = {key: self.of(value, f"{key}, which {name} reads,") for key, value in _values_read(function)}
        files = self.imported(tree, package="")
        return {"name": name, "source": digest_of(code_text(tree)), "reads": reads} | files

    def of_module(self, name: str, file: Path) -> dict[str, Any]:
        """A module beside the notebook: its file, and the modules that it imports."""
        if name in self.seen:
            return {}
        self.seen.add(name)
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(file.read_text(encoding="utf-8"))
        return {"source": checksum(file)} | self.imported(tree, package=package)

    def imported(self, tree: ast.AST, *, package: str) -> dict[str, Any]:
        self.modules |= {name for name in imported_modules(tree) if source_of(name) and not runs_the_book(name)}
        own = {name: _file_of(name) for name in _names_imported(tree, package) if not _installed(name)}
        return {f"import {name}": self.of_module(name, file) for name, file in sorted(own.items()) if file}


_REMEDY = "give the values that it holds as parameters, or a path, or let the function make it"


def outside_file(path: str | os.PathLike, what: str) -> dict[str, str]:
    """A file or folder by its name and contents; TsgError where it is missing or cannot be read."""
    path = Path(path)
    try:
        if not path.exists():
            raise TsgError(f"{what}: {path} does not exist")
        return {"file": path.resolve().name, "sha256": checksum(path)}
    except OSError as error:
        raise TsgError(f"{what}: {path} cannot be read: {error.strerror}") from error


def _values_read(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Names and values of what a function reads beside its arguments: globals, what it closes over, its defaults."""
    for name in sorted(_globals_read(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]
        elif not hasattr(builtins, name):
            raise TsgError(f"{function.__qualname__} reads {name}, which is not defined")
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, cell.cell_contents
    yield "defaults", [function.__defaults__, function.__kwdefaults__]


def _globals_read(code: CodeType) -> set[str]:
    here = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return here.union(*(_globals_read(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _names_imported(tree: ast.AST, package: str) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return names


def _file_of(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # an attribute, or a script
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin.endswith(".py") else None


def _installed(module: str) -> bool:
    """Whether a module comes with Python or an installed package, whose version is recorded."""
    top = module.partition(".")[0]
    if top == "__main__":
        return False
    if top in sys.builtin_module_names or top in PACKAGES:
        return True
    file = getattr(sys.modules.get(top), "__file__", None) or str(_file_of(top) or "")
    return {"site-packages", "dist-packages"} & set(Path(file).parts) != set() or file.startswith(_STANDARD_LIBRARY)


def _kind(value: Any) -> str:
    name = type(value).__qualname__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
