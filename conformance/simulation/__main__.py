"""`python -m tidesync.conformance.simulation run | soak | trace PROFILE SEED | shrink PROFILE SEED`."""

from __future__ import annotations

from tidesync.conformance.simulation.command import main

raise SystemExit(main())
