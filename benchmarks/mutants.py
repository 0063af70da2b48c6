"""Would a test notice if the code were wrong? One small mistake at a time is put into a copy of the project.

    python benchmarks/mutants.py                  all subjects (make mutants)
    python benchmarks/mutants.py geometry resume  some of them

A mutant is a file with one mistake: + for -, < for <=, a number that is off by one, a condition that is turned round, a
statement that is missing. The tests named for the file must fail. A mutant that no test can notice, since it does the
same, stands with the reason in equivalent_mutants.yaml. Each mutant runs in a copy of this process that has loaded the
libraries and nothing of the project. Ends with status 1 if a mutant survives.
"""

import argparse
import ast
import contextlib
import copy
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.yaml")
LIBRARIES = ("abtem", "ase.cluster", "h5py", "hypothesis", "jupytext", "lightning_fabric", "nbformat", "numba", "numpy",
             "pandas", "scipy.ndimage", "scipy.sparse", "scipy.spatial", "skimage.filters", "skimage.measure",
             "skimage.metrics", "torch", "zarr")  # fmt: skip
QUICKLY = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider")
CPU_s, PATIENCE_s = 60, 900  # of an endless loop, of an endless wait
SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A file, the tests that must notice its mistakes, and the functions concerned; all of them if none is named."""

    file: str
    tests: tuple[str, ...]
    functions: tuple[str, ...] = ()


SUBJECTS = {
    "geometry": Subject(file="tsg_core/geometry.py", tests=("tests/test_geometry.py",)),
    "sparsity": Subject(file="tsg_core/sparsity.py", tests=("tests/test_sparsity.py",)),
    "metrics": Subject(file="tsg_core/evaluation/metrics.py", tests=("tests/evaluation/test_metrics.py",)),
    "resume": Subject(
        file="tsg_core/training/loop.py",
        tests=("tests/training/test_loop.py",),
        functions=("report", "save", "resume", "_recognise_finished", "_check_same", "identity", "finished"),
    ),
    "provenance": Subject(file="tsg_core/tools/provenance.py", tests=("tests/tools/test_provenance.py",)),
    "artifacts": Subject(
        file="tsgbook/artifacts.py",
        tests=("tests/tsgbook/test_artifacts.py", "tests/faults/test_damaged_artifacts.py"),
    ),
    "contents": Subject(file="tsgbook/contents.py", tests=("tests/tsgbook/test_contents.py",)),
    "currency": Subject(
        file="tsgbook/pipeline.py",
        tests=("tests/tsgbook/test_pipeline.py", "tests/faults/test_damaged_artifacts.py"),
        functions=("plan", "outdated", "stamp", "_why_run", "_recipe", "_outside", "_made_by", "_with_companions"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A file with one mistake; `name` says where and which, without a line number, so that it lasts."""

    name: str
    line: int
    text: str


def mutants(text: str, functions: tuple[str, ...] = ()) -> Iterator[Mutant]:
    """Each version of a Python file with one mistake in these functions, or anywhere if none is named."""
    seen: dict[str, int] = {}
    for where, node in _nodes(ast.parse(text), "", inside=not functions, functions=functions):
        for part, changed in _mistakes(node):
            after = ast.unparse(changed) if changed else "pass"
            name = f"{where or 'module'}: {_short(ast.unparse(part))} -> {_short(after)}"
            seen[name] = seen.get(name, 0) + 1
            nth = f" ({seen[name]})" if seen[name] > 1 else ""
            replacement = f"({after})" if isinstance(part, ast.expr) else after
            yield Mutant(name=f"{name}{nth}", line=part.lineno, text=_replaced(text, part, replacement))


def _nodes(node: ast.AST, where: str, *, inside: bool, functions: tuple[str, ...]) -> Iterator[tuple[str, ast.AST]]:
    """Statements and expressions that may hold a mistake, with the function around them; no messages, no types."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        where, inside = f"{where}.{node.name}".lstrip("."), inside or node.name in functions
    if isinstance(node, ast.JoinedStr):
        return
    if inside and isinstance(node, (ast.expr, ast.stmt)):
        yield where, node
    if isinstance(node, ast.Raise):
        return
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and field not in ("annotation", "returns", "decorator_list"):
                yield from _nodes(child, where, inside=inside, functions=functions)


def _mistakes(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    """Parts of the node and what a mistake makes of them; None where it is missing."""
    if isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in SWAPPED:
        yield node, _with(node, op=SWAPPED[type(node.op)]())
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            yield node, _with(node, ops=[*node.ops[:i], SWAPPED[type(op)](), *node.ops[i + 1 :]])
    elif isinstance(node, ast.UnaryOp):
        yield node, node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield node, _with(node, value=not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield node, _with(node, value=node.value + 1)
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)) and not isinstance(node.test, (ast.Compare, ast.UnaryOp)):
        yield node.test, ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Return) and node.value and not _is_none(node.value):
        yield node, _with(node, value=ast.Constant(None))
    elif isinstance(node, (ast.Raise, ast.AugAssign)) or (isinstance(node, ast.Expr) and _acts(node.value)):
        yield node, None


def _with(node: ast.AST, **changes) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _acts(node: ast.AST) -> bool:
    """Whether a statement that is an expression does anything that could be left out: no docstring, no yield."""
    return not isinstance(node, (ast.Constant, ast.Yield, ast.YieldFrom))


def _short(code: str) -> str:
    first = code.splitlines()[0]
    return first if len(first) < 100 else f"{first[:97]}..."


def _replaced(text: str, node: ast.AST, replacement: str) -> str:
    """The text of a file with other code in the place of a node, whose columns count bytes."""
    lines = text.encode().splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno - 1
    before, after = b"".join(lines[:first]) + lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    indented = replacement.replace("\n", "\n" + " " * node.col_offset)
    return (before + indented.encode() + after + b"".join(lines[last + 1 :])).decode()


def copied(to: Path) -> Path:
    """A copy of the files that git knows or would take."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in map(os.fsdecode, filter(None, names)):
        if (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def failed(tests: tuple[str, ...], *, root: Path, log: Path) -> bool:
    """Whether the tests fail, or don't end, in the copy of the project; run in a copy of this process."""
    process = os.fork()
    if process == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_s, CPU_s))
        status = 3
        with log.open("w") as stream, contextlib.suppress(BaseException):
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            os.chdir(root)
            sys.path.insert(0, str(root))
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            status = pytest.main([*QUICKLY, *(str(root / test) for test in tests)])
        os._exit(status)
    ended, status, started = 0, 1, time.monotonic()
    try:
        while not ended and time.monotonic() < started + PATIENCE_s:
            time.sleep(0.02)
            ended, status = os.waitpid(process, os.WNOHANG)
    finally:
        if not ended:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
    return not ended or status != 0


def check(name: str, *, root: Path, reasons: dict[str, str]) -> list[str]:
    """The surviving mutants of a subject, which are printed. Raises SystemExit if the tests fail without a mistake."""
    subject, log = SUBJECTS[name], root / "log.txt"
    file = root / subject.file
    text = file.read_text(encoding="utf-8")
    if failed(subject.tests, root=root, log=log):
        raise SystemExit(f"{', '.join(subject.tests)} fail without any mistake:\n{log.read_text()[-3000:]}")
    survived, n, n_equivalent = [], 0, 0
    for mutant in mutants(text, subject.functions):
        n += 1
        if mutant.name in reasons:
            n_equivalent += 1
            continue
        file.write_text(mutant.text, encoding="utf-8")
        if not failed(subject.tests, root=root, log=log):
            survived.append(mutant.name)
            print(f"survives  {subject.file}:{mutant.line}  {mutant.name}", flush=True)
    file.write_text(text, encoding="utf-8")
    known = {mutant.name for mutant in mutants(text, subject.functions)}
    for other in sorted(reasons.keys() - known):
        print(f"no longer there  {subject.file}  {other}: remove it from {EQUIVALENT.name}")
        survived.append(other)
    killed = n - n_equivalent - len(survived)
    print(
        f"{name:12} {n} mutants, {killed} killed, {n_equivalent} equivalent, {len(survived)} to be seen to", flush=True
    )
    return survived


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="*", choices=[[], *SUBJECTS], help="default: all")
    chosen = parser.parse_args().subjects or list(SUBJECTS)
    reasons = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.dont_write_bytecode = True  # a file that changes twice a second looks the same to the cache
    for library in LIBRARIES:
        import_module(library)
    with tempfile.TemporaryDirectory() as folder:
        root = copied(Path(folder))
        survived = [line for name in chosen for line in check(name, root=root, reasons=reasons.get(name) or {})]
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
