"""Finding a remote in a place, or making one where there is nothing."""

from __future__ import annotations

import uuid

from tidesync.errors import ConfigurationError, RemoteDamaged
from tidesync.transports.files import names
from tidesync.transports.files.format import Meta, read_meta, write_meta
from tidesync.transports.files.lines import digest
from tidesync.transports.files.names import FOLDERS, META, ROOT
from tidesync.transports.files.place import Place


def find_or_make(place: Place, remembers: int, snapshot_every: int, *, known: bool) -> tuple[Meta, str]:
    """The remote in a place, and the hash of its meta.json; a new one where nothing is.

    `known`: an index has seen it, so that it must be there. Raises `RemoteDamaged` where a remote's meta.json is gone,
    or other files lie beside it; `ConfigurationError` where there would be a new one among what belongs to others.
    """
    content = place.read(META)
    if content is None:
        content = _made(
            place, Meta(id=str(uuid.uuid4()), remembers=remembers, snapshot_every=snapshot_every), known
        )
    for name in place.names(ROOT):
        if name in FOLDERS:
            raise RemoteDamaged(
                name, "it must be a folder, and no link to one: a symbolic link is not followed"
            )
        if name != META and not names.is_ignored(name):
            raise names.foreign(ROOT, name)
    return read_meta(content), digest(content)


def _made(place: Place, meta: Meta, known: bool) -> bytes:
    if known:
        raise RemoteDamaged(
            META,
            "it is missing, and was there: is this the right folder, and its drive mounted? Else bring it back",
        )
    ours = [name for folder in FOLDERS for name in place.names(folder) if not names.is_ignored(name)]
    others = [name for name in (*place.names(ROOT), *place.folders(ROOT)) if not names.is_ignored(name)]
    # By now another one may have made it.
    content = place.read(META)
    if content is not None:
        return content
    if ours:
        raise RemoteDamaged(META, "it is missing, though there are commits: bring it back from a copy")
    if odd := [name for name in others if name not in (META, *FOLDERS)]:
        raise ConfigurationError(
            f"there are other files here, such as {odd[0]!a}: give the remote a folder of its own"
        )
    content = write_meta(meta)
    if place.create(META, content):
        return content
    found = place.read(META)
    if found is None:
        raise RemoteDamaged(META, "it comes and goes: look at what deletes it")
    return found
