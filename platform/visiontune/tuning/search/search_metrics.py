"""Figures of a search for Prometheus, beside Ray's own on every node's metrics port: `deploy/grafana.json` draws them.

Ray puts `ray_` before each name. Ray's agent takes gauges from whatever process has them, here the driver's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from visiontune.tuning.records.snapshot import Snapshot

if TYPE_CHECKING:
    from ray.util.metrics import Gauge

EVERY_S = 5.0
GAUGES = {
    "visiontune_trials": ("trials of the study by what became of them", ("study", "state")),
    "visiontune_legs": ("legs that a worker has, and those that wait for machines", ("study", "state")),
    "visiontune_epochs": ("epochs that the study has spent", ("study",)),
    "visiontune_epochs_per_second": ("epochs that end, on average since the first leg", ("study",)),
    "visiontune_busy_share": ("share of the GPUs that are up (of the processors where trials get none) that legs hold", ("study",)),
    "visiontune_mlflow_lag": ("events that MLflow does not have yet", ("study",)),
    "visiontune_best": ("objective of the best trial so far", ("study",)),
}
"""By name: what it is, and its labels."""


class SearchMetrics:
    """Of one study; `num_unsent` counts what MLflow does not have yet."""

    def __init__(self, study: str, num_unsent: Callable[[], int]) -> None:
        self._study, self._num_unsent = study, num_unsent
        self._gauges: dict[str, Gauge] = {}
        self._told_s = float("-inf")

    def beside(self, show: Callable[[Snapshot], None]) -> Callable[[Snapshot], None]:
        """The same, and the gauges are set, now and then while Ray runs."""

        def tell(snapshot: Snapshot) -> None:
            show(snapshot)
            if time.monotonic() - self._told_s > EVERY_S and _is_ray_up():
                self._told_s = time.monotonic()
                self.set(snapshot)

        return tell

    def set(self, snapshot: Snapshot) -> None:
        """All gauges; there is none for a best value before there is one."""
        for state, number in trials_by_state(snapshot).items():
            self._set("visiontune_trials", number, state=state)
        for state, number in (("running", snapshot.num_running), ("staged", snapshot.num_staged)):
            self._set("visiontune_legs", number, state=state)
        self._set("visiontune_epochs", snapshot.spent.get("epochs", 0.0))
        self._set("visiontune_epochs_per_second", snapshot.epochs_per_minute / 60)
        self._set("visiontune_busy_share", snapshot.busy_share)
        with suppress(OSError):  # the outbox can't be read: a search does not end of its figures, nor do the others go
            self._set("visiontune_mlflow_lag", self._num_unsent())
        if snapshot.best is not None and snapshot.best.value is not None:
            self._set("visiontune_best", snapshot.best.value)

    def _set(self, name: str, value: float, **labels: str) -> None:
        if name not in self._gauges:
            from ray.util.metrics import Gauge

            said, keys = GAUGES[name]
            self._gauges[name] = Gauge(name, said, keys)
        self._gauges[name].set(value, {"study": self._study, **labels})


def _is_ray_up() -> bool:
    """Ray is not imported for it, nor is it waited for where another thread does that now."""
    return bool(getattr(sys.modules.get("ray"), "is_initialized", bool)())


def trials_by_state(snapshot: Snapshot) -> dict[str, int]:
    """Of those that were begun; what has not ended and does not wait is on a worker, or on its way to one."""
    ended = {"complete": snapshot.num_done, "pruned": snapshot.num_pruned, "failed": snapshot.num_failed, "waiting": snapshot.num_waiting}
    return {**ended, "running": max(0, snapshot.num_begun - sum(ended.values()))}
