"""The words of an OData expression: one pass over the text, one regular expression without backtracking."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias, cast

TokenKind: TypeAlias = Literal[
    "guid", "moment", "date", "time", "number", "quoted", "text", "name", "mark", "end"
]


class FilterError(Exception):
    """A text that is no filter, order or selection of this table.

    `position` counts characters of the text from 0; `message` is a sentence for people.
    """

    def __init__(self, message: str, position: int) -> None:
        self.message, self.position = message, position
        super().__init__(f"{message} (at position {position})")


class Token(NamedTuple):
    """A word: what it is, how it is spelt, and where its first character is."""

    kind: TokenKind
    text: str
    at: int

    @property
    def shown(self) -> str:
        """The word in a message."""
        return "the end" if self.kind == "end" else f"{self.text!r:.60}"


_DAY, _CLOCK, _HEX = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?",
    "[0-9A-Fa-f]",
)
_ENDS: Final = r"(?![\w.:-])"
_QUOTED: Final = r"'[^']*+(?:''[^']*+)*+'"
_WORDS: Final = re.compile(
    rf"""[ \t\r\n]*(?:
      (?P<guid>{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}{_ENDS})
    | (?P<moment>{_DAY}[Tt]{_CLOCK}(?:[Zz]|[+-][0-9]{{2}}:[0-9]{{2}})?{_ENDS})
    | (?P<date>{_DAY}{_ENDS})
    | (?P<time>{_CLOCK}{_ENDS})
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[lLmMfFdD]?{_ENDS})
    | (?P<quoted>(?:datetimeoffset|datetime|guid){_QUOTED})
    | (?P<text>{_QUOTED})
    | (?P<name>[^\W\d]\w*+(?:\.[^\W\d]\w*+)*+)
    | (?P<mark>[(),/-])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


def tokens_of(text: str, limit: int) -> list[Token]:
    """The words of a text of at most `limit` characters, ended by one of kind "end". Raises `FilterError`."""
    if len(text) > limit:
        raise FilterError(f"it has {len(text)} characters, and {limit} are the most", limit)
    found: list[Token] = []
    place = 0
    match = _WORDS.match
    while (word := match(text, place)) is not None:
        kind = cast("TokenKind", word.lastgroup)
        place = word.end()
        found.append(Token(kind, word[kind], word.start(kind)))
        if kind == "end":
            return found
    while text[place] in " \t\r\n":
        place += 1
    raise FilterError(_trouble(text, place), place)


def _trouble(text: str, place: int) -> str:
    if text[place] == "'":
        return "this text has no closing quote"
    if text[place].isdigit():
        return "this is neither a number nor a date, a time or a guid"
    return f"{text[place]!a} has no meaning here"


def surrogate_in(text: str) -> int | None:
    """Where a lone surrogate is, which no encoding can carry; None if there is none."""
    if text.isascii():
        return None
    return next((place for place, letter in enumerate(text) if "\ud800" <= letter <= "\udfff"), None)
