"""The two dialects that REST clients speak, chosen by each request; pure.

Azure Mobile Apps 2.0 is what its published JavaScript and .NET clients read, Datasync 3.0 what those of
Microsoft.Datasync and CommunityToolkit.Datasync do. `docs` of either say little: the rules here are those of
their servers, where no client of theirs would be hurt by a better one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from tidesync.transports.http.values import Dialect
from tidesync.transports.service.problems import Problem

VERSION: Final = "ZUMO-API-VERSION"
OPTIONS: Final = "X-ZUMO-Options"
_VERSION: Final = re.compile(r"([23])\.\d+(\.\d+)*\Z", re.ASCII)
Links: TypeAlias = Literal["absolute", "path", "community"]


@attrs.frozen(kw_only=True)
class Manners:
    """What one dialect does differently.

    `gone`: the status for a deleted record that was not asked for. `untyped`: a body without Content-Type is
    taken for JSON. `reserved`: system columns in a body are refused, not ignored. `bare_tags`: a lone entity
    tag may have no quotes. `strict_dates`: If-Modified-Since counts for writes. `caps`: a client that asks
    for more records than a page has gets a page; else it is refused. `revives`: POST to a record undeletes it.
    `shows_deleted`: a delete is answered with what was deleted.
    """

    dialect: Dialect
    gone: int
    untyped: bool = False
    reserved: bool = False
    bare_tags: bool = False
    strict_dates: bool = False
    caps: bool = False
    revives: bool = False
    shows_deleted: bool = False


TWO: Final = Manners(
    dialect="2.0",
    gone=404,
    untyped=True,
    reserved=True,
    bare_tags=True,
    revives=True,
    shows_deleted=True,
)
THREE: Final = Manners(dialect="3.0", gone=410, strict_dates=True, caps=True)


def manners_of(values: Sequence[str]) -> Manners:
    """The dialect that the versions in a request ask for; 3.0 if there is none. Raises `Problem` 400."""
    found = {match[1] if (match := _VERSION.match(value.strip())) else "" for value in values}
    if not found or found == {"3"}:
        return THREE
    if found == {"2"}:
        return TWO
    said = ", ".join(values)
    detail = f"{VERSION} is 2.0.0 or 3.0.0, and nothing means 3.0.0: this request says {said!r:.60}"
    raise Problem(400, "unknown_version", detail)


@attrs.frozen(kw_only=True)
class Options:
    """What a Datasync client asks for in `X-ZUMO-Options`."""

    deleted: bool = False
    links: Links = "absolute"


def options_of(values: Iterable[str], *, versioned: bool) -> Options:
    """The options in the header; what is not known means nothing.

    Clients that name no version are those of the community toolkit, which can only follow a path.
    """
    said = {part.strip().lower() for value in values for part in re.split("[,;]", value)}
    pairs = {tuple(part.strip() for part in re.split("[:=]", option, maxsplit=1)) for option in said}
    links: Links = "path" if ("nextlink", "path") in pairs else "absolute" if versioned else "community"
    return Options(deleted=("include", "deleted") in pairs, links=links)
