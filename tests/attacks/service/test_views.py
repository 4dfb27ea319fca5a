"""What somebody cannot see makes no difference to them: the same requests with and without hidden records.

What differs is opaque: a version begins with the number of a commit, which counts everybody's, and so does the cursor
of a delta pull. Who compares two of theirs learns how many commits there were between them, and nothing else.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidesync import table
from tidesync.contracts.transport import Anything, Change
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.principal import Principal
from tidesync.transports.service import bearer, create_app
from tidesync.transports.service.app import App

ITEMS = table("item", {"owner": str, "n": int, "title": str})
SECRETS = table("secret", {"text": str})
BOB = Principal("bob", {"item": ITEMS.c.owner == "bob"})
TOKEN = "bob-0123456789abcdef"
IDS, HIDDEN_IDS = ("b1", "b2", "b3"), ("a1", "a2", "a3")
AT_LEAST_ONE = ["compare", "ge", ["field", "n", "integer"], ["value", 1, "integer"]]
_VERSION = re.compile(r"\d+\.[0-9a-f]{8}")
_CURSOR = re.compile(r'"cursor":\{[^{}]*\}')

Step = dict[str, Any]


# ---- what bob asks, and what happens unseen

ids = st.sampled_from((*IDS, *HIDDEN_IDS))
fields = st.fixed_dictionaries(
    {},
    optional={
        "owner": st.sampled_from(("bob", "bob", "alice", None)),
        "n": st.integers(0, 3),
        "title": st.sampled_from(("x", "y")),
    },
)
owned = fields.map(lambda each: {"owner": "bob", **each})
conditions = st.dictionaries(
    st.sampled_from(("If-Match", "If-None-Match")),
    st.sampled_from(("*", "known", '"1.00000000"')),
    max_size=1,
)
dialects = st.sampled_from(("2.0.0", "3.0.0"))
parameters = st.fixed_dictionaries(
    {},
    optional={
        "$filter": st.sampled_from(
            ("n ge 1", "owner eq 'alice'", "id eq 'a1'", "title eq 'x' or owner ne 'bob'")
        ),
        "$orderby": st.sampled_from(("n", "n desc,title", "updatedAt desc", "id desc")),
        "$top": st.sampled_from(("1", "2")),
        "$skip": st.sampled_from(("0", "1")),
        "$count": st.just("true"),
        "$inlinecount": st.just("allpages"),
        "__includedeleted": st.just("true"),
    },
)


def step(do: str | st.SearchStrategy[str], **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.fixed_dictionaries({"do": st.just(do) if isinstance(do, str) else do, **parts})


flags = st.fixed_dictionaries(
    {}, optional={name: st.booleans() for name in ("total", "deleted", "departures")}
)
change = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(("insert", "update", "delete", "undelete")),
        "id": ids,
        "record": fields,
        "expected": st.sampled_from(("known", "absent", "anything")),
    }
)
unseen = step(
    "hidden",
    kind=st.sampled_from(("insert", "update", "delete")),
    id=st.sampled_from(HIDDEN_IDS),
    record=fields.map(lambda each: {**each, "owner": "alice"}),
    table=st.sampled_from(("item", "item", "secret")),
)
steps = st.one_of(
    step("list", **{"as": dialects}, parameters=parameters),
    step("list", **{"as": dialects}, parameters=st.just({}), table=st.just("secret")),
    step("follow", **{"as": dialects}),
    step(
        st.sampled_from(("GET", "PATCH", "PUT", "DELETE", "POST")),
        **{"as": dialects},
        id=ids,
        body=fields,
        conditions=conditions,
    ),
    step("insert", **{"as": dialects}, id=st.sampled_from(IDS), body=owned),
    step("push", changes=st.lists(change, min_size=1, max_size=3)),
    step(
        "pull",
        again=st.booleans(),
        limit=st.integers(1, 3),
        flags=flags,
        where=st.sampled_from((None, AT_LEAST_ONE)),
        ids=st.none() | st.lists(ids, max_size=4),
    ),
    step("get", id=ids),
    step("admin", id=st.sampled_from(IDS), record=fields.map(lambda each: {"owner": "bob", **each})),
    unseen,
    unseen,
)
EVERYTHING: Step = {"again": False, "limit": 3, "flags": {}, "where": None, "ids": None}
BEFORE: list[Step] = [
    {"do": "hidden", "kind": "insert", "id": "a1", "record": {"owner": "alice", "n": 1}, "table": "item"},
    {"do": "insert", "as": "3.0.0", "id": "b1", "body": {"owner": "bob", "n": 1, "title": "x"}},
    {"do": "hidden", "kind": "insert", "id": "a2", "record": {"owner": "alice", "n": 2}, "table": "item"},
    {"do": "insert", "as": "3.0.0", "id": "b2", "body": {"owner": "bob", "n": 2, "title": "y"}},
    {"do": "hidden", "kind": "delete", "id": "a2", "record": {}, "table": "item"},
    {"do": "pull", **EVERYTHING},
]
AFTER: list[Step] = [
    {"do": "hidden", "kind": "update", "id": "a1", "record": {"owner": "alice", "n": 3}, "table": "item"},
    {"do": "pull", **EVERYTHING, "again": True},
    {"do": "pull", **EVERYTHING, "ids": ["a1", "a2", "b1"]},
    *(
        {"do": do, "as": version, "id": id, "body": {"n": 1}, "conditions": {}}
        for do in ("GET", "PATCH", "PUT", "POST", "get", "DELETE")
        for version in ("2.0.0", "3.0.0")
        for id in ("a1", "a2")
    ),
    *(
        {"do": "push", "changes": [{"kind": kind, "id": id, "record": {"n": 2}, "expected": "anything"}]}
        for kind in ("update", "undelete", "delete")
        for id in ("a1", "a2")
    ),
]
"""What is looked at in any case: all that might tell of a hidden record, alive and deleted."""


# ---- one run of them


class Run:
    """Bob's requests on a service of its own; `told` is what he was answered, with versions by their order."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.app: App = create_app(
            MemoryStore(), [ITEMS, SECRETS], authorize=bearer({TOKEN: BOB}), identity="remote"
        )
        self.authority: Authority = self.app.service.authority
        self.authority.clock = lambda: self.now
        self.versions: dict[str, str] = {}
        self.known: dict[str, str] = {}
        self.cursors: dict[str, Any] = {}
        self.link = "/tables/item"
        self.count = 0
        self.told: list[Any] = []

    async def play(self, steps: Sequence[Step], *, hidden: bool) -> list[Any]:
        self.app.open()
        transport = httpx.ASGITransport(self.app)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://here", headers=headers
        ) as self.http:
            for step in steps:
                self.count += 1
                self.now += 1
                if step["do"] in ("hidden", "admin"):
                    if hidden or step["do"] == "admin":
                        self.write(step)
                else:
                    await self.ask(step)
        self.app.close()
        return self.told

    def write(self, step: Step) -> None:
        """What somebody who sees everything does."""
        table, record = step.get("table", "item"), step["record"]
        if table == "secret":
            record = {"text": "x"}
        kind = step.get("kind", "update")
        change = Change(
            id=f"other-{self.count}",
            table=table,
            record_id=step["id"],
            kind=kind,
            record=None if kind == "delete" else {"id": step["id"], **record},
            fields=tuple(record),
            expected=Anything(),
        )
        _ = self.authority.push([change])

    async def ask(self, step: Step) -> None:
        match step:
            case {"do": "list", "as": version}:
                path = f"/tables/{step.get('table', 'item')}"
                await self.rest("GET", path, version, params=step["parameters"])
            case {"do": "follow", "as": version}:
                await self.rest("GET", self.link, version)
            case {"do": "insert", "as": version, "id": id, "body": body}:
                await self.rest("POST", "/tables/item", version, json={"id": id, **body})
            case {"do": "push", "changes": changes}:
                lines = [self.change(place, change) for place, change in enumerate(changes)]
                await self.native("push", "\n".join(map(json.dumps, lines)))
            case {"do": "pull"}:
                await self.pull(step)
            case {"do": "get", "id": id}:
                self.note(await self.http.get(f"/tidesync/v1/tables/item/{id}"))
            case {"do": method, "as": version, "id": id}:
                tags = {
                    name: f'"{self.known.get(id, "2.0")}"' if tag == "known" else tag
                    for name, tag in step["conditions"].items()
                }
                body = {} if method in ("GET", "DELETE", "POST") else {"json": step["body"]}
                await self.rest(method, f"/tables/item/{id}", version, headers=tags, **body)

    def change(self, place: int, change: Step) -> Step:
        id, kind = change["id"], change["kind"]
        if id in HIDDEN_IDS and kind == "insert":  # which is refused: see below
            kind = "update"
        expected: Any = change["expected"]
        if expected == "known":
            expected = {"version": self.known.get(id, "2.0")}
        record = {"id": id, **change["record"]}
        message = {"id": f"op-{self.count}-{place}", "table": "item", "record_id": id, "kind": kind}
        return {**message, "record": record, "expected": expected}

    async def pull(self, step: Step) -> None:
        flags, where = step["flags"], step["where"]
        asked: Step = {"query": {"table": "item", "where": where}, "limit": step["limit"], **flags}
        key = json.dumps([where, flags])
        if step["ids"] is not None:
            asked |= {"ids": step["ids"], "incremental": False}
        elif step["again"]:
            asked["cursor"] = self.cursors.get(key)
        reply = await self.native("pull", json.dumps(asked))
        if step["ids"] is None and reply.status_code == 200:
            self.cursors[key] = json.loads(reply.text.splitlines()[-1])["end"]["cursor"]

    async def native(self, what: str, body: str) -> httpx.Response:
        reply = await self.http.post(f"/tidesync/v1/{what}", content=body.encode())
        self.note(reply)
        return reply

    async def rest(self, method: str, path: str, version: str, **options: Any) -> None:
        headers = {
            "ZUMO-API-VERSION": version,
            "X-ZUMO-Options": "nextlink:path",
            **options.pop("headers", {}),
        }
        reply = await self.http.request(method, path, headers=headers, **options)
        self.note(reply)
        found = reply.json() if reply.content else None
        if isinstance(found, dict):
            self.link = found.get("nextLink", self.link)

    def note(self, reply: httpx.Response) -> None:
        """Keep a reply as it is but for its versions and cursors."""
        for line in reply.text.splitlines():
            for id, version in re.findall(r'"id":"(b\d|a\d)".*?"version":"([^"]+)"', line):
                self.known[id] = version
        headers = [
            (name, self.named(value)) for name, value in reply.headers.items() if name != "content-length"
        ]
        self.told.append((self.count, reply.status_code, headers, self.named(reply.text)))

    def named(self, text: str) -> str:
        text = _CURSOR.sub('"cursor":"opaque"', text)
        return _VERSION.sub(lambda found: self.versions.setdefault(found[0], f"v{len(self.versions)}"), text)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(steps, min_size=8, max_size=25))
def test_what_is_hidden_makes_no_difference(steps: list[Step]) -> None:
    """Statuses, bodies, headers, counts, pages: in 2.0, 3.0 and tidesync's own protocol."""
    with_hidden = asyncio.run(Run().play([*BEFORE, *steps, *AFTER], hidden=True))
    without = asyncio.run(Run().play([*BEFORE, *steps, *AFTER], hidden=False))

    assert without == with_hidden


@pytest.mark.parametrize("version", ["2.0.0", "3.0.0"])
def test_a_hidden_id_is_refused_like_a_record_that_leaves_the_view(version: str) -> None:
    """Both are 403 with one text: that an id is taken is all that can be learnt, and only by trying to take it."""
    steps: list[Step] = [
        *BEFORE,
        {"do": "insert", "as": version, "id": "a1", "body": {"owner": "bob"}},
        {"do": "insert", "as": version, "id": "a2", "body": {"owner": "bob"}},
        {"do": "insert", "as": version, "id": "b3", "body": {"owner": "alice"}},
    ]
    told = asyncio.run(Run().play(steps, hidden=True))[-3:]

    assert 403 == told[0][1]
    assert [each[1:] for each in told[:1] * 3] == [each[1:] for each in told]


def test_the_numbers_of_versions_and_cursors_tell_how_many_commits_there_were() -> None:
    """Documented: they are in the order of everybody's commits, so that a gap between two counts those of others."""
    versions = []
    for hidden in (True, False):
        run = Run()
        _ = asyncio.run(run.play(BEFORE, hidden=hidden))
        (cursor,) = run.cursors.values()
        versions.append(([int(each.partition(".")[0]) for each in run.versions], cursor["sequence"]))

    assert [([2, 4], 5), ([1, 2], 2)] == versions
