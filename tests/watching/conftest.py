"""One remote, and devices for threads and for an event loop, in memory and in SQLite files."""

from tests.aio.conftest import make_store, remote
from tests.api.conftest import ctx, wire, world

__all__ = ["ctx", "make_store", "remote", "wire", "world"]
