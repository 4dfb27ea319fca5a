"""Reading many files of a place, in order: several at once, where each of them is a request."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tidesync.transports.files.place import Place


def read_all(place: Place, names: Sequence[str]) -> Iterator[bytes | None]:
    """What these files hold, in their order, as `Place.read` tells it; the next ones are read meanwhile.

    Raises what the first one raises that fails, in its turn.
    """
    if place.at_once == 1 or len(names) <= 1:
        yield from map(place.read, names)
        return
    readers = ThreadPoolExecutor(place.at_once, thread_name_prefix="tidesync-reading")
    try:
        under_way: deque[Future[bytes | None]] = deque()
        for name in names:
            under_way.append(readers.submit(place.read, name))
            if len(under_way) == place.at_once:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        readers.shutdown(wait=False, cancel_futures=True)
