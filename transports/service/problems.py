"""What is answered instead of a result: one body for every protocol, without a word of the program's inside."""

from __future__ import annotations

import http
from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from tidesync.records import Json


class Problem(Exception):
    """A request that is not done; it becomes a reply with this status.

    `status` is one of HTTP's, from 400. `code` is for programs, `detail` for people. `position` counts characters
    into the text that was wrong, from 0. `headers` go with the reply.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        position: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.code, self.detail = status, code, detail
        self.position, self.headers = position, dict(headers or {})
        super().__init__(detail)

    def reply(self) -> Response:
        """A problem document (RFC 9457); `error` is where clients of 2.0 look for the text."""
        body: dict[str, Json] = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "error": self.detail,
        }
        if self.position is not None:
            body["position"] = self.position
        return JSONResponse(body, self.status, headers=self.headers, media_type="application/problem+json")
