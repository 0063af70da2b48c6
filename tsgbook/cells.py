"""Code cells as what made a result: what counts as a change of them, and which statements a cell depends on."""

import ast
import json
import os
import symtable
import sys
from collections.abc import Sequence

from tsg_core.tools.provenance import code_text

RUN_VARIABLE = "TSG_RUN"  # while the pipeline executes a chapter: JSON with the names of its parameters


def cell_text(source: str) -> str:
    """A text that stays the same when only comments, docstrings or layout of a code cell change."""
    try:
        return code_text(ast.parse(source))
    except SyntaxError:  # a magic or a mistake
        return source.strip()


def running_code() -> list[str] | None:
    """The code behind the cell at work while the pipeline executes a chapter, else None. See `code_behind`."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and os.environ.get(RUN_VARIABLE) else None
    if shell is None:
        return None
    return code_behind(shell.user_ns["In"], parameters=json.loads(os.environ[RUN_VARIABLE])["parameters"])


def code_behind(sources: Sequence[str], *, parameters: Sequence[str] = ()) -> list[str]:
    """Statements of these cells, last one first, that the last cell consists of or depends on.

    A statement counts when it binds a name that is needed below, or calls a method of such a name or assigns to a part
    of it; what is only shown or drawn does not. Literal values given to `parameters` do not count either: results
    record these one by one. A function that changes its argument in place goes unnoticed.
    """
    cells = [ast.parse(source).body for source in sources]
    late: set[str] = set()  # names that functions look up when they are called, so wherever these are bound
    while True:
        kept, found = _backwards(cells, parameters, late)
        if found <= late:
            return kept
        late |= found


def _backwards(cells: list[list[ast.stmt]], parameters: Sequence[str], late: set[str]) -> tuple[list[str], set[str]]:
    needed, found, kept = set(late), set(), []
    for k in reversed(range(len(cells))):
        for node in reversed(cells[k]):
            binds, uses = _names(node)
            if _gives_a_parameter(node, parameters):
                needed -= binds - late
            elif k == len(cells) - 1 or needed & (binds | _touched(node)):
                kept.append(_text(node, needed))
                needed = (needed - (binds - late) if _always_binds(node) else needed) | uses
                found |= _names_of_functions(node)
    return kept, found


def _names(node: ast.stmt) -> tuple[set[str], set[str]]:
    """Names that a statement binds at the top level, and names that it needs from above."""
    if isinstance(node, ast.For):
        inner, targets = _names(ast.Expr(node.iter))[1], _stored(node.target)
        binds, uses = _scope(node)
        return binds, (uses - targets) | inner
    return _scope(node)


def _scope(node: ast.stmt) -> tuple[set[str], set[str]]:
    table = symtable.symtable(ast.unparse(ast.fix_missing_locations(node)), "cell", "exec")
    binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    return binds, _globals_used(table)


def _names_of_functions(node: ast.stmt) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = [inner for inner in ast.walk(node) if isinstance(inner, functions)]
    return set().union(*(_scope(ast.Expr(f) if isinstance(f, ast.Lambda) else f)[1] for f in inside))


def _globals_used(table: symtable.SymbolTable) -> set[str]:
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced() and s.is_global()}
    return used.union(*(_globals_used(child) for child in table.get_children()))


def _stored(target: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _always_binds(node: ast.stmt) -> bool:
    simple = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.For)
    return isinstance(node, simple)


def _touched(node: ast.stmt) -> set[str]:
    """Names whose objects a statement may change: by a call of a method for its effect, or by assignment to a part."""
    touched = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call):
            touched.add(_root(inner.value.func))
        elif isinstance(inner, (ast.Attribute, ast.Subscript)) and isinstance(inner.ctx, (ast.Store, ast.Del)):
            touched.add(_root(inner))
    return touched - {""}


def _root(node: ast.expr) -> str:
    inside = node
    while isinstance(inside, (ast.Attribute, ast.Subscript)):
        inside = inside.value
    return inside.id if isinstance(inside, ast.Name) and inside is not node else ""


def _text(node: ast.stmt, needed: set[str]) -> str:
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        return code_text(node)
    origin = f"{'.' * node.level}{node.module}" if isinstance(node, ast.ImportFrom) else ""
    bound = {(alias.asname or alias.name).split(".")[0]: alias.name for alias in node.names}
    return f"import {origin} {sorted(f'{name} as {called}' for called, name in bound.items() if called in needed)}"


def _gives_a_parameter(node: ast.stmt, parameters: Sequence[str]) -> bool:
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if not all(isinstance(target, ast.Name) and target.id in parameters for target in targets):
        return False
    try:
        ast.literal_eval(node.value)
    except (ValueError, TypeError):
        return False
    return True
