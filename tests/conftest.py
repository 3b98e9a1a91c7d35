"""One thread for each process: tests and what they start share two cores. Set before anything imports torch."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
