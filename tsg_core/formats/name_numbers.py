"""Numbers in the names of files: their digits, the spelling of their signs, and what the words around them say.

Dates and clock times are skipped if every name contains them. Signs are + and - in any typography, `m` and `p`, `n` and
`p`, `neg` and `pos`, `minus` and `plus`, before or after the number; decimals have a dot, a comma or a `p`.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ..tools.files import readable_name

_HYPHENS = "\u2212\u2013\u2010\u2011\u2012\u2014\ufe63\uff0d"
_TYPOGRAPHY = str.maketrans(dict.fromkeys(_HYPHENS, "-") | {"\u00ba": "\u00b0"})
_DATE, _CLOCK = "\u2630", "\u231a"  # stand for a date and a clock that were passed over

_MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?)"
)
_DAY, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:19|20)\d\d"
ROW = "a row of numbers"  # what 1.2.3 is
_NO_ANGLE = r"(?![\d.,]*\d|[\s_]?(?:deg|°))"
_DATES_AND_CLOCKS = tuple(
    (re.compile(pattern, re.IGNORECASE), stand_in)
    for stand_in, pattern in (
        (_DATE, rf"(?<!\d){_YEAR}([-._]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)"),
        (_DATE, rf"(?<!\d){_DAY}([-._])(?:0?[1-9]|1[0-2])\1{_YEAR}(?!\d)"),
        (_DATE, rf"(?<![a-z]){_MONTH}(?:0[1-9]|[12]\d|3[01])(?:[-_, ]?{_YEAR})?{_NO_ANGLE}"),
        (_DATE, rf"(?<!\d){_DAY}[-_. ]?{_MONTH}[-_. ]?(?:{_YEAR}|\d\d){_NO_ANGLE}"),
        (_CLOCK, rf"(?<!\d)(?<!\d\.)(?:[01]?\d|2[0-3])([.:-])[0-5]\d\1[0-5]\d(?:\s?[ap]m)?{_NO_ANGLE}"),
        (_CLOCK, r"(?<!\d)(?:[01]?\d|2[0-3])h[0-5]\dm?(?:[0-5]\ds?)?(?![a-z\d])"),
        (_DATE, rf"{_DATE}[-_T ](?:[01]\d|2[0-3])[.:h-][0-5]\d{_NO_ANGLE}"),  # without seconds, behind a date
        (_DATE, rf"{_DATE}[-_T ](?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?{_NO_ANGLE}"),
    )
)

_ANGLE_WORD = re.compile(
    r"(?:(?<![a-zα-ω])|(?<=tilt)|(?<=stage))(?:tilts?|alpha|α|angle|ang|theta|θ|deg|degrees?)[\s_=:(\[]*$",
    re.IGNORECASE,
)
_OTHER_WORD = re.compile(
    r"(?<![a-z])(df|def|defocus|focus|dose|mag|magnification|cl|exposure|dwell|time|temp|temperature|spot|beta|β|gamma"
    r"|phi|psi|shift|voltage|current|gain|bin|binning)[\s_=:(\[]*$",
    re.IGNORECASE,
)
_DEGREES = re.compile(r"[\s_]?(?:degrees|degree|degs|deg|°)(?![a-z])", re.IGNORECASE)
_OTHER_UNIT = re.compile(
    r"(?:\s?(?:nm|[uµμ]m|mm|cm|pm|kx|Mx|kX|MX|kV|kv|keV|eV|mrad|rad|sec|ms|us|[µμ]s|min|hr|px|pix|pA|nA|mA|fps|Hz|kHz"
    r"|bit|%|e[-_/]?[AÅ]\W?2?)|[AÅxVshelKC])(?![A-Za-z0-9])|x(?=\d)"
)
_LONG = "negative|positive|minus|plus|neg|pos"
_SIGN_WORD = re.compile(
    rf"({_LONG})[\s_-]?$|(?:(?<![a-zα-ω])|(?<=tilt)|(?<=angle)|(?<=alpha)|(?<=deg)|(?<=ang)|(?<=theta))([mnp])$",
    re.IGNORECASE,
)
_SIGN_IN_WORD = re.compile(rf"({_LONG})[\s_-]?$|([mnp])$", re.IGNORECASE)  # `Tm60`, `Tp60`
_SIGN_BEHIND = re.compile(
    rf"([+-])(?![a-z0-9.+-])|({_LONG}|[mnp])(?![a-z0-9])|[\s_]({_LONG})(?![a-z0-9])", re.IGNORECASE
)


@dataclass(frozen=True)
class NameNumber:
    """One number of a name.

    text        the number as it stands, with its sign
    digits      the digits with a decimal dot, if any
    run         the hyphens and plus signs right before the digits
    is_joined   a letter, digit or date stands right before `run`, so that its hyphen may join two words
    word        the sign's word or letter before the number, in lower case
    behind      the sign behind it
    after       the hyphens and plus signs right behind the digits or their unit, whatever they mean
    is_degrees  a unit of degrees stands behind it
    is_named    a word for an angle stands before it
    is_close    a letter and m, n or p stand right before it, as in `Tm60`: a sign, or a name
    other       the word or unit that makes it another quantity
    """

    text: str
    digits: str
    run: str
    is_joined: bool
    word: str
    behind: str
    after: str
    is_degrees: bool
    is_named: bool
    is_close: bool
    other: str


@dataclass(frozen=True)
class ParsedName:
    """The numbers of a name, and the text between them, which is equal in names of one kind."""

    numbers: tuple[NameNumber, ...]
    words: tuple[str, ...]


def parse_names(names: Sequence[str]) -> list[ParsedName]:
    """The numbers and words of each name (without its suffix)."""
    names = [_plain(name) for name in names]
    for pattern, stand_in in _DATES_AND_CLOCKS:
        if all(pattern.search(name) for name in names):
            names = [pattern.sub(stand_in, name) for name in names]
    has_p_for_sign = any(re.search(r"\d[mn]\d", name, re.IGNORECASE) for name in names)
    mark = "[.,]" if has_p_for_sign else "[.,p]"
    number = re.compile(
        rf"(?P<run>[+-]*)(?:(?P<chain>\d+(?:{mark}\d+){{2,}})"
        rf"|(?P<digits>\d+(?:{mark}\d+)?|(?:^|(?<=[-+_\s(=\[]))[.,]\d+(?![.,]?\d)))",
        re.IGNORECASE,
    )
    parsed = [_parsed(name, number, _SIGN_WORD) for name in names]
    if len({one.words for one in parsed}) > 1:
        bolder = [_parsed(name, number, _SIGN_IN_WORD) for name in names]
        if len({one.words for one in bolder}) == 1:  # a letter alone makes the words differ: it is the sign
            return bolder
    return parsed


def _plain(name: str) -> str:
    """The name in plain typography; bytes that are not UTF-8 are read as Latin-1, as older systems wrote them."""
    return unicodedata.normalize("NFKC", readable_name(name).translate(_TYPOGRAPHY)).translate(_TYPOGRAPHY)


def _parsed(name: str, pattern: re.Pattern, sign_word: re.Pattern) -> ParsedName:
    numbers, words, at = [], [], 0
    for match in pattern.finditer(name):
        before, behind = name[at : match.start()], name[match.end() :]
        sign = sign_word.search(before)
        stem = before[: sign.start()] if sign else before
        degrees = _DEGREES.match(behind)
        end = degrees.end() if degrees else 0
        unit = None if degrees else _OTHER_UNIT.match(behind)
        behind_sign = None if unit else _SIGN_BEHIND.match(behind[end:])
        shared = behind_sign and behind_sign[3] and re.match(r"[\s_-]?\d", behind[end + behind_sign.end() :])
        end += behind_sign.end() if behind_sign and not shared else 0  # `60_neg_12`: it may belong to either
        chain, run = match["chain"], match["run"]
        other_word = _OTHER_WORD.search(stem)
        other = ROW if chain else other_word[1] if other_word else unit[0].strip() if unit else ""
        digits = (chain or match["digits"]).lower()
        if not chain:
            digits = re.sub("[,p]", ".", digits)
        numbers.append(
            NameNumber(
                text=name[match.start() - (len(before) - len(stem)) : match.end() + end].strip(" _"),
                digits=digits,
                run=run,
                is_joined=bool(run) and _joins(before, is_first=at == 0),
                word=(sign[1] or sign[2]).lower() if sign else "",
                behind=next(filter(None, behind_sign.groups())).lower() if behind_sign else "",
                after=re.match("[+-]*", behind[degrees.end() if degrees else 0 :])[0],
                is_degrees=degrees is not None,
                is_named=not other_word and bool(_ANGLE_WORD.search(stem)),
                is_close=bool(re.search(r"(?<![a-z])[a-z][mnp]$", stem, re.IGNORECASE)),
                other=other,
            )
        )
        words.append(stem)
        at = match.end() + end
    words.append(name[at:])
    return ParsedName(tuple(numbers), tuple(re.sub(r"\s+", " ", word).strip().lower() for word in words))


def _joins(before: str, *, is_first: bool) -> bool:
    """Whether a hyphen after this text may join two words and not be a sign."""
    return before[-1].isalnum() or before[-1] in f"{_DATE}{_CLOCK})]" if before else not is_first
