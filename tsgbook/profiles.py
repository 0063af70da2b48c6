"""Profiles: the parameters of every chapter from a YAML file, with single values replaced on the command line."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tsg_core.errors import TsgError
from tsg_core.sparsity import MAX_GAP
from tsg_core.tools.yaml_files import read_yaml

from .chapters import CHAPTERS, Chapter, find_chapter

STRIDES = re.compile(r"(^|_)(gap|rate)s?$")  # parameters that are strides of frames, alone or in a list


@dataclass(frozen=True, kw_only=True)
class Profile:
    """`parameters` maps each chapter's name to its parameters; `changed` lists those set on the command line."""

    name: str
    description: str
    parameters: Mapping[str, Mapping[str, Any]]
    changed: tuple[str, ...] = ()


def find_root() -> Path:
    """The folder that contains `notebooks/`: this one, one above it, or the checkout from which the package comes."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parent.parent):
        if (folder / "notebooks" / "profiles").is_dir():
            return folder
    raise TsgError(f"no notebooks are in {here} or above it; run this in a clone of the book")


def load_profile(
    name: str,
    *,
    overrides: Iterable[str] = (),
    root: Path | None = None,
    chapters: tuple[Chapter, ...] = CHAPTERS,
) -> Profile:
    """The profile with this name, or in this YAML file, with overrides "key=value" or "chapter.key=value".

    An override of text is taken as it stands. Relative paths in overrides count from the working directory, those in
    the file from the repository's root. Raises TsgError for an unknown profile, a malformed file or override, an
    unknown or ambiguous key, a value of another type than the one it replaces, and gaps and rates outside 1..12.
    """
    path = _profile_path(name, (root or find_root()) / "notebooks" / "profiles")
    content = _read(path)
    given = content["chapters"]
    for chapter in given:
        if chapter not in {c.name for c in chapters}:
            raise TsgError(f"{path.name} holds the chapter {chapter!r}, which the book has not")
    parameters = {c.name: dict(given.get(c.name) or {}) for c in chapters}
    changed = tuple(_override(text, parameters, chapters) for text in overrides)
    for chapter, values in parameters.items():
        for key, value in values.items():
            _check_bounds(f"{chapter}.{key}", key, value)
    return Profile(name=path.stem, description=content.get("description", ""), parameters=parameters, changed=changed)


def _profile_path(name: str, folder: Path) -> Path:
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise TsgError(f"the profile {name} does not exist")
        return Path(name)
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise TsgError(f"no profile is called {name!r}; there are {', '.join(known)}{_did_you_mean(name, known)}")
    return folder / f"{name}.yaml"


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    chapters = content.get("chapters") if isinstance(content, dict) else None
    if not isinstance(chapters, dict) or not all(isinstance(v, dict | None) for v in chapters.values()):
        raise TsgError(f"{path} must hold `chapters:` with the parameters of each as `key: value`")
    return content


def _override(text: str, parameters: dict[str, dict[str, Any]], chapters: tuple[Chapter, ...]) -> str:
    """Apply "key=value" to `parameters`; returns "chapter.key"."""
    name, equals, value_text = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise TsgError(f"--set {text!r} must have the form key=value or chapter.key=value")
    where, dot, key = name.rpartition(".")
    holders = [find_chapter(where, chapters=chapters).name] if dot else list(parameters)
    holders = [chapter for chapter in holders if key in parameters[chapter]]
    if not holders:
        known = sorted({key for values in parameters.values() for key in values})
        raise TsgError(f"--set {text!r}: no parameter is called {name!r}{_did_you_mean(key, known)}")
    if len(holders) > 1:
        choices = ", ".join(f"{chapter}.{key}" for chapter in holders)
        raise TsgError(f"--set {text!r}: several chapters have {key!r}; say which: {choices}")
    chapter = holders[0]
    default = parameters[chapter][key]
    parameters[chapter][key] = _text(key, value_text) if isinstance(default, str) else _value(default, value_text, text)
    return f"{chapter}.{key}"


def _text(key: str, text: str) -> str:
    """Text as it was given; a relative path counts from the working directory."""
    return str(Path.cwd() / Path(text).expanduser()) if text and key.endswith("_path") else text


def _value(default: Any, value_text: str, text: str) -> Any:
    of_text = isinstance(default, list) and default and isinstance(default[0], str)
    try:
        value = yaml.load(value_text, Loader=yaml.BaseLoader if of_text else yaml.SafeLoader)  # Base: all text
    except yaml.YAMLError as error:
        raise TsgError(f"--set {text!r}: {value_text!r} is not a value: {_one_line(error)}") from None
    return _like(default, value, text)


def _like(default: Any, value: Any, text: str) -> Any:
    """The value, in the type of the default (a whole number is fine for a float); else TsgError."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, float) and isinstance(value, str):
        try:
            return float(value)  # YAML takes 1e-4 for a string
        except ValueError:
            pass
    if isinstance(default, list) and isinstance(value, list):
        return [_like(default[0], item, text) for item in value] if default else value
    if type(value) is not type(default):
        raise TsgError(f"--set {text!r} must give {_kind(default)}, as {default!r} is, not {_kind(value)}")
    return value


def _check_bounds(name: str, key: str, value: Any) -> None:
    if not STRIDES.search(key) or key == "learning_rate":
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool) or not isinstance(item, int) or not 1 <= item <= MAX_GAP:
            raise TsgError(f"{name} holds {item!r}; each must be a whole number from 1 to {MAX_GAP}")
    if value == []:
        raise TsgError(f"{name} is empty; give at least one whole number from 1 to {MAX_GAP}")


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}
    return kinds.get(type(value), f"{value!r}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
