"""Checksums of contents, small JSON files written whole or not at all, and clear errors for a full disk."""

import dataclasses
import errno
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TsgError
from .files import FULL, why_not_written

_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class disk_errors:
    """Context that turns a full disk, a file too large or a closed folder, however deeply wrapped, into a TsgError."""

    def __init__(self, what: str):
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, TsgError):
            return
        cause = error
        while cause is not None:
            number = getattr(cause, "errno", None)
            if isinstance(cause, OSError) and number in FULL:
                raise TsgError(f"{self.what}: the disk is full; free some space and run again") from error
            if isinstance(cause, OSError) and number == errno.EFBIG:
                raise TsgError(f"{self.what}: {why_not_written(cause)}") from error
            if isinstance(cause, OSError) and number in _CLOSED:
                where = f" ({cause.filename})" if cause.filename else ""
                raise TsgError(f"{self.what}: no permission to write there{where}") from error
            cause = cause.__cause__ or cause.__context__


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def read_json(path: Path) -> Any:
    """The content of a JSON file; None if there is none, or if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def digest_of(content: Any) -> str:
    """Digest (16 hex digits) of JSON content, independent of the order of keys."""
    return hashlib.sha256(json.dumps(plain(content), sort_keys=True).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """The same content in JSON's own types, so that it compares equal after a round trip."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, Path):
        return value.as_posix()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a parameter of type {type(value).__name__} cannot be recorded: {value!r}")


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file in a folder, by its path there; a file is called "."."""
    inner = sorted(path for path in (folder, *folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in inner}


def checksum(path: Path) -> str:
    """SHA-256 of a file's content, or of the names and contents of all files in a folder."""
    if path.is_dir():
        digest = hashlib.sha256()
        for name in sizes(path):
            digest.update(f"{name}\0{checksum(path / name)}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
