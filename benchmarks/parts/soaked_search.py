"""A long search through Ray whose workers answer at once, with what its processes hold while it runs."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from parts.idle_search import Meter, run_through_ray
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.study_spec import StudySpec

KINDS = {"driver": "", "writer": "visiontune.tracking", "workers": "ray::IdleWorker"}
"""What a process's command line holds; the driver is this one."""


@dataclass
class Samples:
    """By kind of process rows of seconds, megabytes, open files and threads of all of its processes together, and their number."""

    rows: Mapping[str, list[tuple[float, float, int, int, int]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def take(self, at_s: float) -> None:
        """Of this process and all below it."""
        own = psutil.Process()
        below = {one: " ".join(_asked(one.cmdline) or ()) for one in own.children(recursive=True)}
        for kind, words in KINDS.items():
            found = [one for one, line in below.items() if words in line] if words else [own]
            mb = sum(memory.rss / 1e6 for one in found if (memory := _asked(one.memory_info)))
            files = sum(_asked(one.num_fds) or 0 for one in found)
            self.rows[kind].append((at_s, mb, files, sum(_asked(one.num_threads) or 0 for one in found), len(found)))

    def table(self) -> dict[str, dict[str, float]]:
        """After the first third, in which caches fill: means, and by how much each rises in an hour."""
        return {kind: _row(rows[len(rows) // 3 :]) for kind, rows in self.rows.items() if len(rows) > 2}


def _asked(ask: Any) -> Any:
    try:
        return ask()
    except psutil.Error:  # it has ended
        return None


def _row(rows: Sequence[tuple[float, float, int, int, int]]) -> dict[str, float]:
    times, mb, files, threads, nums = (list(map(float, column)) for column in zip(*rows, strict=True))
    found = {"processes": statistics.fmean(nums)}
    for name, values in (("mb", mb), ("files", files), ("threads", threads)):
        found |= {name: statistics.fmean(values), f"{name}_per_hour": 3600 * statistics.linear_regression(times, values).slope}
    return found


def soak(spec: StudySpec, studies: StudiesFolder, every_s: float) -> tuple[Samples, Meter]:
    """The whole search, looked at so often."""
    samples, meter, stop, started = Samples(), Meter([1]), threading.Event(), time.monotonic()

    def look() -> None:
        while not stop.wait(every_s):
            samples.take(time.monotonic() - started)

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        run_through_ray(spec, studies, meter)
    finally:
        stop.set()
        watch.join()
    return samples, meter
