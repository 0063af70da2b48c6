"""Reading files with one clear line on failure, and writing them whole or not at all."""

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import TsgError

FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_UTF8 = re.compile("[\udc80-\udcff]")


def existing(path: str | Path) -> Path:
    """The path of an existing file or folder; raises TsgError if there is none."""
    path = Path(path)
    if not path.exists():
        raise TsgError(f"{path} does not exist")
    return path


def readable_name(name: str | Path) -> str:
    """A file's name, or text that contains one, in printable form; bytes that are not UTF-8 read as on older systems.

    Python hands such bytes over as lone surrogates, which no encoding can print.
    """
    return _NO_UTF8.sub(lambda byte: bytes([ord(byte[0]) - 0xDC00]).decode("cp1252", "replace"), str(name))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a truncated or foreign file into one line."""
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
    """Temporary paths beside `paths`. When the block ends well they are renamed, in this order; otherwise removed.

    For files and folders. Raises TsgError if a path exists (unless `overwrite`), if its folder does not, or if the
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
            if path.is_dir():  # a folder cannot be replaced in one step: the old one stays until the new is complete
                shutil.rmtree(path)
            os.replace(partial, path)
    except OSError as error:
        raise TsgError(f"{paths[-1]} cannot be written: {why_not_written(error)}") from error
    finally:
        _let_zarr_finish()
        for partial in partials:
            _remove(partial)


def largest_file() -> float:
    """Bytes of the largest file that the system lets this process write; infinite where it sets no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else float(limit)


def why_not_written(error: OSError) -> str:
    """The system's reason, and a remedy. NumPy tells only how much of an array was written before a limit."""
    if error.errno == errno.EFBIG:
        return "the system allows no file so large (ulimit -f); raise that limit, or bin the frames"
    if error.errno in FULL:
        return f"{error.strerror}; free some space"
    if error.errno is None and "requested and" in str(error):
        return (
            "the disk is full, or the system allows no file so large (ulimit -f); free some space, or raise that limit"
        )
    return error.strerror or str(error)


def _let_zarr_finish() -> None:
    """Wait for what zarr is still writing in the background, even after an error: it would make the folder again."""
    if "zarr" not in sys.modules:
        return
    import asyncio  # here, like zarr: both would delay the start of a command

    from zarr.core.sync import sync

    async def others() -> None:
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    sync(others())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
