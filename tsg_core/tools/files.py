"""Files that are read with one clear line on failure and written whole or not at all."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import TsgError

_NO_UTF8 = re.compile("[\udc80-\udcff]")


def existing(path: str | Path) -> Path:
    """The path of something that is there; TsgError where nothing is."""
    path = Path(path)
    if not path.exists():
        raise TsgError(f"{path} does not exist")
    return path


def readable_name(name: str | Path) -> str:
    """A file's name, or text that holds one, as it can be printed: bytes that are no UTF-8 as older systems meant them.

    They come as lone surrogates, which no encoding knows.
    """
    return _NO_UTF8.sub(lambda byte: bytes([ord(byte[0]) - 0xDC00]).decode("cp1252", "replace"), str(name))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns whatever a decoder raises on a truncated or foreign file into one line."""
    try:
        yield
    except TsgError:
        raise
    except Exception as error:  # decoders raise anything from zlib.error to TypeError
        kind = path.suffix or "data"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TsgError(f"{path} is truncated or not a {kind} file: {reason}") from error


@contextmanager
def replaced_when_whole(*paths: Path, overwrite: bool = False) -> Iterator[tuple[Path, ...]]:
    """Temporary paths beside `paths`, renamed to them in this order when the block ends well, else removed.

    Files and folders alike. Raises TsgError where a path exists (unless `overwrite`), its folder does not, or the
    system refuses to write.
    """
    for path in paths:
        if not path.parent.is_dir():
            raise TsgError(f"{path} cannot be written: the folder {path.parent} does not exist")
        if path.exists() and not overwrite:
            raise TsgError(f"{path} exists; choose another name or allow it to be overwritten")
    partials = tuple(path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}") for path in paths)
    try:
        yield partials
        for partial, path in zip(partials, paths, strict=True):
            if path.is_dir():  # a folder cannot be replaced in one step: the old one stays until the new one is whole
                shutil.rmtree(path)
            os.replace(partial, path)
    except OSError as error:
        remedy = "; free some space" if error.errno == errno.ENOSPC else ""
        raise TsgError(f"{paths[-1]} cannot be written: {error.strerror or error}{remedy}") from error
    finally:
        for partial in partials:
            _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
