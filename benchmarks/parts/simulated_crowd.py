"""Many legs at once over many machines, on the simulator's made clock: what all of a driver but Ray takes for a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parts.loaded_search import loaded_spec
from parts.simulated_cluster import Cluster
from parts.simulated_machine import Machine

CROWDS = ((200, 8), (1_000, 125), (1_000, 1_000))
"""Legs at once, and machines."""


class _Timed(Cluster):
    """Counts seconds of the processor in what a driver does: new legs, reports, where legs may go, which machines there are."""

    cpu_s = 0.0
    num_reports = 0

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **more: Any) -> Any:
            started = time.process_time()
            try:
                return call(*args, **more)
            finally:
                self.cpu_s += time.process_time() - started

        return timed

    def _drive(self, run: Any, folder: Any, most_s: float) -> None:
        report = self._timed(run.report)

        def counted(*args: Any) -> Any:
            self.num_reports += 1
            return report(*args)

        run.report, run.next_leg = counted, self._timed(run.next_leg)
        super()._drive(run, folder, most_s)

    def _look(self, run: Any) -> None:
        placement = run.out.placement
        if "see" not in vars(placement):
            placement.see, placement.shunned = (self._timed(call) for call in (placement.see, placement.shunned))
        super()._look(run)


def crowd(num_at_once: int, num_machines: int, folder: Path) -> dict[str, float]:
    """A search of twice as many random trials as are out at once, over a journal on the disk."""
    cluster = _Timed([Machine(f"node{number}", num_at_once // num_machines) for number in range(num_machines)])
    num_trials = 2 * num_at_once
    run, storage = cluster.run(loaded_spec(num_trials, "random"), folder)
    assert run.is_finished and not run.fatal, run.fatal
    counts = {"lost": num_trials - len(storage.trials()), "repeated": cluster.repeated}
    report_ms = 1e3 * cluster.cpu_s / cluster.num_reports
    return {"at_once": cluster.most_out, "report_ms": report_ms, "idle_slot_s": cluster.idle_slot_s, **counts}
