"""One thread for each process: tests and what they start share two cores. Set before anything imports torch.

Modules and tests stay to the end: out of sight of the garbage collector, which went over 2 million objects with each of the product's
`gc.collect()` (0.2 to 0.5 s), and now and then of itself.

No test waits for the disk: what a power cut would take no test can see, and a killed process loses nothing that it wrote. Of a file of
simulated searches two thirds of the time were waits (29,000 of 5 ms). Tests of the waiting itself put their own in its place.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Hints are told as they are typed here: by the program's name, whether the environment is activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
gc.disable()
os.fsync = lambda _: None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


def pytest_collection_finish() -> None:
    gc.freeze()  # with what is garbage by now: to find it took longer than it is worth
    gc.enable()
