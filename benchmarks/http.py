"""Pushing and pulling over HTTP, against the least server that could be called one, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import Result, compared, timed
from benchmarks.world import STAMP, note, notes
from tidesync import SyncContext
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http import HttpTransport

CHANGES, RECORDS, CONCURRENCY = 500, 5000, 4
SERVER = """
import asyncio, json, sys
stamp = "2026-01-01T00:00:00.000Z"
rows = [json.dumps({"id": f"{n:032x}", "title": f"title {n}", "done": False, "n": n, "body": "b" * 100,
    "createdAt": stamp, "updatedAt": stamp, "version": f"v{n}", "deleted": False}) for n in range(int(sys.argv[1]))]
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
            lines = head.lower().split("\\r\\n")
            length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length")), 0)
            body = await reader.readexactly(length)
            if head.startswith("POST"):
                sent = {**json.loads(body), "version": "v1", "createdAt": stamp, "updatedAt": stamp, "deleted": False}
                answer, status = json.dumps(sent), "201 Created"
            else:
                import urllib.parse
                asked = urllib.parse.parse_qs(urllib.parse.urlsplit(head.split(" ")[1]).query)
                top, skip = int(asked.get("$top", ["50"])[0]), int(asked.get("$skip", ["0"])[0])
                if "id gt" in asked.get("$filter", [""])[0]:
                    last = asked["$filter"][0].rpartition("id gt '")[2][:32]
                    skip = int(last, 16) + 1
                page = rows[skip:skip + top]
                answer, status = "[" + ",".join(page) + "]", "200 OK"
                if "$inlinecount" in asked:
                    answer = '{"results":' + answer + ',"count":' + str(len(rows)) + "}"
            data = answer.encode()
            writer.write((f"HTTP/1.1 {status}\\r\\nContent-Type: application/json\\r\\nETag: \\"v1\\"\\r\\n"
                f"Date: Fri, 20 Nov 2026 00:00:00 GMT\\r\\nContent-Length: {len(data)}\\r\\n\\r\\n").encode() + data)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def _server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(RECORDS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def requests() -> Iterator[Result]:
    """Push of inserts, four requests at once; pull of pages of 1000."""
    with _server() as url:
        yield compared(
            "push over HTTP 2.0", CHANGES, CHANGES, lambda: _push(url), lambda: _floor_push(url), rounds=3
        )
        yield compared(
            "pull over HTTP 2.0", RECORDS, RECORDS, lambda: _pull(url), lambda: _floor_pull(url), rounds=3
        )


@contextmanager
def _device(url: str) -> Iterator[tuple[SyncContext, Any]]:
    table = notes(declared=True)
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "bench.db", synchronous="normal")
        transport = HttpTransport(url, protocol="2.0", concurrency=CONCURRENCY)
        with SyncContext(store, transport, [table]) as context:
            yield context, table


def _push(url: str) -> float:
    with _device(url) as (context, table):
        _ = context[table].insert_many(note(n) for n in range(CHANGES))
        return timed(context.push)


def _floor_push(url: str) -> float:
    with httpx.Client(base_url=url) as client, ThreadPoolExecutor(CONCURRENCY) as pool:
        return timed(
            lambda: [
                r.json()
                for r in pool.map(lambda n: client.post("/tables/notes", json=note(n)), range(CHANGES))
            ]
        )


def _pull(url: str) -> float:
    with _device(url) as (context, table):
        return timed(lambda: context.pull(table))


def _floor_pull(url: str) -> float:
    with httpx.Client(base_url=url) as client:

        def work() -> None:
            kept: list[Any] = []
            for start in range(0, RECORDS, 1000):
                reply = client.get("/tables/notes", params={"$top": "1000", "$skip": str(start)})
                kept.extend({**found, "updated_at": STAMP} for found in reply.json())

        return timed(work)
