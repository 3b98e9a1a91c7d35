"""Who works on what, next: every decision of a search, over the study's storage. No Ray, no torch.

The unit of work is a `Leg`: one trial on one worker, from the epochs that the study has to a rung or the end. A new
trial, a promotion and a trial that a dead driver or worker left behind are all legs that start from the newest
checkpoint there is, so that going on after a kill needs no code of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from visiontune.errors import plural
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.budget.enough import problem_of_cost, reaches_target
from visiontune.tuning.budget.kept_checkpoints import KeptCheckpoints
from visiontune.tuning.budget.spending import Spending
from visiontune.tuning.legs.placement import MAX_CRASHES, Loss
from visiontune.tuning.proposals.start_recipes import start_key
from visiontune.tuning.ranking.adaptive_rungs import AdaptiveRungs
from visiontune.tuning.ranking.constraints import bounds_to_measure
from visiontune.tuning.ranking.population import Population
from visiontune.tuning.ranking.ranking import full_epochs
from visiontune.tuning.ranking.trial_scheduler import GO, STOP, WAIT, make_trial_scheduler
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.records.records import CONSTRAINT, Put, TrialRecord
from visiontune.tuning.search.exploits import Exploits
from visiontune.tuning.search.new_trials import NewTrials
from visiontune.tuning.search.search_trials import SearchTrials
from visiontune.tuning.study.read_study import epoch_seconds, trial_record
from visiontune.tuning.study.study_storage import Storage
from visiontune.tuning.study.trial_history import LOSSES


class TrialQueue:
    """The search part of a study: hands out legs, takes reports and ends trials, until nothing is left to do."""

    def __init__(self, spec: StudySpec, storage: Storage, put: Put, checkpoints: KeptCheckpoints, spending: Spending) -> None:
        self._spec, self._storage, self._checkpoints, self._spending = spec, storage, checkpoints, spending
        self.trials = SearchTrials(spec, storage, put, checkpoints, spending)
        self.on_worker: set[int] = set()
        self._waiting: set[int] = set()
        self._left_behind: list[int] = []
        self._is_settled = False
        self._networks: dict[str, Any] = {"num_repeats": spec.num_repeats, "is_folded": spec.num_folds > 1}
        self.has_reached_target = False
        self.note: Callable[[str, int, str], None] = lambda kind, number, text: None
        self._rule = make_trial_scheduler(spec.trial_scheduler, spec.budget, self.trials.curves)
        found = storage.trials()
        self.new = NewTrials(spec, storage, self.trials, spending, found)
        self._exploits = Exploits(spec, storage, self.trials, self._rule, checkpoints) if isinstance(self._rule, Population) else None
        for trial in found:
            self._spending.known(trial.number, epoch_seconds(trial))
            self._take_over(trial_record(trial, self._rule.pauses(trial.number)), is_known=bool(start_key(trial)))

    def next_leg(self) -> Leg | None:
        """For a free worker: what was left behind, else a promotion, else a new trial; None when there is nothing now.

        Only what the budget allows beside what is kept back.
        """
        self._settle()
        self._spending.refused = ""
        if self.has_reached_target:
            self._spending.refused = "stop_at"
            return None
        for left in self._left_behind:
            if self._is_allowed(left):
                return self._start(left)
        turns = (self._going_on, self._beginning) if self._exploits is None else (self._beginning, self._going_on)  # all begin first
        number = next((number for turn in turns if (number := turn()) is not None), None)
        return self._last_resort() if number is None else self._start(number)

    def _going_on(self) -> int | None:
        promoted = self._promoted()
        return promoted if promoted is not None and self._is_allowed(promoted) else None

    def _beginning(self) -> int | None:
        return self.new.next(lambda: self._is_allowed(None))

    def report(self, number: int, report: Report) -> bool:
        """Take a worker's report; whether the worker should go on with this trial."""
        self.trials.measured(number, report.costs)
        if report.failure == CONSTRAINT:
            return self._end(number, "failed", report.reason, report.failure)
        if report.failure:
            self._spending.failed()
            return self._end(number, "failed", report.reason, report.failure)
        value = report.metrics[self._spec.objective.metric]
        if not math.isfinite(value):
            self._spending.failed()
            return self._end(number, "failed", f"{self._spec.objective.metric} was {value} after epoch {report.epoch}", "diverged")
        if report.epoch > self.trials.records[number].epoch:
            self.trials.record(number, report, value)
        elif not report.is_last:
            return True  # said again, by a worker that was cut off: decided on before
        return self._goes_on(number, report)

    def lost(self, number: int, what: str, loss: Loss, *, node: str = "") -> None:
        """The worker died, broke or left, on the node of that name: the trial is handed out again, unless it is to be given up."""
        self.on_worker.discard(number)
        self._storage.note(number, LOSSES, {"epoch": self.trials.records[number].epoch, "what": what, "node": node})
        if loss.is_given_up and loss.is_hung:
            self._end(number, "failed", f"hung again where it was handed out anew: {what}", "hung")
        elif loss.is_given_up:
            self._end(number, "failed", f"crashed {MAX_CRASHES} times: {what}", "crashed")
        else:
            self._left_behind.append(number)

    @property
    def lowest_rung(self) -> int:
        """Where trials are compared first; 0 where that is fixed."""
        return self._rule.lowest() if isinstance(self._rule, AdaptiveRungs) else 0

    def let_go(self) -> None:
        """Workers leave their trials: the search has found enough."""
        self._left_behind += sorted(self.on_worker)
        self.on_worker.clear()

    def make_room(self, has_room: Callable[[], bool]) -> int:
        """The disk is full: checkpoints of trials that wait go, until it has room; of how many trials."""
        return self.trials.make_room(self._waiting, has_room)

    def _goes_on(self, number: int, report: Report) -> bool:
        if report.epoch >= self._spec.budget.max_epochs:
            return self._end(number, "complete", f"full budget of {plural(report.epoch, 'epoch')}")
        if report.is_last:
            return self._end(number, "complete", f"early stopping after {plural(report.epoch, 'epoch')}")
        if problem := problem_of_cost(self._spec.budget, self._spending.seconds_of(number)):
            return self._end(number, "failed", problem, "infeasible")
        self._choose_straight()
        verdict = self._rule.decide(number, report.epoch)
        if verdict == GO or (verdict == STOP and number == self.trials.straight):
            return True
        return self._wait(number) if verdict == WAIT else self._end(number, "pruned", self.trials.why_stopped(number, report.epoch))

    def _take_over(self, trial: TrialRecord, *, is_known: bool) -> None:
        """Pick up a trial of the storage."""
        if not self.trials.take_over(trial, is_known=is_known):
            is_full = trial.state == "complete" and full_epochs(trial) == self._spec.budget.max_epochs
            self.has_reached_target |= is_full and reaches_target(self._spec, trial.value)
            if trial.state in ("running", "waiting"):  # of a smaller full budget, and pruned now
                self.new.learn(trial.number)
            return
        if trial.epoch >= self._spec.budget.max_epochs:
            self._end(trial.number, "complete", f"full budget of {plural(trial.epoch, 'epoch')}")
        elif trial.state == "waiting":
            self._waiting.add(trial.number)
            if self._exploits is not None:
                self._exploits.found(trial.number)
        else:
            self._left_behind.append(trial.number)
        self._checkpoints.found(trial.number)

    def _settle(self) -> None:
        """Decide, once, on the newest epoch that a killed driver wrote and came no further with: its trial stops where it would have.

        Of several on workers each may have been let go on long before, when those were not there yet that are better: they go on.
        """
        unsettled = [] if self._is_settled else [number for number in self._left_behind if self.trials.records[number].epoch]
        self._is_settled, is_one = True, len(self._left_behind) == 1
        for number in unsettled:
            epoch = self.trials.records[number].epoch
            self._choose_straight()
            if problem := problem_of_cost(self._spec.budget, self._spending.seconds_of(number)):
                self._end(number, "failed", problem, "infeasible")
            elif is_one and self._rule.decide(number, epoch) == STOP and number != self.trials.straight:
                self._end(number, "pruned", self.trials.why_stopped(number, epoch))
        self._left_behind = [number for number in self._left_behind if self.trials.records[number].state == "running"]

    def _promoted(self) -> int | None:
        """Who of those that wait goes on next: the known recipe that runs straight through, else whom the rule promotes."""
        self._choose_straight()
        straight = self.trials.straight
        return straight if straight in self._waiting else self._rule.promotable(self._waiting)

    def _choose_straight(self) -> None:
        """Known recipes that there is no room for are not waited for."""
        if not self.trials.is_beginning or self.new.is_last_known():  # asked only then, as it reads the storage
            self.trials.choose_straight()

    def _is_allowed(self, number: int | None) -> bool:
        """Whether the budget has room for the next leg of a trial, or of a new one."""
        trial = None if number is None else self.trials.records[number]
        ahead = self._epochs_ahead(len(self.trials.records) if number is None else number)
        return self._spending.allows(trial, ahead, self.trials.hopeful, lambda: self._under_way(number))

    def _under_way(self, number: int | None) -> dict[int, int]:
        """Epochs that the other trials on workers have to go."""
        return {one: self._epochs_ahead(one) for one in self.on_worker - {number}}

    def _epochs_ahead(self, number: int) -> int:
        """Of the next leg of a trial, or of a new one; what is lost with a checkpoint comes on top."""
        epoch = self.trials.records[number].epoch if number in self.trials.records else 0
        ahead = next((end - epoch for end in (*self._rule.pauses(number), self._spec.budget.max_epochs) if end > epoch), 0)
        return ahead + (epoch if self._is_from_start(number) else 0)

    def _is_from_start(self, number: int) -> bool:
        """Whether a trial that has epochs would be trained from its start, without its checkpoint."""
        return number not in self.on_worker and not self._checkpoints.is_kept(number)

    def _start(self, number: int) -> Leg:
        if self._exploits is not None and (phase := self._exploits.decide(number)) is not None:
            self.note("exploits", number, str(phase))
        self.note(*self._why_started(number))
        self._waiting.discard(number)
        if number in self._left_behind:
            self._left_behind.remove(number)
        if self._is_from_start(number):
            self._spending.trained_again(number, self.trials.records[number].epoch)
        self.on_worker.add(number)
        trial = self.trials.set_state(number, "running")
        bounds = {} if trial.epoch else bounds_to_measure(self._spec, trial.costs)
        return Leg(
            f"{number:05d}",
            number,
            TrialRecipe(**trial.recipe),
            trial.epoch,
            micro_batch=trial.micro_batch,
            bounds=bounds,
            **self._networks,
        )

    def _why_started(self, number: int) -> tuple[str, int, str]:
        trial = self.trials.records[number]
        if not trial.epoch:
            return "starts", number, trial.proposed_by
        if number in self._left_behind or self._exploits is not None:
            return "resumed", number, f"goes on from epoch {trial.epoch}"
        return "promoted", number, f"from epoch {trial.epoch}, with {self._spec.objective.metric} {trial.value:.4g}"

    def _last_resort(self) -> Leg | None:
        """A study too small for its rungs still ends with a winner: the best trial gets its full budget, or what of it there is."""
        best = None if self.on_worker else self.trials.hopeful()
        if best is None or best.state == "complete" or not self._spending.fits(best, self._epochs_ahead(best.number)):
            return None
        return self._start(best.number)

    def _wait(self, number: int) -> bool:
        """Pause at a rung, unless this very trial is what its worker would take on next."""
        self._waiting.add(number)
        self.new.learn(number)
        if self._exploits is not None:
            self._exploits.arrived(number)
        promoted = self._promoted()
        is_next = self._exploits is None and number == promoted and (not self._left_behind or number == self.trials.straight)
        if is_next and self._is_allowed(number):
            self.note(*self._why_started(number))
            self._waiting.discard(number)
            return True
        self.on_worker.discard(number)
        trial = self.trials.set_state(number, "waiting")
        self.note("waits", number, f"at epoch {trial.epoch}, with {self._spec.objective.metric} {trial.value:.4g}")
        self.trials.limit_checkpoints(self._waiting)
        return False

    def _end(self, number: int, state: str, reason: str, kind: str = "") -> bool:
        self.trials.end(number, state, reason, kind)
        self.note(state, number, reason if not kind else f"{kind}: {reason}")
        self.has_reached_target |= state == "complete" and reaches_target(self._spec, self.trials.records[number].value)
        self.on_worker.discard(number)
        self._waiting.discard(number)
        if self._exploits is not None:
            self._exploits.ended()
        self.new.learn(number)
        return False
