"""Operations: what the user did to a record, waiting to be done at the remote."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from tidesync.contracts.transport import Expected
from tidesync.records import Json, Record

Kind: TypeAlias = Literal["insert", "update", "delete"]
State: TypeAlias = Literal["pending", "attempted", "failed"]


@attrs.frozen
class Refusal:
    """Why the remote refused an operation: its code and message, as it gave them."""

    code: str
    message: str


@attrs.frozen
class Operation:
    """One queued operation, as `ctx.operations()` shows it.

    `sequence` is its place (never reused), `id` its identity at the remote (new when what was sent
    changes). `content` is the whole record without system fields, None for a delete. `fields` and
    `expected` are frozen when it is marked for sending. `blocker` is the `key` of one operation that it waits for.
    `created` and `last_attempt` are seconds since 1970 by this machine's clock: when the edit was made, and when it was
    last marked for sending, in whichever form (None: never).
    """

    key: str
    sequence: int
    id: str
    table: str
    record_id: str
    kind: Kind
    content: Record | None
    state: State = "pending"
    attempts: int = 0
    error: Refusal | None = None
    fields: tuple[str, ...] | None = None
    expected: Expected | None = None
    generated: bool = False
    blocker: str | None = None
    in_conflict: bool = False
    created: float = 0.0
    last_attempt: float | None = None


def encode_refusal(error: Refusal | None) -> Json:
    """A refusal as JSON."""
    return None if error is None else {"code": error.code, "message": error.message}
