"""How much a service takes from whom."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """What one service allows.

    `body`: bytes of one record's request, decompressed; `batch_body`: of a batch; `batch`: changes in one batch.
    `page`: records in a reply; `page_default`: where the client does not say. `filter`: characters of a filter or
    order; `depth`: how deep an expression or JSON may nest. `concurrent`: requests under way (more are 503);
    `rate`: requests a second by principal, None for any number, `burst`: how many at once. `patience`: seconds
    for a body to arrive, and for a client to take a part of the reply.
    """

    body: int = 1 << 20
    batch_body: int = 16 << 20
    batch: int = 1000
    page: int = 1000
    page_default: int = 100
    filter: int = 8192
    depth: int = 32
    concurrent: int = 100
    rate: float | None = None
    burst: int = 100
    patience: float = 30.0
