"""What errors of push say."""

from collections.abc import Sequence

import pytest

from tidesync import PushFailed, SyncContext, table
from tidesync.contracts.transport import Change, Outcome, Rejected
from tidesync.errors import RequestRefused
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport

NOTES = table("note", {"text": str})


class Refusing(LoopbackTransport):
    """Refuses every change, with this message."""

    message = ""

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return [Rejected("no", self.message) for _ in changes]


@pytest.mark.parametrize("message", ["too long", "note/1: too long"])
def test_an_error_says_once_which_record_it_is_about(message: str) -> None:
    """Whether or not the transport's message begins with it already."""
    way = Refusing(Authority(MemoryStore(), [NOTES]))
    way.message = message
    with SyncContext(MemoryStore(), way, [NOTES]) as ctx:
        ctx[NOTES].insert({"id": "1"})
        with pytest.raises(PushFailed) as pushed:
            ctx.push()
        with pytest.raises(RequestRefused) as refused:
            ctx.remote(NOTES).insert({"id": "1"})

    assert "push 1 operation(s) did not go through: note/1: too long; 1 pending" == str(pushed.value)
    assert "note/1: too long" == str(refused.value)
