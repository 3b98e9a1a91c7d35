"""How a search stands, for whoever looks at it: counts of trials, pace, time left, phase."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from visiontune.spec.space.epoch_forecast import cost, num_retrainings
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.budget.search_clock import SearchClock
from visiontune.tuning.budget.spending import Spending
from visiontune.tuning.legs.placement import Node
from visiontune.tuning.ranking.ranked_trials import UNDECIDED
from visiontune.tuning.records.snapshot import Snapshot
from visiontune.tuning.search.search_trials import SearchTrials


@dataclass(frozen=True)
class Standing:
    """Parts of a search run; of its confirmations so many epochs were trained; where trials are compared first, 0 where that is fixed."""

    spec: StudySpec
    trials: SearchTrials
    spending: Spending
    clock: SearchClock
    num_confirmed_epochs: int
    lowest_rung: int

    def snapshot(self, phase: str, num_placed: int, num_staged: int, time_left_s: float | None, nodes: Collection[Node]) -> Snapshot:
        """With legs on workers and on their way there, and the machines that are up."""
        records = self.trials.records
        states = records.counts
        return Snapshot(
            num_trials=self.spec.budget.num_trials,
            limits=self.spec.budget.limits,
            spent=self.spending.spent,
            num_begun=self.trials.num_begun,
            num_done=states["complete"],
            num_running=num_placed,
            num_staged=num_staged,
            num_waiting=states["waiting"],
            num_pruned=states["pruned"],
            num_failed=states["failed"] - len(self.trials.refused),
            best=records.best(("complete", "pruned", *UNDECIDED)),
            epochs_per_minute=self._rate(),
            time_left_s=time_left_s,
            elapsed_s=self.clock.elapsed_s,
            phase=phase,
            lowest_rung=self.lowest_rung,
            waits_s=round(self.clock.unplaced_s, 1),
            num_nodes=len(nodes),
            num_gpus=sum(node.gpus for node in nodes),
        )

    def time_left_s(self, epochs_found: int, num_again: int | None = None) -> float | None:
        """What is left to train at the pace so far, confirmations included, or until the budget ends; None where neither is known.

        `epochs_found` were trained by earlier calls. `num_again`: trainings in full after the search, None while it goes on.
        """
        wanted = (num_retrainings(self.spec) if num_again is None else num_again) * self.spec.budget.max_epochs
        confirming_s = self.spending.confirming_s(self.trials.best(), max(0, wanted - self.num_confirmed_epochs))
        found = [3600 * left for unit, left in self.spending.left.items() if unit == "hours"]
        rate, expected = self._rate(), cost(self.spec).expected_epochs
        if num_again is not None:
            found.append(confirming_s)
        elif rate and expected is not None:
            of_trials = expected / self.spec.num_repeats
            found.append(60.0 * max(0.0, of_trials - epochs_found - self.trials.num_epochs) / rate + confirming_s)
        if rate and "epochs" in self.spending.left:  # confirmations are of the same epochs
            found.append(60.0 * max(0.0, self.spending.left["epochs"]) / self.spec.num_repeats / rate)
        return min(found, default=None)

    def phase(self, *, num_out: int, num_placed: int, again: str = "") -> str:
        """Of a search that goes on, in a word or two; of `num_out` legs `num_placed` are on a worker. `again`: what is done after it."""
        is_unplaced = self.clock.is_unplaced(has_legs=bool(num_out), is_placed=bool(num_placed))
        if is_unplaced and self.clock.is_late():
            return "waiting for machines"
        if again:
            return again
        return "searching" if self.trials.num_epochs else "starting"

    def _rate(self) -> float:
        """Epochs a minute since the first leg started."""
        return self.clock.rate(self.trials.num_epochs + self.num_confirmed_epochs)
