"""moto's S3 server on loopback, in a process of its own.

It looks whether a file is there, and then writes it, with nothing that keeps two threads apart. `If-None-Match: *` has
to hold among writers at the same time, as it does on S3, so requests are let in one by one here; connections are kept.
"""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any, Self

from obstore.store import S3Store

ROOT = Path(__file__).parents[3]
_FILL = "/-fill/"


class S3Server:
    """A server that holds any number of buckets in memory; it goes with the `with` block, and with the tests."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._numbers = count(1)
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{json.loads(self._process.stdout.readline())}"
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def new_bucket(self) -> str:
        """The name of a bucket that is new and empty."""
        name = f"bucket-{next(self._numbers)}"
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{name}", method="PUT"), timeout=30):
            return name

    def put(self, path: str, content: bytes) -> None:
        """Write a file as any other program may, whatever its name."""
        request = urllib.request.Request(f"{self.url}/{path}", data=content, method="PUT")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def fill(self, bucket: str, folder: str, files: int) -> None:
        """Make this many files in a folder, "00001" and so on; much faster than through the door."""
        request = urllib.request.Request(f"{self.url}{_FILL}{bucket}/{folder}/{files}", method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def options(self, url: str = "") -> dict[str, Any]:
        """What obstore has to be told to reach it, or what stands at another address before it."""
        return {
            "endpoint": url or self.url,
            "region": "us-east-1",
            "access_key_id": "an-access-key",
            "secret_access_key": "a-secret-key",
            "client_options": {"allow_http": True},
        }

    def store(self, bucket: str, prefix: str, url: str = "") -> S3Store:
        """A store of obstore's without retries."""
        return S3Store(bucket, prefix=prefix, retry_config={"max_retries": 0}, **self.options(url))


def _fill(path: str) -> None:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    where, _, files = path.removeprefix(_FILL).rpartition("/")
    bucket, _, folder = where.partition("/")
    for number in range(1, int(files) + 1):
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, f"{folder}/{number:05}", b".")


def _main() -> None:
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        protocol_version = "HTTP/1.1"  # a connection lasts for many requests

        def log(self, type: str, message: str, *args: object) -> None:
            """Say nothing."""

    application = create_backend_app("s3")  # nothing has to be guessed from hosts and signatures
    turn = threading.Lock()

    def one_by_one(environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
        with turn:
            if environ["PATH_INFO"].startswith(_FILL):
                _fill(environ["PATH_INFO"])
                respond("200 OK", [("Content-Length", "0")])
                return []
            return list(application(environ, respond))

    server = make_server("127.0.0.1", 0, one_by_one, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps(server.server_port), flush=True)
    sys.stdin.read()  # until the tests are gone
    os._exit(0)


if __name__ == "__main__":
    _main()
