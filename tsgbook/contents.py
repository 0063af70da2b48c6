"""What a result depends on, as JSON: values by their contents, functions by their source and everything they read."""

import ast
import builtins
import dataclasses
import dis
import hashlib
import importlib.util
import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tsg_core.errors import TsgError
from tsg_core.tools.digests import checksum, digest_of
from tsg_core.tools.provenance import PACKAGES, code_text, code_version, imported_names, runs_the_book, source_of

_FUNCTIONS = (FunctionType, BuiltinFunctionType, np.ufunc, type)
_REMEDY = "give the values that it holds as parameters, or a path, or let the function make it"


def recipe_of(function: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What `function(path, **parameters)` depends on: `function`, `parameters`, and `code`, a hash of project modules.

    A function of this project or of an installed package is recorded by its name; `code` includes the project's modules
    that it uses. Any other function, such as one defined in a notebook, is recorded by its source and
    by the contents of the values, functions and modules that it reads. Raises TsgError for anything that its contents
    do not identify, such as a lambda, a random number generator or an open file.
    """
    if not isinstance(function, _FUNCTIONS):
        raise TsgError(f"{_kind(function)} cannot make a result; give a function that is defined with `def`")
    contents = _Contents()
    made_by = contents.of(function, "the function")
    given = {key: contents.of(value, f"the parameter {key}") for key, value in parameters.items()}
    return {"function": made_by, "parameters": given, "code": code_version(contents.modules)}


def outside_file(path: str | os.PathLike, what: str) -> dict[str, str]:
    """A file or folder by its name and contents; raises TsgError if it is missing or cannot be read."""
    path = Path(path)
    try:
        if not path.exists():
            raise TsgError(f"{what}: {path} does not exist")
        return {"file": path.resolve().name, "sha256": checksum(path)}
    except OSError as error:
        raise TsgError(f"{what}: {path} cannot be read: {error.strerror}") from error


class _Contents:
    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.seen: set[int] = set()  # functions, which may call one another in a circle

    def of(self, value: Any, what: str) -> Any:
        """The value as JSON; `what` names it in the error if that is impossible."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, ModuleType):
            return self.of_module(value.__name__, what)
        if isinstance(value, _FUNCTIONS):
            return self.of_function(value, what)
        if isinstance(value, np.generic):
            return self.of(value.item(), what)
        if isinstance(value, np.ndarray) and value.dtype != object:
            digest = hashlib.sha256(value.tobytes()).hexdigest()[:16]
            return {"dtype": str(value.dtype), "shape": list(value.shape), "digest": digest}
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
        return {"type": self.of_function(type(value), what)} | self.of(fields, what)

    def of_module(self, name: str, what: str) -> Any:
        """The name of a module, with the code in its folder if it is neither installed nor part of this project."""
        if name.split(".")[0] in PACKAGES:
            if runs_the_book(name):
                raise TsgError(f"{what} uses {name}, which runs the book and is no part of a result; {_REMEDY}")
            self.modules.add(name)
            return name
        folder = _own_folder(name)
        # the files may have been edited after they were loaded
        return {"name": name, "code": checksum_of_code(folder), "loaded": _loaded(name)} if folder else name

    def of_function(self, function: Any, what: str) -> Any:
        """The name of a function or class, with its source and what it reads if its module does not identify it."""
        if not isinstance(getattr(function, "__self__", None), (ModuleType, type(None))):
            raise TsgError(f"{what} uses a method of {_kind(function.__self__)}; {_REMEDY}")
        module = getattr(function, "__module__", None) or "builtins"
        name = f"{module}.{getattr(function, '__qualname__', function.__name__)}"
        found = {"name": name, "module": None if module == "__main__" else self.of_module(module, what)}
        if found["module"] == module and "<" not in name:
            return name
        if not isinstance(function, FunctionType):
            if module == "__main__" or "<" in name:
                raise TsgError(f"{what} uses the class {name}, which is defined in a notebook; put it into a .py file")
            return found
        if id(function) in self.seen:
            return name
        self.seen.add(id(function))
        tree = _tree(function)
        reads = {key: self.of(value, f"{key}, which {name} reads,") for key, value in _values_read(function)}
        imported = imported_names(tree)
        self.modules |= {name for name in imported if source_of(name) and not runs_the_book(name)}
        others = sorted({name.split(".")[0] for name in imported} - set(PACKAGES))
        imports = {name: self.of_module(name, what) for name in others}
        return found | {"source": digest_of(code_text(tree)), "reads": reads, "imports": imports}


def checksum_of_code(folder: Path) -> str:
    """Hash of the Python files of a package, or of those beside a module."""
    files = folder.rglob("*.py") if (folder / "__init__.py").exists() else folder.glob("*.py")
    return digest_of([[file.relative_to(folder).as_posix(), checksum(file)] for file in sorted(files)])


def _tree(function: FunctionType) -> ast.Module:
    try:
        if function.__name__ != "<lambda>":
            return ast.parse(textwrap.dedent(inspect.getsource(function.__code__)))
    except (OSError, SyntaxError):
        pass
    raise TsgError(f"the source of {function.__qualname__} is not known; write it as a function with `def`")


def _values_read(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Names and values of what a function reads besides its arguments: globals, closure variables, defaults."""
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


def _loaded(module: str) -> str:
    """Hash of the functions and classes of a module as they are in memory; "" where it is not loaded."""
    values = vars(sys.modules[module]).values() if module in sys.modules else ()
    own = [value for value in values if getattr(value, "__module__", None) == module]
    functions = chain.from_iterable(vars(value).values() if isinstance(value, type) else [value] for value in own)
    return digest_of([_bytecode(f.__code__) for f in functions if isinstance(f, FunctionType)])


def _bytecode(code: CodeType) -> list:
    sets_sorted = [sorted(map(repr, c)) if isinstance(c, frozenset) else c for c in code.co_consts]
    constants = [_bytecode(c) if isinstance(c, CodeType) else repr(c) for c in sets_sorted]
    return [code.co_name, code.co_code.hex(), code.co_exceptiontable.hex(), code.co_names, code.co_varnames, constants]


def _own_folder(module: str) -> Path | None:
    """The folder of a module that belongs neither to Python nor to an installed package, whose version is recorded."""
    top = module.split(".")[0]
    if top in sys.stdlib_module_names:
        return None
    file = getattr(sys.modules.get(module) or sys.modules.get(top), "__file__", None)
    if file is None:
        spec = importlib.util.find_spec(top)
        file = spec.origin if spec else None
    if file and {"site-packages", "dist-packages"} & set(Path(file).parts):
        return None
    if not file or not Path(file).is_absolute():
        raise TsgError(f"the code of {module} is not known; put it into a .py file")
    return next(folder for folder in Path(file).parents if not (folder.parent / "__init__.py").exists())


def _kind(value: Any) -> str:
    name = type(value).__qualname__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
