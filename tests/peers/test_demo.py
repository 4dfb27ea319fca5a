"""`tidesync demo --url` against the real Azure Mobile Apps server."""

import re
from pathlib import Path

import pytest

from tests.cli.command import headings, tidesync
from tests.peers.server_process import Peer

pytestmark = pytest.mark.peer

STEPS = [
    "Offline edits",
    "Parents before children",
    "Push and pull",
    "A conflict, merged field by field",
    "A device killed in the middle of a push",
    "A purge",
    "The end: do all three agree?",
]


def test_the_same_story_ends_in_agreement_on_a_real_server(peer: Peer) -> None:
    """Whatever the server holds besides: a second run goes by its own ids."""
    first, second = (
        tidesync("demo", "--url", peer.url),
        tidesync("demo", "--url", peer.url, "--protocol", "2.0"),
    )

    for told in (first, second):
        assert (0, "") == (told.returncode, told.stderr), told.stdout
        assert headings(told.stdout) == STEPS
        assert "Phone, laptop and remote agree on all 306 records." in told.stdout
        assert (
            len(re.findall(r"\bonce\b", told.stdout.partition("second push:")[2])) == 10
        )  # in the sentence too


def test_tables_without_soft_delete_end_in_differences(peer_packages: Path, tmp_path: Path) -> None:
    """Exit status 1: no device hears of what another one deleted, and the demo says what the tables need."""
    columns = {"list_id": "string", "text": "string", "complete": "boolean"}
    with Peer(
        peer_packages, tmp_path, tables={"todotask": {"columns": columns, "softDelete": False}}
    ) as peer:
        told = tidesync("demo", "--url", peer.url)

    assert (1, "") == (told.returncode, told.stderr)
    assert "A server needs soft delete for both tables." in told.stdout


def test_a_server_without_the_tables_is_told_of_before_anything_is_sent(
    peer_packages: Path, tmp_path: Path
) -> None:
    """One line, with where to read what the server needs."""
    with Peer(peer_packages, tmp_path) as peer:
        told = tidesync("demo", "--url", f"{peer.url}/elsewhere")

    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 1
    assert "tidesync demo --help" in told.stderr
    assert headings(told.stdout) == []


def test_the_wrong_protocol_is_told(peer: Peer) -> None:
    """The server's own words, in one line."""
    told = tidesync("demo", "--url", peer.url, "--protocol", "3.0")

    assert told.returncode == 2
    assert "ZUMO-API-VERSION" in told.stderr
