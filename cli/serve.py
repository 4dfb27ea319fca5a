"""`tidesync serve`: a remote on this machine, from tables and a file, or an application as it was made."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from tidesync.cli.keys import file_store
from tidesync.errors import ConfigurationError
from tidesync.objects import Table
from tidesync.schema import TableSchema
from tidesync.transports.service import App, Authorize, Principal, bearer, create_app
from tidesync.transports.service.log import access_log
from tidesync.transports.service.server import run
from tidesync.transports.service.upkeep import DAY

TOKEN: Final = "TIDESYNC_TOKEN"  # noqa: S105  # the variable's name
READING: Final = 15.0
"""Seconds that one request may read for."""
_COMMENT: Final = re.compile(r"(^|\s)#.*")
Tables: TypeAlias = Sequence[TableSchema | Table[Any]]


def serve(  # noqa: PLR0913  # each is an option of the command
    target: str | None,
    names: Sequence[str],
    *,
    db: Path | None,
    key_file: Path | None,
    host: str,
    port: int,
    token_file: Path | None,
    cors: Sequence[str],
    keep: float | None,
    restored: bool,
    anybody: bool,
    proxy_headers: bool,
    quiet: bool,
) -> int:
    """Serve until SIGTERM or SIGINT, and finish what was accepted; 0. Raises `TidesyncError` where it cannot."""
    found = _found(target, names)
    if isinstance(found, App):
        if db is not None or key_file is not None or token_file is not None or cors or keep is not None:
            raise ConfigurationError(
                f"{target} is an application, with a store and rules of its own: --db, --key-file, --token-file,"
                " --cors and --keep are for tables"
            )
        app = found
    else:
        if db is None:
            raise ConfigurationError("--db FILE is missing: where the records are kept")
        if keep is not None and not keep > 0:
            raise ConfigurationError(f"--keep is a number of days above 0, not {keep:g}")
        authorize = _authorize(token_file, os.environ)
        app = create_app(
            file_store(db, key_file, read_timeout=READING),
            found,
            authorize=authorize,
            cors=cors or None,
            keep=None if keep is None else keep * DAY,
            hosts=_here(host) if authorize is None and not anybody else None,
        )
    _check_openness(app, host, anybody=anybody)
    _log_to_stderr(quiet=quiet)
    if restored:
        app.restart_followers()

    def ready(url: str) -> None:
        tables = ", ".join(app.service.authority.tables)
        print(f"tidesync: serving {tables} at {url} (Ctrl-C stops)", flush=True)
        if app.authorize is None:
            where = "who reaches this machine" if anybody else "on this machine"
            print(f"tidesync: anybody {where} may read and write everything", file=sys.stderr)

    run(app, host=host, port=port, ready=ready, proxy_headers=proxy_headers)
    return 0


def _found(target: str | None, names: Sequence[str]) -> App | Tables:
    """What is to be served."""
    if (target is None) == (not names):
        raise ConfigurationError("name either MODULE:NAME or --table NAME")
    if target is None:
        return [TableSchema(name) for name in dict.fromkeys(names)]
    value: Any = _imported(target)
    kind = type(value).__name__
    if isinstance(value, App):
        return value
    found = list(cast("Sequence[Any]", value) if isinstance(value, list | tuple) else [value])
    if not found or not all(isinstance(each, Table | TableSchema) for each in found):
        raise ConfigurationError(
            f"{target} is neither what create_app() returns, nor a table, nor a list of tables, but {kind}"
        )
    return found


def _imported(target: str) -> object:
    module, colon, name = target.partition(":")
    if not module or not colon or not name:
        raise ConfigurationError(f"{target!r:.80} is not MODULE:NAME, as in notes:tables")
    if os.getcwd() not in sys.path:  # noqa: PTH109  # as text, which is what sys.path holds
        sys.path.insert(0, os.getcwd())  # noqa: PTH109  # likewise
    try:
        value: object = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except AttributeError as error:
        raise ConfigurationError(f"{module} has no {name}") from error
    except Exception as error:  # whatever a user's module raises
        raise ConfigurationError(
            f"{module} cannot be imported: {type(error).__name__}: {error} (--traceback tells where)"
        ) from error
    return value


def _authorize(file: Path | None, environment: Mapping[str, str]) -> Authorize | None:
    """A check of the tokens that were given; None if none was."""
    tokens: dict[str, Principal] = {}
    if environment.get(TOKEN):
        tokens[environment[TOKEN]] = Principal("client")
    for number, line in enumerate(_lines(file) if file is not None else [], 1):
        match _COMMENT.sub("", line).split():
            case []:
                continue
            case [token]:
                tokens[token] = Principal("client")
            case [name, token]:
                tokens[token] = Principal(name)
            case _:
                raise ConfigurationError(f"{file}, line {number}: it is TOKEN, or NAME TOKEN")
    if file is not None and not tokens:
        raise ConfigurationError(f"{file}: there is no token in it")
    return bearer(tokens) if tokens else None


def _lines(file: Path) -> Sequence[str]:
    try:
        return file.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not a text file in UTF-8") from error


def _check_openness(app: App, host: str, *, anybody: bool) -> None:
    if app.authorize is None and not anybody and not _is_loopback(host):
        raise ConfigurationError(
            f"{host} can be reached from other machines: --token-file asks for a token,"
            " and --anybody lets everybody read and write everything"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _here(host: str) -> Sequence[str]:
    """The names of this machine that no page of another site can have."""
    return ["localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host]


def _log_to_stderr(*, quiet: bool) -> None:
    logging.basicConfig(level=logging.WARNING, format="tidesync: %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are of what strangers send
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    access_log.addHandler(handler)
    access_log.propagate = False
    access_log.setLevel(logging.WARNING if quiet else logging.INFO)
