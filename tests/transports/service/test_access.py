"""Bearer tokens: who they let in, and that nobody sees them."""

import asyncio
import logging
import pickle
from typing import Any

import pytest
from starlette.requests import Request

from tests.transports.service.conftest import Serve
from tests.transports.service.endpoints import TODO, routed
from tidesync.errors import ConfigurationError
from tidesync.stores import MemoryStore
from tidesync.transports.service import Principal, bearer

ANN, BOB = Principal("ann"), Principal("bob")
TOKENS = {"token-of-ann-0001": ANN, "token-of-bob-0001": BOB, "token-of-bob-0002": BOB}


def ask(*headers: tuple[str, str]) -> Principal | None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return asyncio.run(
        bearer(TOKENS)(Request({"type": "http", "method": "GET", "path": "/", "headers": raw}))
    )


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("authorization", "Bearer token-of-bob-0002"),
        ("authorization", "bearer   token-of-bob-0002 "),
        ("x-zumo-auth", "token-of-bob-0002"),
    ],
)
def test_a_token_that_is_known_tells_who_asks(header: str, value: str) -> None:
    """As programs send it, and as clients of 2.0 do."""
    assert BOB is ask((header, value))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", "token-of-ann-0001")],
        [("authorization", "Basic token-of-ann-0001")],
        [("authorization", "Bearer token-of-ann-000")],
        [("authorization", "Bearer token-of-ann-00011")],
        [("authorization", "Bearer token-of-ann-0001, Bearer token-of-ann-0001")],
        [("x-zumo-auth", "TOKEN-OF-ANN-0001")],
        [("x-zumo-auth", "t\xf6ken-of-ann-0001")],
        [("authorization", "Bearer token-of-ann-0001"), ("authorization", "Bearer token-of-bob-0001")],
        [("authorization", "Bearer token-of-ann-0001"), ("x-zumo-auth", "token-of-bob-0001")],
        [("authorization", "Basic 1234"), ("x-zumo-auth", "token-of-bob-0001")],
    ],
)
def test_anything_else_lets_nobody_in(headers: list[tuple[str, str]]) -> None:
    """Also two tokens that differ: nobody can say who asks."""
    assert ask(*headers) is None


def test_the_same_token_twice_is_one() -> None:
    """A client of 2.0 behind a layer that adds Authorization."""
    twice = [("authorization", "Bearer token-of-ann-0001"), ("x-zumo-auth", "token-of-ann-0001")]

    assert ANN is ask(*twice)


def test_every_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many comparisons for the first token as for none, each of digests of one length."""
    import hmac

    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    counts = []
    for token in ("token-of-ann-0001", "token-of-bob-0002", "x" * 1000):
        ask(("x-zumo-auth", token))
        counts.append(len(compared))

    assert ([3, 6, 9], {(32, 32)}) == (counts, set(compared))


def test_tokens_are_not_shown() -> None:
    """Nor are they found by looking into the object, or pickled."""
    found = bearer(TOKENS)

    assert "<bearer of 3 token(s)>" == repr(found)
    assert [] == [token for token in TOKENS if token in repr(vars(found))]
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(found)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ({}, "not empty"),
        (["token-of-ann-0001"], "mapping"),
        ({"secret": ANN}, "16 characters"),
        ({"secret with spaces in": ANN}, "printable ASCII"),
        ({"secret-\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9": ANN}, "printable ASCII"),
        ({b"secret-of-ann-0001": ANN}, "printable ASCII"),
        ({"secret-of-ann-0001": "ann"}, "leads to a Principal"),
    ],
)
def test_tokens_that_cannot_be_are_refused_unnamed(tokens: Any, said: str) -> None:
    """The message says what is wrong, and not with which."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        bearer(tokens)

    assert "secret" not in str(caught.value).replace("secrets.", "")


def test_a_token_is_in_no_log(serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Not at DEBUG either, and whether it is known or not."""
    caplog.set_level(logging.DEBUG)
    routed(monkeypatch)
    served = serve(MemoryStore(), [TODO], authorize=bearer(TOKENS))
    caplog.clear()
    answers = [
        served.http.get("/who", headers={"Authorization": f"Bearer {token}"}).status_code
        for token in ("token-of-ann-0001", "token-of-eve-0001")
    ]
    served.stop()  # a line of the access log comes after its reply
    said = [record for record in caplog.records if not record.name.startswith("http")]

    assert ([200, 401], True) == (answers, len(said) >= 2)
    assert [] == [record for record in said if "token-of" in record.getMessage()]
