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

from tidesync.conflicts import (
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
from tidesync.session import AbortPush, Attempt, DefaultHandler, SyncHandler
from tidesync.tables import SyncTable

__version__ = "0.1.0"

__all__ = [
    "AbortPush",
    "Attempt",
    "Conflict",
    "DefaultHandler",
    "Defer",
    "Drop",
    "KeepLocal",
    "KeepRemote",
    "Merge",
    "MergeFields",
    "Operation",
    "OperationError",
    "Policy",
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
