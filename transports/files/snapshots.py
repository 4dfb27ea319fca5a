"""Snapshots: finding the newest one, and reading it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidesync.errors import RemoteDamaged
from tidesync.transports.files import names
from tidesync.transports.files.format import Fence, Meta, read_fence
from tidesync.transports.files.lines import digest
from tidesync.transports.files.names import FENCES, SNAPSHOTS, fence_name, manifest_name, part_name
from tidesync.transports.files.parts import Known, Manifest, Row, read_manifest, read_part
from tidesync.transports.files.place import Place

_ATTEMPTS: Final = 5


def last_fence(place: Place, meta: Meta) -> Fence | None:
    """The fence that counts; None if there is none."""
    for _ in range(_ATTEMPTS):
        found = names.numbers(FENCES, place.names(FENCES))
        if not found:
            return None
        content = place.read(fence_name(found[-1]))
        if content is not None:
            return read_fence(content, found[-1], meta.id)
    raise RemoteDamaged(FENCES, "its files come and go: look at what deletes them")


def newest(place: Place, meta: Meta) -> Manifest | None:
    """The newest snapshot that is not before the fence; None if there is none, and no fence."""
    for _ in range(_ATTEMPTS):
        fence = last_fence(place, meta)
        found = names.numbers(SNAPSHOTS, place.names(SNAPSHOTS))
        number = max(found, default=0)
        if fence is not None and number < fence.number:
            number = fence.number
        if number == 0:
            return None
        content = place.read(manifest_name(number))
        if content is None:
            if last_fence(place, meta) == fence and (fence is None or number == fence.number):
                raise RemoteDamaged(manifest_name(number), "it is missing: bring it back from a copy")
            continue
        if fence is not None and number == fence.number and digest(content) != fence.snapshot:
            raise RemoteDamaged(manifest_name(number), "it is not the snapshot that the fence names")
        return read_manifest(content, number, meta.id)
    raise RemoteDamaged(SNAPSHOTS, "its files come and go: look at what deletes them")


def lines(place: Place, manifest: Manifest) -> Iterator[Row | Known]:
    """What a snapshot holds, part by part."""
    for part in manifest.parts:
        content = place.read(part_name(manifest.number, part.digest))
        if content is None:
            raise RemoteDamaged(
                part_name(manifest.number, part.digest), "it is missing: bring it back from a copy"
            )
        yield from read_part(content, manifest.number, part)
