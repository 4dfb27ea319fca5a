"""From what a user names, a path, an address or a store of obstore's, to the place that it is."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tidesync.errors import ConfigurationError, MissingExtra
from tidesync.transports.files.folder import Folder
from tidesync.transports.files.place import Place

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

    from tidesync.transports.files.bucket import Bucket

Target: TypeAlias = "str | os.PathLike[str] | AzureStore | GCSStore | MemoryStore | S3Store"
"""A folder's path or file: URL; s3://, gs://, az:// or memory:// URL; or a store of obstore's."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?")  # two letters at least: a drive has one
_BUCKETS: Final = ("s3", "gs", "az")
_KNOWN: Final = ("file", "memory", *_BUCKETS)
_NAMED: Final = frozenset(("bucket", "bucket_name", "container", "container_name", "prefix", "url"))

_memories: dict[str, MemoryStore] = {}
_lock = threading.Lock()


def open_place(target: Target, options: Mapping[str, Any] | None = None) -> Place:
    """The place that a target names; nothing is asked of it yet.

    `options` are arguments for obstore's S3Store, GCSStore or AzureStore: its configuration (`endpoint`, `region`,
    `access_key_id`, …), `client_options`, `retry_config`, `credential_provider`. What is not in them comes from the
    environment, as obstore says. `memory://name` is one place in this process, for as long as it runs.

    Raises `ConfigurationError`, which never quotes an option's value, and `MissingExtra` where there is no obstore.
    """
    if isinstance(target, str):
        scheme, rest = _parted(target)
        if scheme == "memory":
            _none(options, "a place in memory")
            return _memory(rest)
        if scheme in _BUCKETS:
            return _bucket(scheme, rest, dict(options or {}))
        _none(options, "a folder")
        return Folder(_path(target) if scheme == "file" else Path(target))
    if isinstance(target, os.PathLike):
        _none(options, "a folder")
        return Folder(Path(target))
    return _given(target, options)


def _parted(target: str) -> tuple[str, str]:
    """The scheme, "" for a path, and what follows it."""
    found = _SCHEME.match(target)
    if not target or "\0" in target:
        raise ConfigurationError("the target is empty, or holds a NUL: give a folder's path, or an address")
    if found is None:
        return "", target
    scheme = found[1].lower()
    if scheme in ("http", "https"):
        raise ConfigurationError(
            "http addresses are for HttpTransport; for a bucket elsewhere, s3:// and an endpoint"
        )
    if found[2] is None:
        if scheme in _KNOWN:
            raise ConfigurationError(f"an address begins with {scheme}://, and a path not with {scheme}:")
        return "", target
    if scheme not in _KNOWN:
        raise ConfigurationError(
            f"{scheme}:// is unknown: {', '.join(f'{each}://' for each in _KNOWN)}, or a path"
        )
    return scheme, target[found.end() :]


def _path(target: str) -> Path:
    parts = urlsplit(target)
    if (
        parts.netloc not in ("", "localhost")
        or parts.query
        or parts.fragment
        or not parts.path.startswith("/")
    ):
        raise ConfigurationError("a file:// address has three slashes, a whole path, and neither ? nor #")
    return Path(url2pathname(parts.path))


def _none(options: Mapping[str, Any] | None, what: str) -> None:
    if options:
        raise ConfigurationError(f"{what} has no options")


def _memory(name: str) -> Bucket:
    if not name.strip("/"):
        raise ConfigurationError("memory:// needs a name: memory://anything")
    try:
        from obstore.store import MemoryStore
    except ImportError as missing:
        raise MissingExtra("obstore", "files") from missing
    from tidesync.transports.files.bucket import Bucket

    name = name.strip("/")
    with _lock:
        store = _memories.setdefault(name, MemoryStore())
    return Bucket(store, f"memory://{name}")


def _bucket(scheme: str, rest: str, options: dict[str, Any]) -> Bucket:
    name, _, prefix = rest.removesuffix("/").partition("/")
    if "@" in name or "?" in rest or "#" in rest:
        raise ConfigurationError(
            f"a {scheme}:// address is a bucket and a prefix alone: all else belongs into options="
        )
    if not name or any(part in ("", ".", "..") for part in (prefix or "-").split("/")) or "%" in rest:
        raise ConfigurationError(
            f"{scheme}:// wants a bucket, and a prefix without empty parts, dots alone, or %"
        )
    if taken := _NAMED & options.keys():
        raise ConfigurationError(f"options= has {', '.join(sorted(taken))}, which the address says")
    try:
        from obstore.exceptions import BaseError
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as missing:
        raise MissingExtra("obstore", "files") from missing
    from tidesync.transports.files.bucket import CONNECT_TIMEOUT, TIMEOUT, Bucket

    options["client_options"] = {
        "timeout": timedelta(seconds=TIMEOUT),
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT),
        **(options.get("client_options") or {}),
    }
    # A request that is repeated out of sight makes "not sent" of "in doubt": Bucket repeats by itself.
    options.setdefault("retry_config", {"max_retries": 0})
    kinds: Mapping[str, Callable[..., S3Store | GCSStore | AzureStore]]
    kinds = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
    try:
        store = kinds[scheme](name, prefix=prefix or None, **options)
    except (BaseError, TypeError, ValueError) as error:
        raise ConfigurationError(_unfit(scheme, error, options)) from None
    return Bucket(store, f"{scheme}://{rest.removesuffix('/')}")


def _unfit(scheme: str, error: Exception, options: Mapping[str, Any]) -> str:
    """Why obstore made no store: the first line of what it says, unless that quotes a value."""
    line = str(error).partition("\n")[0][:200]
    values = [value for value in _values(options) if value]
    said = type(error).__name__ if any(value in line for value in values) else line
    return f"options= and the environment make no store for {scheme}://: {said}"


def _values(options: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for value in options.values():
        found += _values(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else [str(value)]
    return found


def _given(target: object, options: Mapping[str, Any] | None) -> Bucket:
    try:
        from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, S3Store
    except ImportError:
        raise ConfigurationError(_NO_TARGET.format(type(target).__name__)) from None
    from tidesync.transports.files.bucket import Bucket

    _none(options, "a store that is made already")
    if isinstance(target, MemoryStore):
        return Bucket(target, "a MemoryStore of obstore's")
    if isinstance(target, S3Store):
        return Bucket(target, _address("s3", target.config.get("bucket"), target.prefix))
    if isinstance(target, GCSStore):
        return Bucket(target, _address("gs", target.config.get("bucket"), target.prefix))
    if isinstance(target, AzureStore):
        return Bucket(target, _address("az", target.config.get("container_name"), target.prefix))
    if isinstance(target, LocalStore):
        raise ConfigurationError(
            "give the path of the folder: a LocalStore of obstore's does not write durably"
        )
    raise ConfigurationError(_NO_TARGET.format(type(target).__name__))


def _address(scheme: str, bucket: str | None, prefix: str | None) -> str:
    return f"{scheme}://{bucket or '?'}/{prefix or ''}".rstrip("/")


_NO_TARGET: Final = (
    "a remote is a folder's path, an address, or a store of obstore's for S3, GCS or Azure; "
    "this is of type {}"
)
