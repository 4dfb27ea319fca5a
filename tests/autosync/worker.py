"""A device in a process of its own: `worker.py store remote name count`; both are SQLite files."""

import sys
import time

from tests.api.support import NOTES
from tests.api.worker import device


def main(store: str, remote: str, name: str, count: str) -> None:
    """Insert so many notes, with autosync on, until all of them are sent."""
    ctx, _ = device(store, remote)
    with ctx, ctx.autosync([NOTES], every=0.2, quiet=0.005, within=0.02, backoff=0.01, max_backoff=0.1):
        for index in range(int(count)):
            ctx[NOTES].insert({"id": f"{name}-{index}"})
            ctx[NOTES].update(f"{name}-{index}", stars=index)
            time.sleep(0.003)
        while ctx.pending_operations:
            time.sleep(0.01)


if __name__ == "__main__":
    main(*sys.argv[1:])
