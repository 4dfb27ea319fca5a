"""What stands before every endpoint, in this order: room, who asks, how often; and what its failures become."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tidesync.errors import StoreBusy, StoreClosed, StoreError, StoreTimeout
from tidesync.transports.principal import ANYBODY, Principal
from tidesync.transports.service.access import Authorize, ask
from tidesync.transports.service.edge import TooSlow
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.log import Entry
from tidesync.transports.service.problems import Problem
from tidesync.transports.service.served import Endpoint, Service

_log: Final = logging.getLogger("tidesync.service")
PRINCIPALS: Final = 10_000
"""Names whose rates are known at once."""


class Rate:
    """A token bucket by name: `rate` requests a second, `burst` at once. Bounded: the longest unseen are forgotten."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str) -> float:
        """0.0 if a request may pass, and has taken its token; else the seconds until one may."""
        now = self.clock()
        tokens, since = self.buckets.get(name, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - since) * self.rate)
        passes = tokens >= 1
        self.buckets[name] = (tokens - passes, now)
        self.buckets.move_to_end(name)
        if len(self.buckets) > PRINCIPALS:
            _ = self.buckets.popitem(last=False)
        return 0.0 if passes else (1 - tokens) / self.rate


class Guard:
    """What all endpoints of one application share: the room there is, and who was how often here."""

    def __init__(self, service: Service, authorize: Authorize | None) -> None:
        limits: Limits = service.limits
        self.service, self.authorize = service, authorize
        self.rate = None if limits.rate is None else Rate(limits.rate, limits.burst)
        self.under_way = 0

    async def answer(self, endpoint: Endpoint, request: Request, entry: Entry) -> Response:
        """The endpoint's reply to somebody who is let in. Raises `Problem`."""
        principal = ANYBODY if self.authorize is None else await ask(self.authorize, request)
        if principal is None:
            detail = "this needs a token that is known here"
            raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
        entry.principal = principal.name
        self._check_rate(principal)
        return await endpoint(self.service, request, principal)

    def _check_rate(self, principal: Principal) -> None:
        seconds = 0.0 if self.rate is None else self.rate.wait(principal.name)
        if seconds:
            after = math.ceil(seconds)
            detail = f"too many requests: try again after {after} s"
            raise Problem(429, "too_many_requests", detail, headers={"Retry-After": str(after)})


class Guarded:
    """The ASGI application of one path: `endpoints` by method."""

    def __init__(self, guard: Guard, path: str, endpoints: Mapping[str, Endpoint]) -> None:
        self.guard, self.path, self.endpoints = guard, path, endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing is raised."""
        entry: Entry = scope["tidesync"]
        table = scope["path_params"].get("table")
        entry.route, entry.table = self.path, table if table in self.guard.service.authority.tables else None
        if self.guard.under_way >= self.guard.service.limits.concurrent:
            detail = "too many requests are under way: try again"
            problem = Problem(503, "busy", detail, headers={"Retry-After": "1"})
            await problem.reply()(scope, receive, send)
            return
        self.guard.under_way += 1
        try:
            response = await self._response(Request(scope, self._waiting(receive)), entry)
            if response is not None:
                await response(scope, receive, send)
        except (TooSlow, ClientDisconnect):
            return
        except Exception as error:  # noqa: BLE001  # the reply has begun: it can only be cut
            self._tell(entry, error)
        finally:
            self.guard.under_way -= 1

    def _waiting(self, receive: Receive) -> Receive:
        """Wait for parts of the body outside: who sends slowly holds nobody's place."""

        async def received() -> Message:
            self.guard.under_way -= 1
            try:
                return await receive()
            finally:
                self.guard.under_way += 1

        return received

    async def _response(self, request: Request, entry: Entry) -> Response | None:
        """A reply in any case; None if nobody is left to take it."""
        method = entry.method
        endpoint = self.endpoints.get(method) or self.endpoints["GET"]
        try:
            return await self.guard.answer(endpoint, request, entry)
        except Problem as problem:
            return problem.reply()
        except ClientDisconnect:
            return None
        except (StoreBusy, StoreClosed) as error:
            self._tell(entry, error)
            detail = "the store is busy: try again"
            return Problem(503, "busy", detail, headers={"Retry-After": "1"}).reply()
        except StoreTimeout as error:
            self._tell(entry, error)
            return Problem(400, "too_costly", "this takes too long to find: ask for less").reply()
        except Exception as error:  # noqa: BLE001  # whatever it is, its sender is told nothing of it
            self._tell(entry, error)
            return Problem(500, "failed", "the service failed: its log tells more").reply()

    def _tell(self, entry: Entry, error: Exception) -> None:
        """Log a failure: where it came from, but its text only if it is a store's, for others may quote records."""
        text = str(error) if isinstance(error, StoreError) else "its text is logged at DEBUG"
        places = "".join(traceback.format_tb(error.__traceback__))
        _log.error("%s %s failed: %s: %s\n%s", entry.method, self.path, type(error).__name__, text, places)
        _log.debug("%s %s failed", entry.method, self.path, exc_info=error)
