"""`python -m tests.simulation run | soak | trace PROFILE SEED | shrink PROFILE SEED`."""

from __future__ import annotations

from tests.simulation.command import main

raise SystemExit(main())
