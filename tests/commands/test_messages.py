"""Every remedy in a message exists where its reader stands: as an option of the command that printed it.

All messages are collected from the source of the modules that a command imports, lazily or not.
"""

import ast
import re

import pytest
from test_rooms import MODULES, imports

from tsgbook.cli import _in_options, tsg

READING = ("angles", "choice", "folder", "rosetta", "series", "signals", "stored", "trust")
SHARED = "tsg_core.commands.options"
# `simulate` reads no series; no command draws particles; `densify` makes frames of atoms it found
_FORMATS = {f"tsg_core.formats.{module}" for module in READING}
_DRAWN = {"tsg_core.structures.particles"}
_FROM_FILES = {
    f"tsg_core.{m}" for m in ("simulation.from_files", "simulation.structure_checks", "structures.amorphous")
}
UNUSED = {"simulate": _FORMATS | _DRAWN, "densify": _DRAWN | _FROM_FILES}
COMMANDS = ("show", "prepare", "tune", "densify", "reconstruct", "evaluate", "simulate")


def options_of(name):
    return {
        option for parameter in tsg.commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)
    }


def text_of(node):
    """The text of a string, with … where values stand; empty for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(v) if isinstance(v, ast.Constant) else "…" for v in node.values)
    return ""


def texts(tree):
    """All strings of some code but docstrings, each once: of a joined one, its parts are not told apart."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented)
                  and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    inner = {id(v) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for v in node.values}
    strings = [n for n in ast.walk(tree) if isinstance(n, ast.Constant | ast.JoinedStr) and id(n) not in inner]
    return [text_of(node) for node in strings if id(node) not in docstrings]


def reached(name):
    """Modules that a command imports, and those that they import."""
    found, new = set(), {f"tsg_core.commands.{name}"}
    while new:
        found |= new
        new = {other for module in new for other in imports(module)} - found
    return found


def shared_texts(name):
    """Strings of those shared functions that a command names, and of those that they call."""
    tree = ast.parse(MODULES[SHARED].read_text(encoding="utf-8"))
    pieces = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    command = ast.parse(MODULES[f"tsg_core.commands.{name}"].read_text(encoding="utf-8"))
    wanted, done = {node.id for node in ast.walk(command) if isinstance(node, ast.Name)} & pieces.keys(), set()
    while wanted:
        done |= wanted
        called = {n.id for piece in wanted for n in ast.walk(pieces[piece]) if isinstance(n, ast.Name)}
        wanted = called & pieces.keys() - done
    return [text for piece in done for text in texts(pieces[piece])]


def messages(name):
    modules = (
        reached(name)
        - UNUSED.get(name, set())
        - {SHARED, *(f"tsg_core.commands.{other}" for other in COMMANDS if other != name)}
    )
    found = {text for module in modules for text in texts(ast.parse(MODULES[module].read_text(encoding="utf-8")))}
    return {text for text in (*found, *shared_texts(name)) if " " in text}


def remedies(text):
    """(command or None, option) for each option that a text names; a command holds for the options that follow it."""
    command = None
    for found in re.finditer(r"\btsg (\w+)|(?<![\w-])(--[a-z][\w-]*)", text):
        command = found[1] or command
        if found[2]:
            yield command, found[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_options_that_messages_name_are_options_of_the_command(name):
    wrong = [
        (option, text)
        for text in messages(name)
        for command, option in remedies(text)
        if option not in options_of(command or name)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", COMMANDS)
def test_no_message_offers_a_keyword_of_python_as_the_remedy(name):
    """Keywords with a literal value, and names with underscores in what follows a semicolon, are for Python alone."""
    for text in messages(name):
        keyword = re.search(r"\b[a-z]\w*=(True|False|None|'[^'…]*'|\"[^\"…]*\"|\d)", text)
        remedy = text.rpartition("; ")[2] if "; " in text else ""
        named = re.search(r"\b(?!n_(tilt|y|x|z)\b)[a-z]+(_\w+)+\b", remedy)
        assert not (keyword or named) or "in Python" in text, text


def test_the_rule_notices():
    assert list(remedies("say --invert (tsg prepare IN --rotate), or --x")) == [
        (None, "--invert"), ("prepare", "--rotate"), ("prepare", "--x"),
    ]  # fmt: skip
    assert "--overwrite" in str(shared_texts("show")) and "--overwrite" not in str(shared_texts("evaluate"))
    assert "tsg_core.formats.trust" in reached("show") and len(messages("densify")) > 300


def test_parameters_of_python_are_called_by_their_options(monkeypatch):
    monkeypatch.setattr("sys.argv", ["tsg", "simulate", "a.xyz"])
    said = _in_options("dose_per_A2=-1 must be a positive number, not shape=3; seed = 2")
    assert said == "--dose -1 must be a positive number, not --shape 3; seed = 2"
    monkeypatch.setattr("sys.argv", ["tsg", "--help"])
    assert _in_options("seed=2") == "seed=2"
