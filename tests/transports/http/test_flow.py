"""Flows by hand: which steps they ask for, and what they make of the answers, without a driver."""

from typing import Any

import httpx
import pytest

from tests.transports.http.support import insert
from tidesync.contracts.transport import Unknown
from tidesync.errors import ConfigurationError, RemoteUnavailable
from tidesync.schema import TableSchema
from tidesync.transports.http.auth import Tokens
from tidesync.transports.http.client import Caller, Limits
from tidesync.transports.http.flow import Authorize, Flow, Pause, Send, Step
from tidesync.transports.http.push import perform
from tidesync.transports.http.threads import ThreadDriver
from tidesync.transports.http.values import Form
from tidesync.transports.http.wire import Request
from tidesync.transports.http.wire2 import Wire2

READING = Request(method="GET", path="todoitem")


def caller(auth: Any = None, **limits: Any) -> Caller:
    return Caller(httpx.URL("https://todo.example"), {}, auth, Limits(**limits))


def answered(step: Any, status: int, body: bytes = b"[]", **headers: str) -> None:
    """Give a request its reply."""
    assert isinstance(step, Send)
    _ = step.incoming.begin(httpx.Response(status, content=body, headers=headers))


def returned(flow: Flow[Any], answer: Any = None) -> Any:
    """What the flow returns after this answer."""
    with pytest.raises(StopIteration) as stop:
        flow.send(answer)
    return stop.value.value


def test_a_read_that_fails_is_asked_for_again_after_a_pause() -> None:
    """Send, pause, send: a driver needs to know no more."""
    flow = caller().budget().read(READING)
    assert isinstance(next(flow), Send)
    step = flow.throw(httpx.ReadTimeout("late"))
    assert isinstance(step, Pause)
    assert 0.1 <= step.seconds <= 0.2
    answered(flow.send(None), 200)
    reply = returned(flow)
    assert (200, b"[]") == (reply.status, reply.body)


def test_a_refused_token_is_exchanged_for_another_one() -> None:
    """Both requests carry what the driver gave for the asking, and the second question names the first answer."""
    tokens = Tokens(lambda: "never called")
    flow = caller(tokens).budget().write(READING)
    step: Step[Any] = next(flow)
    assert isinstance(step, Authorize)
    assert (tokens, None) == (step.tokens, step.refused)
    sent = flow.send("old")
    answered(sent, 401)
    step = flow.send(None)
    assert isinstance(step, Authorize)
    assert "old" == step.refused
    again = flow.send("new")
    answered(again, 200)
    assert 200 == returned(flow).status
    assert ["old", "new"] == [each.outgoing.headers["X-ZUMO-AUTH"] for each in (sent, again)]


def test_a_flow_that_is_closed_asks_for_nothing_more() -> None:
    """As a driver does on cancellation: no step follows, whatever the flow was about to do."""
    flow = perform(insert("a", text="x"), Form(TableSchema("todoitem"), "2.0"), Wire2(), caller().budget())
    assert isinstance(next(flow), Send)
    flow.close()
    with pytest.raises(StopIteration):
        _ = next(flow)


def test_a_break_in_the_reply_leaves_a_write_in_doubt() -> None:
    """After the head of a reply, whatever breaks proves nothing."""
    flow = perform(insert("a", text="x"), Form(TableSchema("todoitem"), "2.0"), Wire2(), caller().budget())
    step = next(flow)
    answered(step, 201)
    with pytest.raises(StopIteration) as stop:
        flow.throw(httpx.ConnectError("gone"))
    assert isinstance(stop.value.value, Unknown)


def test_no_request_is_made_after_the_time_of_an_exchange() -> None:
    """The budget of an exchange is its flows' own affair."""
    flow = caller(timeout=0.0).budget().read(READING)
    with pytest.raises(RemoteUnavailable, match="too long"):
        _ = next(flow)


def test_a_request_that_cannot_be_built_says_so() -> None:
    """Whoever finds out: the flow that writes it, or the driver that makes it."""
    odd = Request(method="POST", path="todoitem", body={"text": "\ud800"})
    with pytest.raises(ConfigurationError, match="UnicodeEncodeError"):
        _ = next(caller().budget().write(odd))
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
        driver = ThreadDriver(client, owned=False, concurrency=1)
        with pytest.raises(ConfigurationError, match="InvalidURL"):
            _ = driver.run(caller().budget().write(Request(method="GET", path="https://x\x00")))


def test_a_step_that_no_driver_knows_is_a_mistake() -> None:
    """And is told to the flow."""

    def strange() -> Flow[None]:
        yield from Step[None]()

    with (
        httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client,
        pytest.raises(TypeError, match="Step is not a step"),
    ):
        ThreadDriver(client, owned=False, concurrency=1).run(strange())
