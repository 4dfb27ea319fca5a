"""An offline-first sync engine: local tables that work without a network, and push, pull and purge.

```python
todos = table(TodoItem)

with SyncContext(SQLiteStore("todo.db"), HttpTransport("https://example.org"), [todos]) as ctx:
    ctx[todos].insert(TodoItem(new_id(), "Buy bread"))
    ctx.push()
    ctx.pull(todos, name="all")
```

Here is what most programs need. Errors are in `tidesync.errors` (all but `PushFailed` and `AbortPush`), events in
`tidesync.events`, stores in `tidesync.stores`, ways to a remote in `tidesync.transports`, and what their authors read
in `tidesync.contracts`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tidesync.autosync import Autosync
from tidesync.conflicts import (
    AsyncPolicy,
    Conflict,
    Defer,
    Drop,
    KeepLocal,
    KeepRemote,
    Merge,
    MergeFields,
    Policy,
    Resolution,
    conflicting_fields,
    defer,
    keep_local,
    keep_remote,
    merge_fields,
)
from tidesync.context import SyncContext
from tidesync.course import AutosyncStatus, Pull
from tidesync.declare import table
from tidesync.expressions import any_of, every_of
from tidesync.objects import Table
from tidesync.operations import Operation, Refusal
from tidesync.plans.purge import PurgeReport
from tidesync.query import Query
from tidesync.records import Record, Tombstone, new_id
from tidesync.remote import RemoteTable
from tidesync.reports import OperationError, PullReport, PushFailed, PushReport
from tidesync.selection import Rows, Selection
from tidesync.session import AbortPush, AsyncSyncHandler, Attempt, DefaultHandler, SyncHandler
from tidesync.tables import SyncTable
from tidesync.watching import EventStream, Watch

if TYPE_CHECKING:
    from tidesync.aio.autosync import AsyncAutosync
    from tidesync.aio.context import AsyncSyncContext
    from tidesync.aio.remote import AsyncRemoteTable
    from tidesync.aio.selection import AsyncSelection
    from tidesync.aio.tables import AsyncSyncTable
    from tidesync.aio.watching import AsyncEventStream, AsyncWatch

__version__ = "0.1.0"

__all__ = [
    "AbortPush",
    "AsyncAutosync",
    "AsyncEventStream",
    "AsyncPolicy",
    "AsyncRemoteTable",
    "AsyncSelection",
    "AsyncSyncContext",
    "AsyncSyncHandler",
    "AsyncSyncTable",
    "AsyncWatch",
    "Attempt",
    "Autosync",
    "AutosyncStatus",
    "Conflict",
    "DefaultHandler",
    "Defer",
    "Drop",
    "EventStream",
    "KeepLocal",
    "KeepRemote",
    "Merge",
    "MergeFields",
    "Operation",
    "OperationError",
    "Policy",
    "Pull",
    "PullReport",
    "PurgeReport",
    "PushFailed",
    "PushReport",
    "Query",
    "Record",
    "Refusal",
    "RemoteTable",
    "Resolution",
    "Rows",
    "Selection",
    "SyncContext",
    "SyncHandler",
    "SyncTable",
    "Table",
    "Tombstone",
    "Watch",
    "__version__",
    "any_of",
    "conflicting_fields",
    "defer",
    "every_of",
    "keep_local",
    "keep_remote",
    "merge_fields",
    "new_id",
    "table",
]

_ON_A_LOOP = {
    "AsyncAutosync": "tidesync.aio.autosync",
    "AsyncEventStream": "tidesync.aio.watching",
    "AsyncRemoteTable": "tidesync.aio.remote",
    "AsyncSelection": "tidesync.aio.selection",
    "AsyncSyncContext": "tidesync.aio.context",
    "AsyncSyncTable": "tidesync.aio.tables",
    "AsyncWatch": "tidesync.aio.watching",
}


def __getattr__(name: str) -> Any:
    """What needs asyncio is imported when it is asked for: that takes as long as all the rest."""
    if name not in _ON_A_LOOP:
        raise AttributeError(f"module 'tidesync' has no attribute {name!r}")
    return getattr(importlib.import_module(_ON_A_LOOP[name]), name)
