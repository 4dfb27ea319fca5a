"""The application: who is let in, and what a failure looks like from outside."""

from tests.transports.service.conftest import Serve
from tidesync.schema import TableSchema
from tidesync.stores import MemoryStore


def test_an_address_that_is_not_served_is_404(serve: Serve) -> None:
    """Nothing but what is documented is there."""
    served = serve(MemoryStore(), [TableSchema("todoitem")])

    assert 404 == served.http.get("/nothing").status_code
