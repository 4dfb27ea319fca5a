"""The long forms: `python -m tests.attacks.service.soak [seed]`.

Two hundred kills, two minutes of two services on one file, and twenty thousand requests that nobody should send.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.attacks.service import fuzz, kills, two

SEED = "20261120"
LONG = 200, 120, 20_000
Attack: TypeAlias = Callable[[str, str, str], None]
ATTACKS: Sequence[tuple[str, Attack]] = (("kills", kills.main), ("two", two.main), ("fuzz", fuzz.main))


def main(seed: str = SEED) -> None:
    for (name, attack), length in zip(ATTACKS, LONG, strict=True):
        with tempfile.TemporaryDirectory(prefix="tidesync-") as folder:
            print(f"{name}, seed {seed}:", flush=True)
            attack(str(Path(folder)), seed, str(length))


if __name__ == "__main__":
    main(*sys.argv[1:])
