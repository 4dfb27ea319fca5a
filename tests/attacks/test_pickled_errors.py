"""Errors cross a process boundary, as pools and queues send them."""

import copy
import inspect
import pickle
from typing import Any

import pytest

from tests.attacks.support import SHELVES, Hostile, Shelf, device
from tidesync import PushFailed, errors
from tidesync.contracts.transport import Rejected
from tidesync.errors import ContextClosed, TidesyncError
from tidesync.records import Tombstone

ARGUMENTS: dict[str, Any] = {
    "message": "what happened", "package": "p", "extra": "e", "table": "todo", "id": "a", "reason": "why",
    "field": "text", "value_type": "int", "column": "text", "suggestion": "texts", "known": ("a", "b"), "hint": "!",
    "given": {"id": "a"}, "current": {"id": "b"}, "name": "n", "found": 2, "supported": 1, "stored": "x",
    "declared": "y", "retry_after": 1.5, "code": "c", "copy": Tombstone("1"), "pending": 3, "going": 60, "held": 101,
    "file": "f",
}  # fmt: skip
CLASSES = [
    each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, TidesyncError)
]


def made(cls: type[TidesyncError]) -> TidesyncError:
    try:
        parameters = list(inspect.signature(cls).parameters)
    except ValueError:  # it has the `__init__` of its builtin base
        parameters = []
    named = {each: ARGUMENTS[each] for each in parameters if each in ARGUMENTS}
    return cls(**named) if named else cls("what happened")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_survives_being_copied(cls: type[TidesyncError], again: Any) -> None:
    """Class, text and attributes are the same."""
    error = made(cls)
    error.add_note("seen by a worker")
    found = again(error)
    assert (cls, str(error), vars(error)) == (type(found), str(found), vars(found))


def test_a_failed_push_survives_being_copied() -> None:
    """The report comes along; what is settled through it needs the context that made it."""
    hostile = Hostile()
    ctx = device(hostile)
    ctx[SHELVES].insert(Shelf("s", "one"))
    hostile.on_push = lambda changes: [Rejected("no", "never") for _ in changes]
    with pytest.raises(PushFailed) as failed:
        ctx.push()
    found: PushFailed = pickle.loads(pickle.dumps(failed.value))
    assert str(failed.value) == str(found)
    (error,), (copied,) = failed.value.errors, found.errors
    assert (error.operation, "rejected", "no", error.sent) == (
        copied.operation, copied.status, copied.code, copied.sent,
    )  # fmt: skip
    with pytest.raises(ContextClosed, match=r"ctx\.operations"):
        copied.retry()
    error.retry()
    assert ["pending"] == [each.state for each in ctx.operations()]
