"""What a request on the wire is about, whichever protocol it is in."""

import gzip
import json
from typing import Any, Literal

import attrs

from tests.peers.wire_faults import Seen

Kind = Literal["insert", "update", "delete", "undelete"]
PUSH = "/tidesync/v1/push"
PULL = "/tidesync/v1/pull"


@attrs.frozen
class Sent:
    """One change: the content as it was sent, and the version that it was made from, None if it names none."""

    kind: Kind
    id: str
    content: dict[str, Any]
    version: str | None


def changes(seen: Seen) -> list[Sent]:
    """The changes that a request carries: one on the REST protocols, a batch on tidesync's own, none if it reads."""
    if seen.path == PUSH:
        return [_change(json.loads(line)) for line in _body(seen).splitlines() if line.strip()]
    if not seen.path.startswith("/tables/"):
        return []
    _, _, _, *ids = seen.path.split("/", 3)
    version = seen.headers.get("if-match", "").strip('"') or None
    content = seen.json if seen.body else {}
    match seen.method:
        case "POST" if not ids:
            return [Sent("insert", content["id"], content, version)]
        case "POST":
            return [Sent("undelete", ids[0], content, version)]
        case "PATCH" | "PUT":
            kind: Kind = "undelete" if content.get("deleted") is False else "update"
            return [Sent(kind, ids[0], content, version)]
        case "DELETE":
            return [Sent("delete", ids[0], content, version)]
        case _:
            return []


def reads_page(seen: Seen) -> bool:
    """Whether a request reads a part of a table."""
    return seen.path == PULL or (seen.method == "GET" and seen.path.count("/") == 2 and "$top" in seen.query)


def _body(seen: Seen) -> bytes:
    return gzip.decompress(seen.body) if seen.headers.get("content-encoding") == "gzip" else seen.body


def _change(line: dict[str, Any]) -> Sent:
    expected, record = line.get("expected"), line.get("record") or {}
    version = expected.get("version", expected.get("tombstone")) if isinstance(expected, dict) else None
    content = {name: record.get(name) for name in line.get("fields", record)}
    return Sent(line["kind"], line["record_id"], content, version)
