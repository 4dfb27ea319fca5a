"""The store and the transport that the documentation builds keep the contracts that it explains."""

from pathlib import Path
from typing import Any

from tests.docs.pages import blocks
from tests.packaging.tree import ROOT
from tidesync.conformance import TABLES, check_store, check_transport
from tidesync.contracts.transport import CursorGuarantee, TransportCapabilities


def built(page: str, wanted: str) -> dict[str, Any]:
    """What the block of a page that defines a name makes."""
    namespace: dict[str, Any] = {"__name__": "documented"}
    (text,) = [block.text for block in blocks(ROOT / "docs" / page) if f"class {wanted}" in block.text]
    exec(compile(text, page, "exec"), namespace)
    return namespace


def test_the_smallest_store_keeps_the_contract() -> None:
    """docs/stores.md: a store in one JSON file passes the suite."""
    store = built("stores.md", "JsonFileStore")["JsonFileStore"]

    def make(folder: Path) -> Any:
        return store(str(folder / "x.json"))

    check_store(make).check()


def test_the_smallest_transport_keeps_the_contract() -> None:
    """docs/transports.md: a remote in a few dicts passes the suite."""
    made = built("transports.md", "DirectTransport")
    names = frozenset(table.name for table in TABLES)
    declared = TransportCapabilities(
        identity="", cursor=CursorGuarantee.COMMIT_ORDERED, max_changes=100, ordered=True, filters=True,
        tombstones=names, remembers=None,
    )  # fmt: skip

    def make() -> Any:
        remote = made["Remote"]()
        return [made["DirectTransport"](remote) for _ in range(3)]

    check_transport(make, capabilities=declared).check()
