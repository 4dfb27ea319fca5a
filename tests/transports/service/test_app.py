"""The application: who is let in, how much room there is, and what a failure looks like from outside."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from tests.transports.service.conftest import Host, Serve
from tests.transports.service.endpoints import SECRET, TODO, WatchedStore, routed
from tidesync.errors import ConfigurationError, StoreBusy, StoreUnavailable
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.transports.service import Principal, Problem, bearer, create_app

TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    routed(monkeypatch)


# ---- what it is made of


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"store": "todo.db"}, "store is a store"),
        ({"store": MemoryStore}, "store is a store"),
        ({"tables": "todoitem"}, "tables are a list"),
        ({"tables": ["todoitem"]}, "tables are what"),
        ({"authorize": "token"}, "authorize is a function"),
        ({"limits": 5}, "limits are Limits"),
        ({"schema": "ajar"}, "schema is"),
        ({"remembers": "month"}, "remembers is a number"),
        ({"remembers": float("nan")}, "remembers is a number"),
        ({"remembers": float("inf")}, "None for ever"),
        ({"before_write": {"nothing": print}}, "nothing"),
        ({"cors": "https://example.org"}, "cors is a list"),
        ({"cors": ["example.org"]}, "is no origin"),
        ({"cors": ["https://example.org/"]}, "is no origin"),
        ({"cors": [b"https://example.org"]}, "cors is a list of text"),
        ({"hosts": "localhost"}, "hosts is a list"),
    ],
)
def test_an_argument_that_cannot_be_is_named(options: dict[str, Any], said: str) -> None:
    """Where the application is made, not at the first request."""
    store, tables = options.pop("store", MemoryStore()), options.pop("tables", [TODO])

    with pytest.raises(ConfigurationError, match=said):
        create_app(store, tables, **options)


def test_making_an_application_touches_nothing(tmp_path: Path) -> None:
    """A module that has one can be imported anywhere."""
    create_app(SQLiteStore(tmp_path / "todo.db"), [TODO])

    assert [] == list(tmp_path.iterdir())


# ---- its life


def test_served_alone_it_opens_its_store_and_closes_it(host: Host, tmp_path: Path) -> None:
    """By the lifespan that the server tells."""
    app = create_app(SQLiteStore(tmp_path / "todo.db"), [TODO])
    served = host(app)
    opened = not app.service.closed and (tmp_path / "todo.db").exists()
    served.stop()

    assert (True, True) == (opened, app.service.closed)


def test_mounted_it_opens_at_the_first_request_once(host: Host) -> None:
    """Under any path, however many come at once; nobody tells a mounted application that it starts."""
    store = WatchedStore()
    app = create_app(store, [TODO])
    served = host(Starlette(routes=[Mount("/deep/api", app)]))
    before = store.is_open

    def ask(_: int) -> int:
        return served.http.get("/deep/api/tables/todoitem").status_code

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(8)))
    app.close()

    assert (False, {200}, 1) == (before, answers, store.writes)


def test_mounted_it_is_closed_by_who_mounts_it(host: Host) -> None:
    """In the lifespan of the outer application, and then says 503."""
    store = MemoryStore()
    app = create_app(store, [TODO])
    app.open()
    served = host(Starlette(routes=[Mount("/api", app)]))
    first = served.http.get("/api/tables/todoitem").status_code
    app.close()
    app.close()

    assert (200, False, 503) == (first, store.is_open, served.http.get("/api/tables/todoitem").status_code)
    assert 503 == served.http.get("/api/health").status_code


def test_closed_it_may_be_opened_again(host: Host) -> None:
    """As a test suite does that starts one application many times."""
    app = create_app(MemoryStore(), [TODO])
    host(app).stop()

    assert 200 == host(app).http.get("/tables/todoitem").status_code


def test_closed_it_is_not_opened_by_a_request_that_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would close its store again."""
    store = MemoryStore()
    app = create_app(store, [TODO])

    async def late(opening: Callable[[], object]) -> object:
        app.close()
        return opening()

    monkeypatch.setattr(anyio.to_thread, "run_sync", late)
    with pytest.raises(Problem) as caught:
        asyncio.run(app.service.commit([]))

    assert (503, True, False) == (caught.value.status, app.service.closed, store.is_open)


def test_a_store_that_cannot_be_opened_is_tried_again(host: Host, tmp_path: Path) -> None:
    """Mounted, it has no other way to mend."""
    app = create_app(SQLiteStore(tmp_path / "later" / "todo.db"), [TODO])
    served = host(Starlette(routes=[Mount("/", app)]))
    first = served.http.get("/tables/todoitem").status_code
    (tmp_path / "later").mkdir()
    second = served.http.get("/tables/todoitem").status_code
    app.close()

    assert (500, 200) == (first, second)


def test_open_says_why_a_store_cannot_be_opened(tmp_path: Path) -> None:
    """Before anything is served."""
    app = create_app(SQLiteStore(tmp_path / "nowhere" / "todo.db"), [TODO])

    with pytest.raises(StoreUnavailable, match="nowhere"):
        app.open()


def test_two_applications_on_one_file_see_each_other(serve: Serve, tmp_path: Path) -> None:
    """Nothing is kept beside the store."""
    one, two = (serve(SQLiteStore(tmp_path / "todo.db"), [TODO]) for _ in range(2))
    for at, served in enumerate([one, two, one]):
        served.http.post("/tables/todoitem", json={"id": str(at)}).raise_for_status()

    assert [3, 3] == [len(each.http.get("/tables/todoitem").json()) for each in (one, two)]


def test_a_mounted_application_keeps_to_its_own_life(host: Host) -> None:
    """The way that the documentation shows: the outer lifespan closes it."""
    store = MemoryStore()
    app = create_app(store, [TODO])

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncGenerator[None]:
        app.open()
        yield
        app.close()

    served = host(Starlette(routes=[Mount("/api", app)], lifespan=life))
    opened = store.is_open
    served.stop()

    assert (True, False) == (opened, store.is_open)


# ---- what is not served


def test_an_address_that_is_not_served_is_404(serve: Serve) -> None:
    """As a problem; also with a slash too many, which leads nowhere else."""
    served = serve(MemoryStore(), [TODO])
    found = [served.http.get(path) for path in ("/nothing", "/", "/tables/todoitem/")]

    assert [(404, "not_found")] * 3 == [(each.status_code, each.json()["code"]) for each in found]


def test_a_method_that_is_not_served_is_405_and_told_which_are(serve: Serve) -> None:
    """All of them, though they are served apart."""
    answer = serve(MemoryStore(), [TODO]).http.put("/tables/todoitem")

    assert (405, "GET, HEAD, POST") == (answer.status_code, answer.headers["Allow"])
    assert "method_not_allowed" == answer.json()["code"]


def test_head_is_get_without_a_body(serve: Serve) -> None:
    """RFC 9110, 9.3.2."""
    answer = serve(MemoryStore(), [TODO]).http.head("/whole?size=100")

    assert (200, "100", b"") == (answer.status_code, answer.headers["Content-Length"], answer.content)


def test_health_needs_no_token_and_no_store(host: Host) -> None:
    """It says that the service runs, and nothing else."""
    store = MemoryStore()
    app = create_app(store, [TODO], authorize=bearer({TOKEN: Principal("ann")}))
    answer = host(Starlette(routes=[Mount("/", app)])).http.get("/health")

    assert (200, {"status": "ok"}, False) == (answer.status_code, answer.json(), store.is_open)


@pytest.mark.parametrize("path", ["/health", "/who", "/nothing", "/fail?how=problem", "/fail?how=error"])
def test_every_reply_says_that_tidesync_speaks(serve: Serve, path: str) -> None:
    """Clients discover the own protocol by it; and what is kept is asked about each time."""
    told = serve(MemoryStore(), [TODO]).http.get(path).headers

    assert ("1", "private, no-cache", "nosniff") == (
        told["Tidesync-Protocol"], told["Cache-Control"], told["X-Content-Type-Options"]
    )  # fmt: skip
    assert "server" not in told


# ---- who is let in


def test_without_authorize_everybody_is_nobody(serve: Serve) -> None:
    """One principal without a name, who may do everything."""
    assert "" == serve(MemoryStore(), [TODO]).http.get("/who").json()


def authorized(request: Request) -> Principal | None:
    """A function, on a worker thread."""
    assert threading.current_thread().name != "service"
    name = request.headers.get("x-name")
    return None if name is None else Principal(name)


async def authorized_async(request: Request) -> Principal | None:
    """A coroutine function, on the event loop."""
    return authorized(request)


def later(request: Request) -> Awaitable[Principal | None]:
    """A function that answers with something to await."""
    return authorized_async(request)


class Authorized:
    """An object that is called."""

    async def __call__(self, request: Request) -> Principal | None:
        """As the others."""
        return authorized(request)


@pytest.mark.parametrize(
    "authorize", [authorized, authorized_async, Authorized(), later, partial(authorized_async)]
)
def test_authorize_may_be_any_callable(serve: Serve, authorize: Any) -> None:
    """What it answers is the principal; None is 401, and says how to do better."""
    served = serve(MemoryStore(), [TODO], authorize=authorize)
    known, unknown = served.http.get("/who", headers={"X-Name": "ann"}), served.http.get("/who")

    assert (200, "ann") == (known.status_code, known.json())
    assert (401, "Bearer", "unauthorized") == (
        unknown.status_code, unknown.headers["WWW-Authenticate"], unknown.json()["code"]
    )  # fmt: skip


def raises(request: Request) -> Principal | None:
    """A token in the text of an exception, as libraries have it."""
    raise ValueError(f"cannot decode {SECRET}")


def nonsense(request: Request) -> Any:
    """Neither a principal nor None."""
    return SECRET


@pytest.mark.parametrize("authorize", [raises, nonsense])
def test_an_authorize_that_fails_lets_nobody_in_and_tells_nothing(
    serve: Serve, authorize: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """500, and neither the reply nor the log has a word of it."""
    caplog.set_level(logging.INFO)
    answer = serve(MemoryStore(), [TODO], authorize=authorize).http.get("/who")

    assert (500, "failed") == (answer.status_code, answer.json()["code"])
    assert [] == [text for text in (answer.text, caplog.text) if SECRET in text]
    assert f"in {authorize.__name__}" in caplog.text or "in ask" in caplog.text


def test_authorize_may_refuse_with_a_problem_of_its_own(serve: Serve) -> None:
    """That is meant for the client."""

    def banned(request: Request) -> Principal | None:
        raise Problem(403, "banned", "you know why")

    answer = serve(MemoryStore(), [TODO], authorize=banned).http.get("/who")

    assert (403, "banned") == (answer.status_code, answer.json()["code"])


# ---- failures


def test_a_problem_is_a_document(serve: Serve) -> None:
    """RFC 9457, with `error` for clients of 2.0, the position, and its headers."""
    answer = serve(MemoryStore(), [TODO]).http.get("/fail?how=problem")

    assert (418, "application/problem+json", "here") == (
        answer.status_code, answer.headers["Content-Type"], answer.headers["X-Spout"]
    )  # fmt: skip
    told = answer.json()
    assert ("teapot", "short and stout", "short and stout", 3, 418) == (
        told["code"], told["detail"], told["error"], told["position"], told["status"]
    )  # fmt: skip


def test_a_failure_is_500_without_a_word_of_it(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """The log has its kind and its place; its text may quote a record, and is logged at DEBUG only."""
    caplog.set_level(logging.INFO)
    answer = serve(MemoryStore(), [TODO]).http.get("/fail?how=error")

    assert (500, "failed") == (answer.status_code, answer.json()["code"])
    assert [] == [text for text in (answer.text, caplog.text) if SECRET in text]
    assert ("Traceback" not in answer.text, "ValueError" in caplog.text, "in fail" in caplog.text) == (
        True,
    ) * 3


def test_a_store_s_failure_is_500_and_its_text_is_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """It names the file and what to do, for whoever runs the service."""
    answer = serve(MemoryStore(), [TODO]).http.get("/fail?how=full")

    assert (500, False, True) == (answer.status_code, "todo.db" in answer.text, "disk is full" in caplog.text)


def test_a_busy_store_is_503_with_a_time_to_come_back(serve: Serve) -> None:
    """Nothing was written, and the same request may be sent again."""
    answer = serve(MemoryStore(), [TODO]).http.get("/fail?how=busy")

    assert (503, "1", "busy") == (answer.status_code, answer.headers["Retry-After"], answer.json()["code"])


def test_a_failure_in_the_middle_of_a_reply_cuts_it(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """So that nobody takes what came for all of it."""
    served = serve(MemoryStore(), [TODO])

    with pytest.raises(Exception, match=r"(?i)incomplete|disconnected|closed"):
        served.http.get("/fail?how=late")
    assert SECRET not in caplog.text
    assert 200 == served.http.get("/who").status_code


def test_a_write_that_the_store_refuses_for_a_while_is_503(serve: Serve) -> None:
    """Another process may hold it for longer than this one waits."""
    store = WatchedStore()
    served = serve(store, [TODO])

    def busy() -> None:
        raise StoreBusy("todo.db: another process writes")

    store.before = busy
    refused = served.http.post("/tables/todoitem", json={"id": "a"}).status_code
    store.before = lambda: None

    assert (503, []) == (refused, served.http.get("/tables/todoitem").json())
