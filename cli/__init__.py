"""The tidesync command: wiring and printing only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tidesync import __version__
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

_DEMO: Final = """\
Two devices with SQLite stores and one remote go through a day: offline edits, collapse, order, push, pull,
a conflict, a device killed in the middle of a push, a purge. At the end all three are compared.

Without --url the remote is built in. With --url it is a server of the Azure Mobile Apps (2.0) or Datasync
(3.0) protocol that has two tables, both with soft delete:

  todolist   title (text)
  todotask   text (text), list_id (text), complete (boolean)

The demo adds about 310 records, whose ids begin with "demo-" and a random word, and leaves them there.
"""
_STATUS: Final = "Exit status: 0 all agree, 1 they differ, 2 the demo could not run, 130 interrupted."
_WHAT_TO_DO: Final[Sequence[tuple[type[Exception], str]]] = (
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
    try:
        from tidesync.cli.demo import demo

        return demo(given.url, given.protocol, given.keep)
    except (TidesyncError, OSError) as error:
        if given.traceback:
            raise
        print(f"tidesync: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if given.traceback:
            raise
        print("\ntidesync: interrupted", file=sys.stderr)
        return 130


def one_line(error: Exception) -> str:
    """What went wrong and what to do, without line breaks."""
    todo = next((todo for kind, todo in _WHAT_TO_DO if isinstance(error, kind)), "--traceback tells where")
    return " ".join(f"{error}{f' ({todo})' if todo else ''}".split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidesync", description="An offline-first sync engine. Start with: tidesync demo"
    )
    parser.add_argument("--version", action="version", version=f"tidesync {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo = commands.add_parser(
        "demo",
        help="two devices and a remote, offline and back, in under 20 seconds",
        description=_DEMO,
        epilog=_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument("--url", help="a server, as http://127.0.0.1:8080; without it the remote is built in")
    demo.add_argument(
        "--protocol",
        choices=("auto", "2.0", "3.0"),
        default="auto",
        help="what the server speaks (default: auto)",
    )
    demo.add_argument(
        "--keep", type=Path, metavar="DIR", help="put the files in this new or empty folder, and keep them"
    )
    demo.add_argument("--traceback", action="store_true", help="show where an error comes from")
    return parser
