"""How much a service takes from whom."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from tidesync.errors import ConfigurationError


def _whole(lowest: int, highest: int) -> Callable[[Any, attrs.Attribute[int], object], None]:
    def check(_: Any, field: attrs.Attribute[int], value: object) -> None:
        if type(value) is not int or not lowest <= value <= highest:
            raise ConfigurationError(
                f"limits: {field.name} is a whole number from {lowest} to {highest}, not {value!r:.60}"
            )

    return check


def _positive(_: Any, field: attrs.Attribute[Any], value: object) -> None:
    if field.name == "rate" and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigurationError(f"limits: {field.name} is a number above 0, not {value!r:.60}")


@attrs.frozen(kw_only=True)
class Limits:
    """What one service allows.

    `body`: bytes of one record's request, decompressed (more are 413); `batch_body`: of a batch; `batch`: changes
    in one batch. `page`: records in a reply; `page_default`: where the client does not say. `filter`: characters of a
    filter, order or selection; `depth`: how deep an expression may nest (400). `concurrent`: requests that are worked
    on, those whose body is on its way not counted (more are 503); `rate`: requests a second by principal, None for
    any number, `burst`: how many at once (429). `patience`: seconds for a body to arrive (408), and for a client to
    take a part of the reply. A value that cannot be is a `ConfigurationError`.
    """

    body: int = attrs.field(default=1 << 20, validator=_whole(1, 1 << 30))
    batch_body: int = attrs.field(default=16 << 20, validator=_whole(1, 1 << 32))
    batch: int = attrs.field(default=1000, validator=_whole(1, 100_000))
    page: int = attrs.field(default=1000, validator=_whole(1, 100_000))
    page_default: int = attrs.field(default=100, validator=_whole(1, 100_000))
    filter: int = attrs.field(default=8192, validator=_whole(1, 1 << 20))
    depth: int = attrs.field(default=32, validator=_whole(1, 64))
    concurrent: int = attrs.field(default=100, validator=_whole(1, 100_000))
    rate: float | None = attrs.field(default=None, validator=_positive)
    burst: int = attrs.field(default=100, validator=_whole(1, 1_000_000))
    patience: float = attrs.field(default=30.0, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if self.page_default > self.page:
            raise ConfigurationError(
                f"limits: page_default is {self.page_default}, and page, the most there may be, {self.page}"
            )
