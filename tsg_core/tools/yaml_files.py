"""YAML files of settings, read without executing anything and without expanding what a few lines can multiply."""

from pathlib import Path
from typing import Any

import yaml

from ..errors import TsgError

_MOST_NODES = 100_000


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, in Python's plain types.

    Raises TsgError for what cannot be read, is not YAML, names a type of Python, contains itself, or has too many or
    too deeply nested values once its aliases are expanded.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None and _n_nodes(root, {}) > _MOST_NODES:
            raise TsgError(f"{path} holds over {_MOST_NODES} values once its aliases are expanded; write it plainly")
        return yaml.safe_load(text)
    except OSError as error:
        raise TsgError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise TsgError(f"{path} nests its values too deeply; write it plainly") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no text, or a number or a date that cannot be
        raise TsgError(f"{path} is not YAML: {' '.join(str(error).split()):.300}") from None


def _n_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Values that a node holds with every alias counted as what it stands for; without an end if it holds itself."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1  # what is met again while it is counted contains itself
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        pairs = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = 1 + sum(_n_nodes(child, known) for child in pairs)
    return known[id(node)]
