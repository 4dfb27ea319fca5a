"""Two services on one SQLite file, both written through at once.

`python -m tests.attacks.service.two folder seed seconds`. Besides the clients that a killed service has, three add to
one number through either process, each on what it read, and one sends every batch through both at the same time.
Followers change the process between pages.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.attacks.service.clients import AGAIN, Client, Curl, Device, Native, Rest
from tests.attacks.service.kills import compared
from tests.attacks.service.processes import NOTES, Kept, Service, begin, free_port
from tidesync.contracts.transport import Absent, Applied, Change
from tidesync.transports.http import HttpTransport

SHARED = "shared"


class Counter(Client):
    """Adds one to the number of a record that others add to as well, under If-Match."""

    def __init__(self, name: str, urls: Sequence[str], seed: str) -> None:
        super().__init__(name, urls, seed)
        self.http = httpx.Client(timeout=30, trust_env=False, verify=False)
        self.added = self.lost = 0

    def disconnect(self) -> None:
        self.http.close()

    def work(self) -> None:
        read = self.http.get(f"{self.url}/tables/note/{SHARED}")
        if read.status_code == 404:
            _ = self.http.post(f"{self.url}/tables/note", json={"id": SHARED, "n": 0, "text": ""})
            return
        wanted = {"n": read.json()["n"] + 1}
        tag = {"If-Match": read.headers["ETag"]}
        reply = self.http.patch(f"{self.url}/tables/note/{SHARED}", json=wanted, headers=tag)
        if reply.status_code == 200:
            self.added += 1
        elif reply.status_code == 412:
            self.lost += 1
        elif reply.status_code == 503:
            self.refused += 1
            time.sleep(float(reply.headers["Retry-After"]))
        else:
            self.wrong.append(f"{self.name}: {reply.status_code}: {reply.text}")


class Twin(Client):
    """Sends each batch through both processes at once: its operations have one effect each, and both tell of it."""

    def __init__(self, name: str, urls: Sequence[str], seed: str) -> None:
        super().__init__(name, urls, seed)
        self.transports = [HttpTransport(url, protocol="tidesync") for url in urls]
        for transport in self.transports:
            _ = transport.open([NOTES.schema])
        self.pool = ThreadPoolExecutor(len(urls))
        self.count = 0

    def disconnect(self) -> None:
        self.pool.shutdown()
        for transport in self.transports:
            transport.close()

    def work(self) -> None:
        batch: list[Change] = []
        for _ in range(self.chance.randrange(1, 6)):
            self.count += 1
            id = f"{self.name}-{self.count}"
            record = {"id": id, "n": self.count, "text": "twice"}
            change = Change(
                id=f"op-{id}", table="note", record_id=id, kind="insert", record=record, fields=("n", "text"),
                expected=Absent(),
            )  # fmt: skip
            batch.append(change)
        told = [each.result() for each in [self.pool.submit(each.push, batch) for each in self.transports]]
        for change, outcomes in zip(batch, zip(*told, strict=True), strict=True):
            versions = {each.version for each in outcomes if isinstance(each, Applied)}
            if len(versions) != 1 or not all(isinstance(each, Applied) for each in outcomes):
                self.wrong.append(f"{self.name}: {change.id} is {outcomes}")
        time.sleep(AGAIN)


def main(folder: str, seed: str, seconds: str) -> None:
    chance = random.Random(f"{seed} two")
    file = Path(folder) / "kept.db"
    begin(file)
    services = [Service(file, free_port(chance)) for _ in range(2)]
    urls = [service.url for service in services]
    clients: list[Client] = []
    try:
        for service in services:
            service.start()
        clients += [
            Device(name, urls[:1], seed, protocol) for name, protocol in (("two", "2.0"), ("own", "tidesync"))
        ]
        clients += [
            Device(name, urls[1:], seed, protocol) for name, protocol in (("three", "3.0"), ("auto", "auto"))
        ]
        counters = [Counter(name, urls, seed) for name in ("one", "more", "else")]
        clients += [*counters, Curl("curl", urls, seed), Twin("twin", urls, seed)]
        clients += [Native("delta", urls, seed), Rest("pages", urls, seed)]
        for client in clients:
            client.start()
            client.resume()
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            time.sleep(min(2.0, max(0.0, until - time.monotonic())))
            compared(file, clients)
    except BaseException:
        print(f"seed {seed}", file=sys.stderr)
        raise
    finally:
        for client in clients:
            client.close()
        for service in services:
            service.stop()
    kept = Kept(file)
    (last,) = [told[-1][1] for id, told in kept.history.items() if id == SHARED]
    if last != sum(counter.added for counter in counters):
        raise AssertionError(f"seed {seed}: {last} is not the sum of {[each.added for each in counters]}")
    lost, refused = sum(each.lost for each in counters), sum(client.refused for client in clients)
    print(
        f"{kept.effects} writes, {kept.remembered} of them operations, {last} added and {lost} lost races, "
        f"{refused} asked to come again, {len(kept.copies)} records"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
