"""One remote, and devices for threads and for an event loop, in memory and in SQLite files."""

from tests.api.conftest import ctx, make_store, remote, wire, world

__all__ = ["ctx", "make_store", "remote", "wire", "world"]
