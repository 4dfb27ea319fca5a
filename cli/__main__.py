"""`python -m tidesync.cli` is the command `tidesync`."""

import sys

from tidesync.cli import main

sys.exit(main())
