"""Who writes to a service and follows it, whatever happens to it: each on a thread of its own.

Nothing is written twice under the same number, so that whoever looks at the file can tell what took effect, and how
often. A writer owns the records whose ids begin with its name.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx

from tests.attacks.service.processes import NOTES
from tidesync import PushFailed, SyncContext
from tidesync.contracts.transport import PullRequest
from tidesync.errors import ResyncRequired, TransportError
from tidesync.query import Query
from tidesync.records import Record, Tombstone
from tidesync.stores.memory import MemoryStore
from tidesync.transports.http import HttpTransport
from tidesync.transports.http.transport import Protocol

AGAIN = 0.02
"""Seconds until somebody who was not answered tries again."""
OWN = 60
"""Records that a writer has; then it changes those."""


class Client(threading.Thread):
    """Works in rounds while it may; `wrong` tells what it saw that must not be. `settle` finishes what it began."""

    def __init__(self, name: str, urls: Sequence[str], seed: str) -> None:
        super().__init__(name=name, daemon=True)
        self.urls, self.chance = urls, random.Random(f"{seed} {name}")
        self.running, self.resting, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.wrong: list[str] = []
        self.refused = 0

    def run(self) -> None:
        while not self.ended.is_set():
            if not self.running.is_set():
                self.resting.set()
                _ = self.running.wait(AGAIN)
                continue
            self.resting.clear()
            try:
                self.work()
            except Exception as error:
                self.wrong.append(f"{self.name}: {type(error).__name__}: {error}")
                self.ended.set()
        self.resting.set()

    def pause(self) -> None:
        """Begin no more; returns when nothing is under way."""
        self.running.clear()
        _ = self.resting.wait()

    def resume(self) -> None:
        self.resting.clear()
        self.running.set()

    def work(self) -> None:
        """A little of what it does; who is not answered waits."""
        raise NotImplementedError

    def settle(self) -> None:
        """Finish, now that nobody disturbs."""

    def close(self) -> None:
        """End the thread, and the connections."""
        self.ended.set()
        if self.is_alive():
            self.join()
        self.disconnect()

    def disconnect(self) -> None:
        """Close the connections."""

    @property
    def url(self) -> str:
        return self.chance.choice(self.urls)


class Device(Client):
    """A `SyncContext` that writes and pushes, and now and then pulls; it knows what it wrote."""

    def __init__(self, name: str, urls: Sequence[str], seed: str, protocol: Protocol) -> None:
        super().__init__(name, urls, seed)
        self.transport = HttpTransport(urls[0], protocol=protocol, retries=0, timeout=15)
        self.ctx = SyncContext(MemoryStore(), self.transport, [NOTES], page_size=50)
        self.truth: dict[str, dict[str, Any]] = {}
        self.count = 0
        self.is_open = False

    def work(self) -> None:
        if not self.is_open:
            try:
                _ = self.ctx.open()
                self.is_open = True
            except TransportError:
                time.sleep(AGAIN)
                return
        for _ in range(self.chance.randrange(1, 4)):
            self.edit()
        if self.chance.random() < 0.7:
            self.push()
        if self.chance.random() < 0.05:
            try:
                _ = self.ctx.pull(NOTES, name="all", push="none")
            except TransportError:
                time.sleep(AGAIN)

    def edit(self) -> None:
        self.count += 1
        die = self.chance.random()
        if not self.truth or (die < 0.5 and len(self.truth) < OWN):
            note = {
                "id": f"{self.name}-{self.count}",
                "n": self.count,
                "text": "x" * self.chance.randrange(200),
            }
            _ = self.ctx[NOTES].insert(note)
            self.truth[note["id"]] = note
        elif die < 0.93:
            id = self.chance.choice(list(self.truth))
            _ = self.ctx[NOTES].update(id, n=self.count)
            self.truth[id] = {**self.truth[id], "n": self.count}
        else:
            id = self.chance.choice(list(self.truth))
            self.ctx[NOTES].delete(id)
            del self.truth[id]

    def push(self) -> bool:
        try:
            report = self.ctx.push()
        except PushFailed as failed:
            if failed.report.errors:
                self.wrong += [f"{self.name}: {error.operation}: {error.message}" for error in failed.errors]
            self.refused += 1
            time.sleep(failed.report.retry_after or AGAIN)
            return False
        return report.pending == 0

    def settle(self) -> None:
        if self.is_open and not any(self.push() for _ in range(20)):
            self.wrong.append(f"{self.name}: its queue does not become empty")

    def disconnect(self) -> None:
        self.ctx.close()

    def faults(self, copies: dict[str, Record | Tombstone]) -> list[str]:
        """Where the file differs from what it wrote."""
        held = {
            id: {name: copy[name] for name in ("id", "n", "text")}
            for id, copy in copies.items()
            if id.startswith(f"{self.name}-") and not isinstance(copy, Tombstone)
        }
        return [] if held == self.truth else [f"{self.name} wrote {self.truth}\nand the file has {held}"]


class Curl(Client):
    """Plain requests of 3.0: it notes each write that was acknowledged, and each that may have been made."""

    def __init__(self, name: str, urls: Sequence[str], seed: str) -> None:
        super().__init__(name, urls, seed)
        self.http = httpx.Client(timeout=15, trust_env=False, verify=False)
        self.acknowledged: dict[str, list[tuple[str, int]]] = {}
        self.maybe: dict[str, list[int]] = {}
        self.gone: set[str] = set()
        self.count = 0

    def work(self) -> None:
        self.count += 1
        mine = [id for id in self.acknowledged if id not in self.gone]
        die = self.chance.random()
        body: dict[str, Any] = {"n": self.count}
        if not mine or (die < 0.5 and len(mine) < OWN):
            id = f"{self.name}-{self.count}"
            self.send("POST", "/tables/note", id, {"id": id, "text": "y", **body})
        elif die < 0.95:
            id = self.chance.choice(mine)
            method = self.chance.choice(("PATCH", "PUT"))
            self.send(method, f"/tables/note/{id}", id, body if method == "PATCH" else {"text": "z", **body})
        else:
            id = self.chance.choice(mine)
            self.gone.add(id)
            self.send("DELETE", f"/tables/note/{id}", id, None)

    def send(self, method: str, path: str, id: str, body: dict[str, Any] | None) -> None:
        """Send one write once: whoever is not answered does not know."""
        try:
            reply = self.http.request(method, self.url + path, json=body)
        except httpx.ConnectError:
            time.sleep(AGAIN)
            return
        except httpx.TransportError:
            self.maybe.setdefault(id, []).append(self.count)
            return
        if reply.status_code == 503:
            self.refused += 1
            time.sleep(float(reply.headers["Retry-After"]))
        elif reply.status_code not in (200, 201, 204):
            self.wrong.append(f"{self.name}: {method} {path} is {reply.status_code}: {reply.text}")
        elif body is not None:
            version = str(reply.json()["version"])
            self.acknowledged.setdefault(id, []).append((version, self.count))

    def disconnect(self) -> None:
        self.http.close()

    def faults(
        self, copies: dict[str, Record | Tombstone], history: dict[str, list[tuple[str, int]]]
    ) -> list[str]:
        """What was acknowledged and is not there, or is there and was never sent."""
        found: list[str] = []
        for id, writes in self.acknowledged.items():
            told = history.get(id, [])
            found += [f"{id}: {write} was acknowledged, and is lost" for write in writes if write not in told]
            sent = {n for _, n in writes} | set(self.maybe.get(id, ()))
            found += [f"{id}: {write} was never sent" for write in told if write[1] not in sent]
            if id not in self.gone and not isinstance(copies.get(id), dict):
                found.append(f"{id} is gone, and nobody deleted it")
        return found


class Follower(Client):
    """Keeps up with all that happens; `copies` are what it was told last."""

    def __init__(self, name: str, urls: Sequence[str], seed: str) -> None:
        super().__init__(name, urls, seed)
        self.copies: dict[str, Record | Tombstone] = {}
        self.pages = 0

    def work(self) -> None:
        try:
            _ = self.page()
        except (TransportError, httpx.TransportError):
            self.refused += 1
            time.sleep(AGAIN)

    def page(self) -> bool:
        """Read one page; whether there is more."""
        raise NotImplementedError

    def settle(self) -> None:
        while self.page():
            pass

    def note(self, id: str, copy: Record | Tombstone) -> None:
        """Nothing that it is told is older than what it knows."""
        known = self.copies.get(id)
        if known is not None and _number(copy) < _number(known):
            self.wrong.append(f"{self.name}: {id} goes back from {known} to {copy}")
        self.copies[id] = copy

    def faults(self, copies: dict[str, Record | Tombstone]) -> list[str]:
        """Where the file differs from what it was told."""
        ids = sorted(self.copies.keys() | copies.keys())
        return [
            f"{self.name}: {id} is {copies.get(id)} in the file, and was told as {self.copies.get(id)}"
            for id in ids
            if self.known(copies.get(id)) != self.known(self.copies.get(id))
        ]

    def known(self, copy: Record | Tombstone | None) -> object:
        """A copy, as far as the follower is told of it."""
        return copy


def _number(copy: Record | Tombstone) -> int:
    version = copy.version if isinstance(copy, Tombstone) else copy["version"]
    return int(str(version).partition(".")[0])


class Native(Follower):
    """By the delta cursor of tidesync's own protocol."""

    def __init__(self, name: str, urls: Sequence[str], seed: str) -> None:
        super().__init__(name, urls, seed)
        self.transports = [HttpTransport(url, protocol="tidesync", retries=0, timeout=15) for url in urls]
        self.cursor: Any = None

    def disconnect(self) -> None:
        for transport in self.transports:
            transport.close()

    def page(self) -> bool:
        transport = self.chance.choice(self.transports)
        _ = transport.open([NOTES.schema])
        request = PullRequest(query=Query("note"), cursor=self.cursor, limit=self.chance.randrange(1, 60))
        try:
            page = transport.pull(request)
        except ResyncRequired as error:
            self.wrong.append(f"{self.name}: {error}")
            self.cursor = None
            return True
        for record in page.records:
            self.note(str(record["id"]), record)
        for id, tombstone in page.tombstones.items():
            self.note(id, tombstone)
        self.cursor, self.pages = page.cursor, self.pages + 1
        return page.more


class Rest(Follower):
    """By `updatedAt` on 3.0: from the last moment that it was told on, along the links of the pages."""

    def __init__(self, name: str, urls: Sequence[str], seed: str) -> None:
        super().__init__(name, urls, seed)
        self.http = httpx.Client(timeout=15, trust_env=False, verify=False)
        self.since = "1970-01-01T00:00:00.000Z"
        self.link = ""

    def disconnect(self) -> None:
        self.http.close()

    def page(self) -> bool:
        if not self.link:
            self.link = "/tables/note?" + str(
                httpx.QueryParams(
                    {
                        "$filter": f"updatedAt ge cast({self.since},Edm.DateTimeOffset)",
                        "$orderby": "updatedAt,id",
                        "$top": "100000",
                        "__includedeleted": "true",
                    }
                )
            )
        reply = self.http.get(
            self.url + self.link, headers={"X-ZUMO-Options": "nextlink:path", "ZUMO-API-VERSION": "3.0.0"}
        )
        if reply.status_code == 503:
            self.refused += 1
            time.sleep(float(reply.headers["Retry-After"]))
            return True
        if reply.status_code != 200:
            self.wrong.append(f"{self.name}: {self.link} is {reply.status_code}: {reply.text}")
            return False
        told = reply.json()
        for row in told["items"]:
            version = str(row["version"])
            self.note(row["id"], Tombstone(version) if row["deleted"] else row)
            self.since = max(self.since, row["updatedAt"])
        self.link, self.pages = told.get("nextLink", ""), self.pages + 1
        return self.link != ""

    def known(self, copy: Record | Tombstone | None) -> object:
        if isinstance(copy, dict):
            return {name: copy[name] for name in ("id", "n", "text", "version")}
        return copy
