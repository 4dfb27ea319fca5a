"""What each command takes. A command is imported when it runs: `--help` and `--version` need no extra."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]  # it has no public name

_DEMO: Final = """\
Two devices with SQLite stores and one remote go through a day: offline edits, collapse, order, push, pull,
a conflict, a device killed in the middle of a push, a purge. At the end all three are compared.

The remote is tidesync's own service, which runs on this machine for as long as the demo, on a port that is free.
With --url it is a server of the Azure Mobile Apps (2.0) or Datasync (3.0) protocol, or of tidesync's own, that has two
tables, both with soft delete:

  todolist   title (text)
  todotask   text (text), list_id (text), complete (boolean)

There the demo adds about 310 records, whose ids begin with "demo-" and a random word, and leaves them.

With --remote it is a plain folder, as on a shared disk: `tidesync remote info DIR` looks at it later.
"""
_DEMO_END: Final = "Exit status: 0 all agree, 1 they differ, 2 the demo could not run, 130 interrupted."
_STATUS: Final = """\
What the SQLite store of an application holds: records and queued operations by table, named pulls, quarantine, the
remote that it was synced with, and who is syncing right now. It needs neither the application nor its remote, changes
nothing, and may run at any time.

An operation is pending (it goes with the next push), attempted (it may be at the remote already), failed (the remote
refused it), in conflict, or parked (it waits behind one that failed or is in conflict).
"""
_STATUS_END: Final = """\
Exit status: 0, or 2 if there is no such store. --json prints one object; its keys are in the documentation of
tidesync.cli.status, are added to in time, and never hold a record's content.
"""
_QUEUE: Final = """\
The operations that wait in the SQLite store of an application, and what may be done to them while it runs or not.

  list              them, in order (the default)
  show ID...        all that is kept of them; contents with --content, or with --json
  retry ID...       send what the remote refused again with the next push
  discard ID...     drop all that is queued on a record; the record becomes what is known of the remote

An ID is a number as listed, an operation's id, or TABLE/RECORD. Operations that may be at the remote already are not
discarded without --force: that takes nothing back there. Nothing is sent: the application does that.
"""
_QUEUE_END: Final = """\
Exit status: 0 done, 1 nothing matched, or something was refused, 2 there is no such store, or the command is wrong.
--json prints one object; its keys are in the documentation of tidesync.cli.queue, and are added to in time.
"""
_SERVE: Final = """\
A remote for clients of tidesync, Datasync (3.0) and Azure Mobile Apps (2.0), on one SQLite file.

  tidesync serve --table notes --db notes.db            a table that takes any fields
  tidesync serve notes:tables --db notes.db             tables that a module declares, closed to other fields
  tidesync serve notes:app                              what create_app() made, with a store of its own

Without a token it serves this machine alone. SIGTERM and Ctrl-C finish what was accepted, and end it. Each request is
one line of JSON on standard error. TLS, and a name in the world, are a reverse proxy's business.
"""
_SERVE_END: Final = """\
Exit status: 0 stopped, 2 it could not serve. A token file has a TOKEN, or NAME TOKEN, in each line, each token of 16
characters or more; the environment variable TIDESYNC_TOKEN may hold one more.
"""
_REMOTE: Final = """\
A remote that is a folder or a bucket, looked at and looked after. Devices may go on while it runs.

  info TARGET       what it holds, in figures
  verify TARGET     whether all of it is whole: every file is read and checked; it changes nothing
  compact TARGET    delete old commits, once a snapshot has what they made, and what dead writers left

TARGET is the path of a folder, or an address: s3://bucket/prefix, gs://, az://, with the extra `files`. Credentials,
region and endpoint come from the environment, as for other programs (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).
A device that was away for longer than what a compaction keeps pulls everything again (`resync`); it loses nothing.
"""
_REMOTE_END: Final = """\
Exit status: 0 done, and whole; 1 something is damaged, and nothing was deleted; 2 there is no such remote, or it
could not be reached. --json prints one object; its keys are in the documentation of tidesync.cli.remote, and are added
to in time.
"""
_CONFORMANCE: Final = """\
Whether a store or a transport keeps tidesync's contract, rule by rule. It is what `check_store` and `check_transport`
of tidesync.conformance do, with the capabilities that the store or the transport itself tells.

MODULE:FACTORY is a function or a class. It makes a store, or a list of two or more clients of one new and empty
remote that holds the tables tidesync.conformance.TABLES. If it takes an argument, that is an empty folder, a new one
for each rule, and stores made in one folder must share what they hold.
"""
_CONFORMANCE_END: Final = """\
Exit status: 0 every rule holds or deviates as given, 1 a rule is broken, 2 it could not be tried.
"""
_STATES: Final = ("pending", "attempted", "failed", "conflict", "parked")


def _folder(text: str) -> Path:
    """A folder's path: an address would make a path, too, of a folder that nobody wants."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!a} is an address: give the path of a folder")
    return Path(text)


def add_demo(commands: Commands) -> None:
    """`tidesync demo`."""
    demo = _command(
        commands, "demo", "two devices and a service, offline and back, in under 20 seconds", _DEMO, _DEMO_END
    )
    remote = demo.add_mutually_exclusive_group()
    remote.add_argument("--url", help="a server that is there, as http://127.0.0.1:8080")
    remote.add_argument(
        "--loopback", action="store_true", help="no service: a remote in the process of each device"
    )
    remote.add_argument(
        "--remote",
        type=_folder,
        metavar="DIR",
        help="no service: this new or empty folder is the remote, and is kept",
    )
    demo.add_argument(
        "--protocol",
        choices=("auto", "tidesync", "2.0", "3.0"),
        default="auto",
        help="what is spoken with the server (default: auto, which finds out)",
    )
    demo.add_argument(
        "--keep", type=Path, metavar="DIR", help="put the files in this new or empty folder, and keep them"
    )
    demo.set_defaults(run=_run_demo)


def add_status(commands: Commands) -> None:
    """`tidesync status`."""
    status = _command(
        commands, "status", "what an application's store holds, and what waits in it", _STATUS, _STATUS_END
    )
    status.add_argument("file", type=Path, metavar="FILE", help="the file of a SQLite store")
    status.add_argument("--json", action="store_true", help="print one JSON object, for scripts")
    _add_key_file(status)
    status.set_defaults(run=_run_status)


def add_queue(commands: Commands) -> None:
    """`tidesync queue`."""
    queue = _command(
        commands, "queue", "list, show, retry or discard what waits in a store", _QUEUE, _QUEUE_END
    )
    queue.add_argument("file", type=Path, metavar="FILE", help="the file of a SQLite store")
    _add_filters(queue)
    queue.set_defaults(run=_run_queue, usage=queue.error, action="list")
    actions = queue.add_subparsers(metavar="ACTION", dest="action")
    listing = actions.add_parser("list", help="what waits, in order (the default)")
    showing = actions.add_parser("show", help="all that is kept of an operation")
    retrying = actions.add_parser("retry", help="send again what the remote refused")
    discarding = actions.add_parser("discard", help="drop what is queued on a record")
    for each in (listing, showing, retrying, discarding):
        _add_filters(each)
    showing.add_argument("ids", nargs="+", metavar="ID", help="which operations")
    showing.add_argument("--content", action="store_true", help="show the contents of records")
    for each in (retrying, discarding):
        each.add_argument("ids", nargs="*", metavar="ID", help="which operations")
        each.set_defaults(usage=each.error)
    retrying.add_argument("--all", action="store_true", help="all that failed")
    discarding.add_argument("--all", action="store_true", help="all that is queued")
    discarding.add_argument("--force", action="store_true", help="also what may be at the remote already")
    discarding.add_argument("--yes", action="store_true", help="do not ask")


def add_serve(commands: Commands) -> None:
    """`tidesync serve`."""
    serve = _command(
        commands, "serve", "a remote that clients sync with, on one SQLite file", _SERVE, _SERVE_END
    )
    serve.add_argument("target", nargs="?", metavar="MODULE:NAME", help="an application, a table, or tables")
    serve.add_argument(
        "--table", action="append", default=[], metavar="NAME", help="a table of any fields; may be repeated"
    )
    serve.add_argument("--db", type=Path, metavar="FILE", help="the SQLite file; made if it is not there")
    _add_key_file(serve)
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=8080, help="0 takes a free one (default: 8080)")
    serve.add_argument("--token-file", type=Path, metavar="FILE", help="the tokens of those who are let in")
    serve.add_argument(
        "--anybody", action="store_true", help="let in everybody, also from other machines, without a token"
    )
    serve.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="an origin whose pages may ask; repeatable",
    )
    serve.add_argument(
        "--keep", type=float, metavar="DAYS", help="forget what was deleted longer ago (default: nothing)"
    )
    serve.add_argument(
        "--restored",
        action="store_true",
        help="once, after the file was restored from a copy: devices start again",
    )
    serve.add_argument(
        "--proxy-headers", action="store_true", help="believe a proxy on this machine who asks, and how"
    )
    serve.add_argument("--quiet", action="store_true", help="no line for each request")
    serve.set_defaults(run=_run_serve)


def add_remote(commands: Commands) -> None:
    """`tidesync remote`."""
    remote = _command(
        commands,
        "remote",
        "look at a folder or a bucket that is a remote, or compact it",
        _REMOTE,
        _REMOTE_END,
    )
    actions = remote.add_subparsers(metavar="ACTION", dest="action", required=True)
    actions.add_parser("info", help="what it holds, in figures")
    actions.add_parser("verify", help="read and check all of it")
    compacting = actions.add_parser("compact", help="delete old commits and what was left over")
    for each in actions.choices.values():
        each.add_argument(
            "target", metavar="TARGET", help="a folder, or an address such as s3://bucket/prefix"
        )
        each.add_argument("--json", action="store_true", help="print one JSON object, for scripts")
        each.add_argument(
            "--allow-http",
            action="store_true",
            help="reach a bucket without TLS, in sight of whoever listens",
        )
    compacting.add_argument(
        "--keep",
        type=float,
        default=30.0,
        metavar="DAYS",
        help="what is not older than the last commit by so much stays (default: 30)",
    )
    remote.set_defaults(run=_run_remote)


def add_conformance(commands: Commands) -> None:
    """`tidesync conformance`."""
    conformance = _command(
        commands,
        "conformance",
        "whether a store or transport keeps the contract",
        _CONFORMANCE,
        _CONFORMANCE_END,
    )
    conformance.add_argument(
        "target", nargs="?", metavar="MODULE:FACTORY", help="what makes the store, or the clients"
    )
    conformance.add_argument("--list", action="store_true", help="list the rules, and try none")
    conformance.add_argument(
        "--profile", choices=("quick", "ci", "soak"), help="how long to search (default: quick)"
    )
    conformance.add_argument(
        "--only", action="append", default=[], metavar="ID", help="only this rule, as STORE-07; repeatable"
    )
    conformance.add_argument(
        "--deviates",
        action="append",
        default=[],
        metavar="ID=REASON",
        help="a rule that is known to be broken, and why; repeatable",
    )
    conformance.add_argument("--report", type=Path, metavar="FILE", help="write it as .md or .json, too")
    conformance.add_argument("--suite", metavar="VERSION", help="the rules of an older version of the suite")
    conformance.set_defaults(run=_run_conformance, usage=conformance.error)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    """Before or behind the action; so a default here would undo what was given there."""
    absent: Any = argparse.SUPPRESS
    parser.add_argument(
        "--table", action="append", default=absent, metavar="NAME", help="only those of this table"
    )
    parser.add_argument(
        "--state", action="append", default=absent, choices=_STATES, help="only those that stand so"
    )
    parser.add_argument(
        "--json", action="store_true", default=absent, help="print one JSON object, for scripts"
    )
    _add_key_file(parser, default=absent)


def _add_key_file(parser: argparse.ArgumentParser, default: Any = None) -> None:
    parser.add_argument(
        "--key-file",
        type=Path,
        default=default,
        metavar="FILE",
        help="the key of an encrypted store: its passphrase, or hex: and the 64 digits of a raw key",
    )


def _command(commands: Commands, name: str, brief: str, said: str, end: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=brief, description=said, epilog=end, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("--traceback", action="store_true", help="show where an error comes from")
    return command


def _run_demo(given: argparse.Namespace) -> int:
    from tidesync.cli.demo import demo

    return demo(given.url, given.protocol, given.keep, loopback=given.loopback, files=given.remote)


def _run_serve(given: argparse.Namespace) -> int:
    from tidesync.cli.serve import serve

    return serve(
        given.target,
        given.table,
        db=given.db,
        key_file=given.key_file,
        host=given.host,
        port=given.port,
        token_file=given.token_file,
        cors=given.cors,
        keep=given.keep,
        restored=given.restored,
        anybody=given.anybody,
        proxy_headers=given.proxy_headers,
        quiet=given.quiet,
    )


def _run_status(given: argparse.Namespace) -> int:
    from tidesync.cli.status import status

    return status(given.file, key_file=given.key_file, as_json=given.json)


def _run_queue(given: argparse.Namespace) -> int:
    from tidesync.cli import queue

    told = vars(given)
    file, as_json, ids = given.file, told.get("json", False), told.get("ids", [])
    key_file: Path | None = told.get("key_file")
    choice = queue.Choice(
        tables=told.get("table", ()),
        states=told.get("state", ()),
        words=ids,
        everything=told.get("all", False),
    )
    if given.action in ("retry", "discard") and choice.everything == bool(ids):
        given.usage("name at least one ID, or give --all")
    match given.action:
        case "show":
            return queue.show(file, choice, key_file=key_file, content=given.content, as_json=as_json)
        case "retry":
            return queue.retry_queue(file, choice, key_file=key_file, as_json=as_json)
        case "discard":
            if as_json and not given.yes:
                given.usage("with --json nothing is asked: give --yes")
            return queue.discard_queue(
                file, choice, key_file=key_file, force=given.force, yes=given.yes, as_json=as_json
            )
        case _:
            return queue.list_queue(file, choice, key_file=key_file, as_json=as_json)


def _run_remote(given: argparse.Namespace) -> int:
    from tidesync.cli import remote

    match given.action:
        case "info":
            return remote.info(given.target, as_json=given.json, allow_http=given.allow_http)
        case "verify":
            return remote.verify(given.target, as_json=given.json, allow_http=given.allow_http)
        case _:
            return remote.compact(
                given.target, keep=given.keep, as_json=given.json, allow_http=given.allow_http
            )


def _run_conformance(given: argparse.Namespace) -> int:
    from tidesync.cli.conformance import conformance, list_rules

    if given.list:
        return list_rules()
    target: str = given.target or given.usage("name what to try as MODULE:FACTORY, or give --list")
    return conformance(
        target,
        profile=given.profile,
        only=given.only,
        deviates=given.deviates,
        file=given.report,
        version=given.suite,
    )
