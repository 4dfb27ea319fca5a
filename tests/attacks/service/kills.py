"""A service that is killed at random moments while six clients write and two follow.

`python -m tests.attacks.service.kills folder seed rounds`: in each round `tidesync serve` runs on one SQLite file for
a moment, is killed, and started again at the same port. Every so often all come to rest, and the file is compared
with what everybody knows.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.attacks.service.clients import Client, Curl, Device, Follower, Native, Rest
from tests.attacks.service.processes import Kept, Service, begin, free_port

BETWEEN = 20
"""Rounds between two comparisons."""
OPERATORS = ("own", "auto", "twin")
"""Who speaks tidesync's own protocol: each of their writes is an operation with an id."""


def clients_of(urls: Sequence[str], seed: str) -> list[Client]:
    """Four devices, two that write plainly, and two that follow."""
    return [
        Device("two", urls, seed, "2.0"),
        Device("three", urls, seed, "3.0"),
        Device("own", urls, seed, "tidesync"),
        Device("auto", urls, seed, "auto"),
        Curl("curl", urls, seed),
        Native("delta", urls, seed),
        Rest("pages", urls, seed),
    ]


def faults(file: Path, clients: Sequence[Client]) -> list[str]:
    """All that is not as it must be, now that everybody rests."""
    kept = Kept(file)
    found = [each for client in clients for each in client.wrong] + kept.faults()
    own = 0
    for client in clients:
        if isinstance(client, Curl):
            found += client.faults(kept.copies, kept.history)
        elif isinstance(client, Device | Follower):
            found += client.faults(kept.copies)
        if client.name in OPERATORS:
            own += sum(len(told) for id, told in kept.history.items() if id.startswith(f"{client.name}-"))
    if own != kept.remembered:
        found.append(
            f"{kept.remembered} operations of tidesync's protocol are remembered, and had {own} effects"
        )
    return found


def compared(file: Path, clients: Sequence[Client]) -> None:
    """Let everybody finish, compare, and let them go on."""
    for client in clients:
        client.pause()
    writers = [client for client in clients if not isinstance(client, Follower)]
    for client in (*writers, *(client for client in clients if client not in writers)):
        client.settle()
    found = faults(file, clients)
    if found:
        raise AssertionError("\n".join(found[:20]))
    for client in clients:
        client.resume()


def main(folder: str, seed: str, rounds: str) -> None:
    chance = random.Random(f"{seed} kills")
    file = Path(folder) / "kept.db"
    begin(file)
    service = Service(file, free_port(chance))
    clients = clients_of([service.url], seed)
    for client in clients:
        client.start()
        client.resume()
    try:
        for number in range(1, int(rounds) + 1):
            # One in ten does not even get ready.
            early = chance.random() < 0.1
            service.start(wait=not early)
            time.sleep(
                chance.uniform(0.0, 0.8) if early else chance.choice((0.1, 0.3, 1.0)) * chance.random()
            )
            service.kill()
            if number % BETWEEN == 0 or number == int(rounds):
                service.start()
                compared(file, clients)
                service.stop()
    except BaseException:
        print(f"seed {seed}", file=sys.stderr)
        raise
    finally:
        for client in clients:
            client.close()
        service.stop()
    kept = Kept(file)
    curl = next(client for client in clients if isinstance(client, Curl))
    pages = sum(client.pages for client in clients if isinstance(client, Follower))
    acknowledged = sum(map(len, curl.acknowledged.values()))
    doubts = sum(map(len, curl.maybe.values()))
    print(
        f"{rounds} kills, {kept.effects} writes, {kept.remembered} of them operations, {acknowledged} plain ones "
        f"acknowledged and {doubts} in doubt, {len(kept.copies)} records, {pages} pages followed"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
