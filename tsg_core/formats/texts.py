"""Text files of instruments, in any encoding, with numbers written in any style."""

import codecs
import re
from pathlib import Path

from ..errors import TsgError
from ..tools.files import existing

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x19\x1b-\x1f]")
_HYPHENS = "\u2212\u2013\u2010\u2011\u2012\ufe63\uff0d\x96"
_MINUS = str.maketrans(dict.fromkeys(_HYPHENS, "-") | {"\uff0b": "+", "\xa0": " "})
_NUMBER = re.compile(r"[+-]?\s?(\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf)", re.IGNORECASE)
_DEGREES = re.compile(r"\s*(?:°|º|degrees?|deg)\.?$", re.IGNORECASE)


def read_text(path: Path) -> str:
    """A file's text in UTF-8, UTF-16, UTF-32 or else Latin-1; raises TsgError if it is not text or cannot be read."""
    try:
        content = existing(path).read_bytes()
    except OSError as error:
        raise TsgError(f"{path} cannot be read: {error.strerror}") from error
    text = _decoded(content).rstrip("\x1a")  # the end of a file in old systems
    if _NO_TEXT.search(text):
        raise TsgError(f"{path} is not a text file")
    return text


def _decoded(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    if content[1::2].count(0) > len(content) / 4:  # letters of UTF-16 without a mark have every second byte empty
        return content.decode("utf-16-le", "replace")
    if content[::2].count(0) > len(content) / 4:
        return content.decode("utf-16-be", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def number_of(text: str) -> float:
    """The number that a text states, with any minus sign, a decimal comma or dot, and possibly a unit of degrees.

    Raises ValueError if it is not a number.
    """
    plain = _DEGREES.sub("", text.translate(_MINUS).strip())
    if not _NUMBER.fullmatch(plain):
        raise ValueError(f"{text!r} is no number")
    return float(plain.replace(",", ".").replace(" ", ""))
