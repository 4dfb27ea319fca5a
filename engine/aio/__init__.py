"""The asyncio face: the words of `SyncContext`, with `await`."""
