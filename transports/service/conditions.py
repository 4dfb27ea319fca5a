"""Conditional requests (RFC 9110, section 13): entity tags, dates, and whether what is held meets them; pure.

A version becomes an entity tag as the clients of Azure Mobile Apps write it: in quotes, a quote inside
escaped with a backslash.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import attrs

from tidesync.transports.service.problems import Problem

_TAG: Final = re.compile(r'(?P<weak>W/)?"(?P<tag>(?:\\"|[^"])*)"[ \t]*(?=,|\Z)')
_BARE: Final = re.compile(r'[^\s,"*]+\Z')
_DATE: Final = re.compile(
    r"(?:[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4}|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d)"
    r" \d\d:\d\d:\d\d GMT\Z|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\Z"
)
"""The three forms of a date in a header: RFC 1123's, RFC 850's and that of asctime()."""

Values: TypeAlias = Callable[[str], Sequence[str]]
"""The lines of a header, by its name."""


def entity_tag(version: str) -> str:
    """A version as a strong entity tag."""
    return '"' + version.replace('"', '\\"') + '"'


@attrs.frozen
class Tags:
    """What a header of entity tags names: anything that exists, or these versions."""

    anything: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()

    def match(self, version: str) -> bool:
        """Strong comparison: a weak tag equals nothing."""
        return self.anything or version in self.strong

    def resemble(self, version: str) -> bool:
        """Weak comparison: weak and strong tags alike."""
        return self.match(version) or version in self.weak


def parse_tags(name: str, text: str, *, bare: bool = False) -> Tags:
    """The tags of a header. Raises `Problem` 400, with the position.

    `bare`: one tag may stand without its quotes, as the published server of 2.0 takes it.
    """
    text = text.strip(" \t")
    if text == "*":
        return Tags(anything=True)
    if bare and _BARE.match(text):
        return Tags(strong=frozenset((text,)))
    tags: dict[bool, set[str]] = {True: set(), False: set()}
    place = 0
    while place < len(text):
        if text[place] in ", \t":
            place += 1
            continue
        found = _TAG.match(text, place)
        if found is None:
            raise _malformed(name, place)
        tags[found["weak"] is not None].add(found["tag"].replace('\\"', '"'))
        place = found.end()
    if not tags[True] and not tags[False]:
        raise _malformed(name, 0)
    return Tags(strong=frozenset(tags[False]), weak=frozenset(tags[True]))


def _malformed(name: str, position: int) -> Problem:
    detail = f'{name} holds entity tags, such as "1.abc", or *'
    return Problem(400, "malformed_header", detail, position=position)


def http_date(moment: str) -> str:
    """Canonical datetime text as a date for a header; the part of a second is cut off."""
    return email.utils.format_datetime(_seconds(moment), usegmt=True)


def parse_date(text: str) -> datetime | None:
    """The moment that a date in a header stands for; None where it is none, and must be ignored."""
    if not _DATE.match(text):
        return None
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found.replace(tzinfo=UTC)


def _seconds(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(microsecond=0)


@attrs.frozen
class Held:
    """What conditions are asked about: one representation of a record."""

    version: str
    updated_at: str


@attrs.frozen(kw_only=True)
class Conditions:
    """The conditions of one request, None where it has none.

    `reading`: it is a GET or HEAD. `strict_dates`: If-Modified-Since counts for writes too, which Datasync
    does and RFC 9110 has ignored.
    """

    match: Tags | None = None
    none_match: Tags | None = None
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None
    reading: bool = False
    strict_dates: bool = False

    def failure(self, held: Held | None) -> Literal[304, 412] | None:
        """The status that these conditions demand instead of an answer, in the order of RFC 9110 13.2.2.

        `held` None: there is nothing, so that no tag matches, and nothing was modified.
        """
        if self._expects_other(held):
            return 412
        if held is not None and self._has_it(held):
            return 304 if self.reading else 412
        return None

    def _expects_other(self, held: Held | None) -> bool:
        """Whether something else than what is held was meant."""
        if self.match is not None:
            return held is None or not self.match.match(held.version)
        if self.unmodified_since is not None:
            return held is None or _seconds(held.updated_at) > self.unmodified_since
        return False

    def _has_it(self, held: Held) -> bool:
        """Whether what is held is what the client has already, or wants not to exist."""
        if self.none_match is not None:
            return self.none_match.resemble(held.version)
        if self.modified_since is not None and (self.reading or self.strict_dates):
            return _seconds(held.updated_at) <= self.modified_since
        return False


def read_conditions(values: Values, *, reading: bool, bare: bool, strict_dates: bool) -> Conditions:
    """The conditions in the headers of a request.

    Raises `Problem` 400 for malformed tags; dates that are none are ignored, as RFC 9110 demands.
    """

    def tags(name: str) -> Tags | None:
        lines = values(name)
        return parse_tags(name, ", ".join(lines), bare=bare) if lines else None

    def date(name: str) -> datetime | None:
        lines = values(name)
        return parse_date(lines[0].strip(" \t")) if len(lines) == 1 else None

    return Conditions(
        match=tags("If-Match"),
        none_match=tags("If-None-Match"),
        modified_since=date("If-Modified-Since"),
        unmodified_since=date("If-Unmodified-Since"),
        reading=reading,
        strict_dates=strict_dates,
    )
