"""What may be a key, and that no key is shown anywhere."""

import copy
import io
import logging
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stores.sqlcipher.support import KEY, OTHER_KEY, PASSPHRASE, ROWS, made, opened, rows_of
from tidesync.errors import ConfigurationError, StoreError, TidesyncError, WrongKey
from tidesync.stores.encryption import decrypt_file, encrypt_file
from tidesync.stores.keys import Key
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore

SECRET = "correct horse battery staple"
RAW = b"thirty-two bytes of a raw secret"


@pytest.mark.parametrize("key", [KEY, PASSPHRASE, "ß", "a" * 10_000], ids=["raw", "quotes", "short", "long"])
def test_a_key_opens_what_it_made(tmp_path: Path, key: str | bytes) -> None:
    """A raw key and any passphrase, also from a function, open the file; and it is encrypted."""
    made(tmp_path / "x.db", key)
    assert ROWS == rows_of(tmp_path / "x.db", key)
    assert ROWS == rows_of(tmp_path / "x.db", lambda: key)
    assert not (tmp_path / "x.db").read_bytes().startswith(b"SQLite")


def test_sqlcipher_itself_opens_a_file_made_with_a_passphrase(tmp_path: Path) -> None:
    """The passphrase is SQLCipher's own, with its defaults: other programs open the file with it."""
    sqlcipher3 = pytest.importorskip("sqlcipher3.dbapi2")
    made(tmp_path / "x.db", "it's")
    connection = sqlcipher3.connect(str(tmp_path / "x.db"))
    connection.execute("PRAGMA key = 'it''s'")
    assert [(len(ROWS),)] == connection.execute("SELECT count(*) FROM todo").fetchall()
    connection.close()


def test_a_function_is_asked_at_each_open_and_only_then(tmp_path: Path) -> None:
    """A function that gives the key is called once for each open, whatever is done in between."""
    asked: list[int] = []

    def key() -> bytes:
        asked.append(1)
        return KEY

    store = SQLCipherStore(tmp_path / "x.db", key=key)
    assert [] == asked
    for times in (1, 2):
        store.open([])
        store.open([])
        with store.transaction(write=False), opened(tmp_path / "x.db"):
            pass
        store.close()
        assert times == len(asked)


def test_what_a_function_raises_comes_through(tmp_path: Path) -> None:
    """An error of the function that gives the key is the caller's own; nothing is made."""

    def key() -> bytes:
        raise LookupError("no keyring")

    with pytest.raises(LookupError, match="no keyring"):
        SQLCipherStore(tmp_path / "x.db", key=key).open([])
    assert [] == list(tmp_path.iterdir())


def test_a_key_that_did_not_open_the_file_is_forgotten(tmp_path: Path) -> None:
    """What a function returned is kept only while the store is open."""
    made(tmp_path / "x.db")
    store = SQLCipherStore(tmp_path / "x.db", key=lambda: OTHER_KEY)
    with pytest.raises(WrongKey):
        store.open([])
    assert vars(store.file.driver)["_key"] is None


WRONG: list[Any] = [
    None, "", b"", RAW[:-1], RAW + b"x", bytearray(RAW), 5, [RAW], "a\0b", "\ud800", f"x'{RAW.hex()}'",
]  # fmt: skip


@pytest.mark.parametrize("key", WRONG, ids=lambda key: f"{type(key).__name__} {len(str(key))}")
def test_what_cannot_be_a_key_is_refused(tmp_path: Path, key: Any) -> None:
    """Anything else is a ConfigurationError that says what a key is, at construction, or when the function gave it."""
    made(tmp_path / "x.db")
    with opened(tmp_path / "x.db") as store:
        for step in (
            lambda: SQLCipherStore(tmp_path / "x.db", key=key),
            lambda: SQLCipherStore(tmp_path / "x.db", key=lambda: key).open([]),
            lambda: store.rekey(key),
            lambda: encrypt_file(tmp_path / "x.db", tmp_path / "y.db", key),
            lambda: decrypt_file(tmp_path / "x.db", tmp_path / "y.db", lambda: key),
        ):
            with pytest.raises(ConfigurationError, match="key is a passphrase"):
                step()
    assert ROWS == rows_of(tmp_path / "x.db")


def test_a_function_that_returns_a_function_is_refused(tmp_path: Path) -> None:
    """A function returns a key, not another function."""
    with pytest.raises(ConfigurationError, match="another one"):
        SQLCipherStore(tmp_path / "x.db", key=lambda: lambda: KEY).open([])  # type: ignore[arg-type,return-value]


def told(error: BaseException) -> str:
    """All that tools tell of an error: its chain with the locals of our frames, its attributes, its pickle."""
    parts: list[str] = []
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        waiting += [each.__cause__, each.__context__]
        parts += [repr(each), str(each), repr(each.args), repr(vars(each))]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if Path(frame.f_code.co_filename) != Path(__file__):
                parts += map(as_shown, frame.f_locals.values())
        if isinstance(each, TidesyncError):
            parts.append(repr(pickle.dumps(each)))
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts += [line for line in report.format(chain=True) if __file__ not in line]
    return "\n".join(parts)


def as_shown(value: object) -> str:
    """A local variable as tools show it, with what it has; an object may not be complete yet."""
    try:
        return repr(value) + repr(getattr(value, "__dict__", ""))
    except AttributeError:
        return ""


def shown(text: str) -> list[str]:
    """Which forms of the secrets are in a text."""
    forms = [SECRET, RAW.decode(), RAW.hex(), RAW.hex().upper(), repr(RAW)]
    return [form for form in forms if form in text]


@pytest.fixture(params=["passphrase", "raw", "function"])
def secret(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Gives a key; a function, so that no frame of a test holds one."""
    keys: dict[str, Callable[[], Any]] = {
        "passphrase": lambda: SECRET,
        "raw": lambda: RAW,
        "function": lambda: lambda: SECRET,
    }
    return keys[request.param]


def steps(folder: Path, secret: Callable[[], Any]) -> list[Callable[[], object]]:
    """Calls that fail, at all depths, with the secret under way."""
    made(folder / "other.db", OTHER_KEY)
    (folder / "garbage.db").write_bytes(b"\x01" * 8192)
    plain = SQLiteStore(folder / "plain.db")
    plain.open([])
    plain.close()
    closed = SQLCipherStore(folder / "closed.db", key=secret())
    full = SQLCipherStore(folder / "full.db", key=secret())

    def overfill() -> None:
        full.open([])
        full.file.driver.connect = None  # type: ignore[method-assign,assignment]  # not callable: fails inside
        full.rekey(secret())

    return [
        lambda: SQLCipherStore("", key=secret()),
        lambda: SQLCipherStore(folder / "x.db", key=secret(), mode="no"),  # type: ignore[arg-type]
        lambda: SQLCipherStore(folder / "x.db", key=[secret()]),  # type: ignore[arg-type]
        lambda: SQLCipherStore(folder / "x.db", key=lambda: [secret()]).open([]),  # type: ignore[return-value,arg-type]
        lambda: SQLCipherStore(folder / "other.db", key=secret()).open([]),
        lambda: SQLCipherStore(folder / "garbage.db", key=secret()).open([]),
        lambda: SQLCipherStore(folder / "plain.db", key=secret()).open([]),
        lambda: SQLCipherStore(folder / "no" / "x.db", key=secret()).open([]),
        lambda: closed.rekey(secret()),
        lambda: encrypt_file(folder / "plain.db", folder / "other.db", secret()),
        lambda: encrypt_file(folder / "garbage.db", folder / "new.db", secret()),
        lambda: encrypt_file(folder / "plain.db", folder / "no" / "new.db", secret()),
        lambda: decrypt_file(folder / "other.db", folder / "new.db", secret()),
        overfill,
    ]


def test_no_error_shows_the_key(tmp_path: Path, secret: Callable[[], Any]) -> None:
    """Whatever fails, no message, chained error, local variable or pickle holds the key."""
    for step in steps(tmp_path, secret):
        with pytest.raises((TidesyncError, TypeError)) as caught:
            step()
        assert [] == shown(told(caught.value))


def test_an_interrupted_derivation_shows_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a key is derived, the frames hold none of it."""

    def interrupted(*arguments: object) -> bytes:
        raise KeyboardInterrupt

    made(tmp_path / "x.db", lambda: SECRET)
    monkeypatch.setattr("hashlib.pbkdf2_hmac", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        SQLCipherStore(tmp_path / "x.db", key=Key(SECRET)).open([])
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    ours = [frame for frame in frames if frame.f_code.co_filename != __file__]
    assert [] == shown("".join(as_shown(value) for frame in ours for value in frame.f_locals.values()))


def test_a_detector_that_finds_a_key() -> None:
    """The search above finds a key where there is one: in a frame, a message, a chain."""

    def careless(key: str) -> None:
        raise ValueError("no")

    space: dict[str, Any] = {}
    exec(compile("def careless(key):\n    raise ValueError('no')", "elsewhere.py", "exec"), space)
    with pytest.raises(ValueError, match="no") as caught:
        space["careless"](SECRET)
    assert [SECRET] == shown(told(caught.value))
    assert [SECRET] == shown(told(ValueError(SECRET)))
    error = ValueError("no")
    error.__context__ = ValueError(SECRET)
    assert [SECRET] == shown(told(error))
    with pytest.raises(ValueError, match="no"):
        careless("")


def test_no_object_shows_the_key(tmp_path: Path, secret: Callable[[], Any]) -> None:
    """The store, its parts and their attributes show no key, open or closed; none can be pickled."""
    store = SQLCipherStore(tmp_path / "x.db", key=secret())
    for _ in range(2):
        driver: Any = store.file.driver
        for each in (store, store.file, driver, store.capabilities):
            assert [] == shown(repr(each) + str(each) + repr(getattr(each, "__dict__", "")))
        assert f"SQLCipherStore({str(tmp_path / 'x.db')!r})" == repr(store)
        for step in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="a key is neither"):
                step(Key(secret()))
            with pytest.raises(TypeError):
                step(store)
        store.open([])
    store.close()


def test_nothing_is_logged_or_printed(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither our log nor SQLCipher's own, which it writes to the standard error stream, tells of a key or a record."""
    caplog.set_level(logging.DEBUG)
    for step in steps(tmp_path, lambda: RAW):
        with pytest.raises((TidesyncError, TypeError)):
            step()
    made(tmp_path / "x.db", lambda: SECRET)
    out, err = capfd.readouterr()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    for record in caplog.records:
        handler.emit(record)
    assert [] == shown(stream.getvalue() + caplog.text)
    assert ("", "") == (out, err)


def test_the_statements_hold_no_key(tmp_path: Path) -> None:
    """SQL text is traced, logged and kept by tools: no key is ever part of one."""
    made(tmp_path / "x.db")
    called: list[str] = []

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "c_call" and argument.__name__ in ("execute", "executemany", "executescript"):
            called.append(repr(frame.f_locals))

    sys.setprofile(profile)
    try:
        with opened(tmp_path / "x.db") as store:
            store.rekey(Key(RAW))
            store.verify()
        decrypt_file(tmp_path / "x.db", tmp_path / "y.db", Key(RAW))
        encrypt_file(tmp_path / "y.db", tmp_path / "z.db", Key(SECRET))
    finally:
        sys.setprofile(None)
    assert called
    assert [] == shown("".join(called))


def test_a_wrong_key_is_a_store_error(tmp_path: Path) -> None:
    """WrongKey is what `except StoreError` catches, like every trouble with the file."""
    made(tmp_path / "x.db")
    with pytest.raises(StoreError, match="this key does not open it") as caught:
        rows_of(tmp_path / "x.db", OTHER_KEY)
    assert WrongKey is type(caught.value)
