"""Requests that nobody should send: the service refuses them, tells nothing of its inside, and goes on."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.service.fuzz import Fuzz, fuzzed
from tests.attacks.service.grammar import Request

SEED = 20261120


@pytest.fixture
def fuzz(tmp_path: Path) -> Iterator[Fuzz]:
    """A service with some films, its log silent."""
    logging.disable(logging.CRITICAL)
    try:
        with fuzzed(tmp_path, SEED) as found:
            yield found
            found.end()
    finally:
        logging.disable(logging.NOTSET)


def post(path: bytes, body: bytes, **headers: str) -> Request:
    """A request with a body of JSON."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request("POST", path, [("Content-Type", "application/json"), *named], body)


def test_junk_never_fails(fuzz: Fuzz) -> None:
    """Requests from grammars, and such as our client sends with something changed, in every protocol: none is 500."""
    for _ in range(1500):
        fuzz.step()


# ---- what was found


@pytest.mark.parametrize("version", ["2.0.0", "3.0.0"])
def test_an_integer_that_no_float_holds_is_400(fuzz: Fuzz, version: str) -> None:
    """In a column of floats; it has fewer digits than JSON may bring."""
    body = b'{"rating":1' + b"0" * 309 + b"}"
    reply = fuzz.line.send(post(b"/tables/films", body, ZUMO_API_VERSION=version))

    assert 400 == reply.status


@pytest.mark.parametrize("path", [b"/tidesync/v1/push", b"/tidesync/v1/pull"])
def test_a_number_without_end_is_refused_in_our_own_words(fuzz: Fuzz, path: bytes) -> None:
    """Python's name the function that would raise its limit."""
    reply = fuzz.line.send(post(path, b"9" * 100_000))

    assert b"an integer has too many digits" in reply.body
    assert b"set_int_max" not in reply.body
