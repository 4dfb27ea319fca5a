"""The tidesync command: wiring and printing only."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final, TypeAlias

from tidesync import __version__
from tidesync.cli.arguments import add_conformance, add_demo, add_queue, add_remote, add_serve, add_status
from tidesync.errors import (
    MissingExtra,
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    RequestRefused,
    StoreError,
    TidesyncError,
    Unauthorized,
    UsageError,
)
from tidesync.reports import PushFailed

Hints: TypeAlias = Sequence[tuple[type[Exception], str]]

_WHAT_TO_DO: Final[Hints] = (
    (MissingExtra, ""),
    (NotReachable, "check the address, and that the server runs"),
    (RemoteUnavailable, "look at the server's log, and try again"),
    (ProtocolError, "check the address, or name the protocol: --protocol 2.0 or 3.0"),
    (Unauthorized, "the demo needs tables that anonymous clients may write"),
    (RequestRefused, "the server needs the tables that `tidesync demo --help` lists"),
    (PushFailed, "look at the server's log, and at the tables that `tidesync demo --help` lists"),
    (StoreError, "name another folder with --keep"),
    (OSError, "name another folder with --keep"),
    (UsageError, "see `tidesync demo --help`"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return 2
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # ids hold any letter, and a terminal may not know it
        reconfigure(errors="backslashreplace")
    try:
        status: int = given.run(given)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads has read enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TidesyncError, OSError) as error:
        if given.traceback:
            raise
        todo = _WHAT_TO_DO if given.command == "demo" else ()
        print(f"tidesync: {one_line(error, todo)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if given.traceback:
            raise
        print("\ntidesync: interrupted", file=sys.stderr)
        return 130


def one_line(error: Exception, hints: Hints = _WHAT_TO_DO) -> str:
    """What went wrong and what to do, without line breaks."""
    known = "" if isinstance(error, UsageError | StoreError) else "--traceback tells where"
    todo = next((todo for kind, todo in hints if isinstance(error, kind)), known)
    return " ".join(f"{error}{f' ({todo})' if todo else ''}".split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidesync", description="An offline-first sync engine. Start with: tidesync demo"
    )
    parser.add_argument("--version", action="version", version=f"tidesync {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    add_demo(commands)
    add_serve(commands)
    add_status(commands)
    add_queue(commands)
    add_remote(commands)
    add_conformance(commands)
    return parser
