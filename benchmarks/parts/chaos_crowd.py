"""As many trials at once as the memory takes, over nodes some of which are killed: workers import no torch (crowded_search.py)."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from parts.chaos_cluster import Cluster
from parts.chaos_ground import Faults, Ground, Row, blamed, end_of
from parts.killable_search import Search, wait_for

NUM_NODES = 8
START_S = 1_200.0
"""In which all workers have begun: each imports for 4 s of a processor."""
PROGRAM = Path(__file__).with_name("crowded_search.py")


def crowd(ground: Ground, times: int) -> Row:
    """All trials are at work at once when nodes of NUM_NODES are killed -9, and nothing joins for them."""
    cluster, num_each = Cluster(ground, 0), -(-ground.num_trials // NUM_NODES)
    for _ in range(NUM_NODES):
        cluster.join([f"--num-cpus={num_each}"])
    budget = {"min_epochs": ground.max_epochs, "max_epochs": ground.max_epochs}
    sections = {"budget": budget, "trial_scheduler": {"name": "none"}}
    search = ground.search(["--address", cluster.address], sections=sections, **cluster.env)
    search.command[:1] = [sys.executable, str(PROGRAM)]
    driver, faults, started_s = search.start(), Faults(search), time.monotonic()
    wait_for(lambda: driver.poll() is not None or num_at_work(search) >= ground.num_trials, START_S)
    print(f"{num_at_work(search)} at work after {time.monotonic() - started_s:.0f} s, {memory_left_gb():.1f} GB are left", flush=True)
    problems = [] if num_at_work(search) >= ground.num_trials else [f"only {num_at_work(search)} trials were at work at once"]
    while faults.times < times and driver.poll() is None:
        cluster.nodes.pop(0).kill()
        faults.note()
    row = faults.row(ground.num_trials, *end_of(search, driver, START_S), *problems, *blamed(search))
    row.repeated = 0  # they keep no checkpoints, and go on as if they did
    return row


def num_at_work(search: Search) -> int:
    """The most at a time, as its driver says."""
    return max(map(int, re.findall(r"running=(\d+)", search.said())), default=0)


def memory_left_gb() -> float:
    """Of this machine."""
    return int(re.findall(r"MemAvailable: +([0-9]+)", Path("/proc/meminfo").read_text())[0]) / 1e6
