"""How many processors this process may use: of those that it is bound to, as many as the quotas of its cgroups allow.

A container with two processors of a machine with 64 sees all 64; what starts 64 threads there is stopped for most of each tenth of a
second. Python knows of the binding alone (os.process_cpu_count of 3.13 too).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def num_cpus() -> int:
    """At least 1; a part of one does not count, as Ray has it."""
    return max(1, int(min([len(os.sched_getaffinity(0)), *quotas()])))


def quotas(of_process: Path = Path("/proc/self")) -> Iterator[float]:
    """The quota of each cgroup that this process is in and of all above it, in processors, of version 1 and 2; none that can't be read."""
    try:
        mounts = [line.split() for line in (of_process / "mountinfo").read_text().splitlines()]
        groups = [line.split(":", 2) for line in (of_process / "cgroup").read_text().splitlines()]
    except OSError:
        return
    for _, controllers, group in groups:
        for mount in mounts:
            kind, options = mount[mount.index("-") + 1], mount[-1].split(",")
            is_of_it = kind == "cgroup2" if not controllers else kind == "cgroup" and "cpu" in controllers.split(",") and "cpu" in options
            if is_of_it:
                yield from filter(None, map(_quota, _folders(Path(mount[4]), mount[3], group)))


def _folders(mount: Path, root: str, group: str) -> Iterator[Path]:
    """Of the group and those above it; a container may see its own as the mount, whatever it is called outside."""
    name = group.removeprefix(root.rstrip("/")).strip("/")
    below = mount / name if ".." not in name else mount
    yield below
    while below != mount:
        below = below.parent
        yield below


def _quota(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
