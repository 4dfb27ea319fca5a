"""`--key-file`: the commands on an encrypted store."""

import json
import os
import threading
from pathlib import Path

import pytest

from tidesync import SyncContext, table
from tidesync.cli import main
from tidesync.stores.sqlcipher import SQLCipherStore

PASSPHRASE = "correct horse battery staple é"
RAW = bytes(range(32))


def made(path: Path, key: str | bytes) -> None:
    """A store with one operation that waits to be sent."""
    notes = table("notes", {"text": str})
    with SyncContext(SQLCipherStore(path, key=key), None, [notes]) as context:
        context[notes].insert({"id": "a", "text": "hello"})


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("raw", [False, True], ids=["passphrase", "raw"])
def test_a_key_comes_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bool, end: str
) -> None:
    """The file holds a passphrase, or hex: and a raw key, with or without an end of line; status and queue take it."""
    made(tmp_path / "x.db", RAW if raw else PASSPHRASE)
    key_file = tmp_path / "key"
    _ = key_file.write_bytes(((f"hex:{RAW.hex()}" if raw else PASSPHRASE) + end).encode())
    named = ["--key-file", str(key_file)]
    assert 0 == main(["status", str(tmp_path / "x.db"), "--json", *named])
    assert 1 == json.loads(capsys.readouterr().out)["queue"]["pending"]
    for arguments in ([*named, "list"], ["list", *named], named):
        assert 0 == main(["queue", str(tmp_path / "x.db"), *arguments])
        assert "notes" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="has no named pipes in folders")
@pytest.mark.parametrize("raw", [False, True], ids=["passphrase", "raw"])
def test_a_key_may_come_through_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bool) -> None:
    """What can be read only once, like /dev/stdin or `<(…)` of a shell, so that no key lies on a disk."""
    made(tmp_path / "x.db", RAW if raw else PASSPHRASE)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    key = f"hex:{RAW.hex()}" if raw else PASSPHRASE
    writer = threading.Thread(target=lambda: pipe.write_text(f"{key}\n", "utf-8"), daemon=True)
    writer.start()
    # Who reads it a second time finds nothing, but has to find an end.
    again = threading.Timer(2.0, lambda: os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK)))
    again.daemon = True
    again.start()
    assert 0 == main(["status", str(tmp_path / "x.db"), "--json", "--key-file", str(pipe)])
    again.cancel()
    assert 1 == json.loads(capsys.readouterr().out)["queue"]["pending"]


def test_a_mark_of_the_encoding_is_no_part_of_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some editors begin each text file with U+FEFF, which nobody sees."""
    made(tmp_path / "x.db", PASSPHRASE)
    _ = (tmp_path / "key").write_text(PASSPHRASE, "utf-8-sig")
    assert 0 == main(["status", str(tmp_path / "x.db"), "--key-file", str(tmp_path / "key")])
    assert "format" in capsys.readouterr().out


def test_a_wrong_key_is_told_and_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and one line without the key, for a wrong one, none, one that cannot be, and no key file."""
    made(tmp_path / "x.db", RAW)
    keys = {
        "wrong": (PASSPHRASE.encode(), "this key does not open it"),
        "hex": (b"hex:" + b"secret" * 10, "64 hexadecimal digits"),
        "short": (b"hex:7365637265742d6b6579", "32 bytes"),
        "bytes": (b"secret \xff secret", "lone surrogate"),
    }
    for name, (content, message) in keys.items():
        _ = (tmp_path / name).write_bytes(content)
        assert 2 == main(["status", str(tmp_path / "x.db"), "--key-file", str(tmp_path / name)])
        told = capsys.readouterr()
        assert ("", 1) == (told.out, told.err.count("\n"))
        assert message in told.err
        assert not [part for part in ("secret", "horse", "7365") if part in told.err]
    assert 2 == main(["status", str(tmp_path / "x.db")])
    assert "SQLCipherStore opens an encrypted one" in capsys.readouterr().err
    assert 2 == main(["status", str(tmp_path / "x.db"), "--key-file", str(tmp_path / "no")])
