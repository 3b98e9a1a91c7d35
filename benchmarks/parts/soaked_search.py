"""A long search through Ray whose workers train nothing, with what its processes hold while it runs."""

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
from visiontune.spec.space.study_spec import StudySpec

KINDS = {"driver": "", "writer": "visiontune.tracking", "workers": "ray::IdleWorker"}
"""What a process's command line holds; the driver is this one."""


@dataclass
class Samples:
    """By kind of process rows of seconds, megabytes, open files and threads of one of its processes on average, and their number."""

    rows: Mapping[str, list[tuple[float, float, float, float, int]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def take(self, at_s: float) -> None:
        """Of this process and all below it."""
        own = psutil.Process()
        below = {one: " ".join(_asked(one.cmdline) or ()) for one in own.children(recursive=True)}
        for kind, words in KINDS.items():
            looked = [_looked(one) for one in ([one for one, line in below.items() if words in line] if words else [own])]
            if found := [one for one in looked if one is not None]:
                self.rows[kind].append((at_s, *(statistics.fmean(column) for column in zip(*found, strict=True)), len(found)))

    def table(self) -> dict[str, dict[str, float]]:
        """After the first third, in which caches fill, and while all of a kind are there: means, and by how much each rises in an hour."""
        return {kind: _row(rows[len(rows) // 3 :]) for kind, rows in self.rows.items() if len(rows) > 5}


def _looked(process: psutil.Process) -> tuple[float, float, float] | None:
    found = tuple(map(_asked, (process.memory_info, process.num_fds, process.num_threads)))
    return None if None in found else (found[0].rss / 1e6, float(found[1]), float(found[2]))


def _asked(ask: Any) -> Any:
    try:
        return ask()
    except psutil.Error:  # it has ended
        return None


def _row(rows: Sequence[tuple[float, float, float, float, int]]) -> dict[str, float]:
    most = max(row[-1] for row in rows)
    times, mb, files, threads, _ = (list(column) for column in zip(*(row for row in rows if row[-1] == most), strict=True))
    found = {"processes": float(most)}
    for name, values in (("mb", mb), ("files", files), ("threads", threads)):
        found |= {name: statistics.fmean(values), f"{name}_per_hour": 3600 * statistics.linear_regression(times, values).slope}
    return found


def soak(spec: StudySpec, studies: StudiesFolder, every_s: float, epoch_s: float) -> tuple[Samples, Meter]:
    """The whole search, looked at so often."""
    samples, meter, stop, started = Samples(), Meter([1]), threading.Event(), time.monotonic()

    def look() -> None:
        while not stop.wait(every_s):
            samples.take(time.monotonic() - started)

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        run_through_ray(spec, studies, meter, epoch_s)
    finally:
        stop.set()
        watch.join()
    return samples, meter
