"""Who works on what, next: every decision of a search, over the study's storage. No Ray, no torch.

The unit of work is a `Leg`: one trial on one worker, from the epochs that the study has to a rung or the end. A new
trial, a promotion and a trial that a dead driver or worker left behind are all legs that start from the newest
checkpoint there is, so that going on after a kill needs no code of its own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from optuna.trial import TrialState

from visiontune.spec.parse import make_recipe
from visiontune.spec.study_spec import StudySpec
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.tuning.kept_checkpoints import KeptCheckpoints
from visiontune.tuning.mlflow_events import end_event, epoch_event, trial_event
from visiontune.tuning.ranking import best_of
from visiontune.tuning.read_study import epoch_seconds, trial_record
from visiontune.tuning.records import Leg, Put, Report, TrialRecord
from visiontune.tuning.sampler import DEFAULTS, Proposer
from visiontune.tuning.spending import Spending
from visiontune.tuning.study_storage import Storage
from visiontune.tuning.trial_scheduler import GO, STOP, WAIT, Curves, make_trial_scheduler

MAX_CRASHES = 3
"""Workers that may die under one trial without a new epoch before it is given up."""

OPTUNA_STATE = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class TrialQueue:
    """The search part of a study: hands out legs, takes reports and ends trials, until nothing is left to do."""

    def __init__(self, spec: StudySpec, storage: Storage, put: Put, checkpoints: KeptCheckpoints, spending: Spending) -> None:
        self._spec, self._storage, self._put, self._checkpoints, self._spending = spec, storage, put, checkpoints, spending
        self.trials: dict[int, TrialRecord] = {}
        self.on_worker: set[int] = set()
        self.num_epochs = 0
        self._waiting: set[int] = set()
        self._left_behind: list[int] = []
        self._num_crashes: dict[int, int] = {}
        self._is_exhausted = False
        self._runs_through: set[int] = set()
        self._curves = Curves(spec.objective, brackets=spec.brackets)
        self._rule = make_trial_scheduler(spec.trial_scheduler, spec.budget, self._curves)
        found = storage.trials()
        self._proposer = Proposer(spec, found)
        for trial in found:
            self._spending.known(trial.number, epoch_seconds(trial))
            if trial.user_attrs["proposed_by"] == DEFAULTS:
                self._runs_through.add(trial.number)
            self._take_over(trial_record(trial, self._rule.pauses(trial.number)))

    def next_leg(self) -> Leg | None:
        """For a free worker: what was left behind, else a promotion, else a new trial; None when there is nothing now.

        Only what the budget allows beside what is kept back.
        """
        self._spending.refused = ""
        for number in self._left_behind:
            if self._is_allowed(number):
                return self._start(number)
        promoted = self._rule.promotable(self._waiting)
        if promoted is not None and self._is_allowed(promoted):
            return self._start(promoted)
        return self._new_trial() or self._last_resort()

    def best(self) -> TrialRecord | None:
        """The first of the ranking of what is complete or can still be: the winner, or who is to be it."""
        return best_of((trial for trial in self.trials.values() if trial.state != "pruned"), self._spec.objective)

    def hopeful(self) -> TrialRecord | None:
        """Who is to be trained in full, where nobody else was than the trial that ran straight through: the best that beats it so far."""
        best = self.best()
        if best is None or best.number not in self._runs_through or best.state != "complete":
            return best
        others = best_of((one for one in self.trials.values() if one.state in ("waiting", "running")), self._spec.objective)
        if others is None or others.value is None or others.epoch not in best.values:
            return best
        return others if self._spec.objective.is_better(others.value, best.values[others.epoch]) else best

    def report(self, number: int, report: Report) -> bool:
        """Take a worker's report; whether the worker should go on with this trial."""
        trial = self.trials[number]
        if report.failure:
            self._spending.failed()
            return self._end(number, "failed", report.reason, report.failure)
        value = report.metrics[self._spec.objective.metric]
        if not math.isfinite(value):
            self._spending.failed()
            return self._end(number, "failed", f"{self._spec.objective.metric} was {value} after epoch {report.epoch}", "diverged")
        if report.epoch > trial.epoch:
            self._record(trial, report, value)
        if report.epoch >= self._spec.budget.max_epochs:
            return self._end(number, "complete", f"full budget of {report.epoch} epochs")
        if report.is_last:
            return self._end(number, "complete", f"early stopping after {report.epoch} epochs")
        verdict = self._rule.decide(number, report.epoch)
        if verdict == GO or (verdict == STOP and number in self._runs_through):
            return True
        return self._wait(number) if verdict == WAIT else self._end(number, "pruned", self._why_stopped(number, report.epoch))

    def lost(self, number: int, what: str) -> None:
        """The worker died or broke: the trial is handed out again, unless it kills every worker that it meets."""
        self.on_worker.discard(number)
        self._num_crashes[number] = self._num_crashes.get(number, 0) + 1
        if self._num_crashes[number] >= MAX_CRASHES:
            self._end(number, "failed", f"{MAX_CRASHES} workers in a trial were lost: {what}", "crashed")
        else:
            self._left_behind.append(number)

    def close(self) -> None:
        """The search is over. What waits goes on waiting in the study, for a larger budget; in MLflow it is told as ended."""
        for number, trial in self.trials.items():
            if trial.state in ("waiting", "running"):
                self._put(end_event(number, "waiting", self._why_stopped(number, trial.epoch)))

    def _take_over(self, trial: TrialRecord) -> None:
        """Pick up a trial of the storage; MLflow's events of a live one are said again, in case a kill swallowed them."""
        self.trials[trial.number] = trial
        for epoch, value in trial.values.items():
            self._curves.record(trial.number, epoch, value)
        if trial.state not in ("running", "waiting"):
            return
        self._put(trial_event(trial))
        if trial.epoch >= self._spec.budget.max_epochs:
            self._end(trial.number, "complete", f"full budget of {trial.epoch} epochs")
        elif trial.state == "waiting" and trial.number not in self._runs_through:
            self._waiting.add(trial.number)
            self._checkpoints.found(trial.number)
        else:
            self._left_behind.append(trial.number)

    def _is_allowed(self, number: int | None) -> bool:
        """Whether the budget has room for the next leg of a trial, or of a new one."""
        under_way = {one: self._epochs_ahead(one) for one in self.on_worker - {number}}
        trial = None if number is None else self.trials[number]
        return self._spending.allows(trial, self._epochs_ahead(len(self.trials) if number is None else number), self.hopeful, under_way)

    def _epochs_ahead(self, number: int) -> int:
        """Of the next leg of a trial, or of a new one."""
        epoch = self.trials[number].epoch if number in self.trials else 0
        return next((end - epoch for end in (*self._rule.pauses(number), self._spec.budget.max_epochs) if end > epoch), 0)

    def _start(self, number: int) -> Leg:
        self._waiting.discard(number)
        if number in self._left_behind:
            self._left_behind.remove(number)
        self.on_worker.add(number)
        trial = self.trials[number] = replace(self.trials[number], state="running")
        return Leg(key=f"{number:05d}", number=number, recipe=TrialRecipe(**trial.recipe), known_epochs=trial.epoch)

    def _new_trial(self) -> Leg | None:
        number, most = len(self.trials), self._spec.budget.num_trials
        if self._is_exhausted or (most is not None and number >= most) or not self._is_allowed(None):
            return None
        proposal = self._proposer.propose(number)
        if proposal is None:
            self._is_exhausted = True
            return None
        recipe = make_recipe(self._spec, proposal.sections, number)
        attributes: dict[str, Any] = {"recipe": recipe.to_dict(), "fingerprint": recipe.fingerprint, "proposed_by": proposal.reason}
        self._storage.add(proposal.params, proposal.distributions, attributes, proposal.notes)
        self.trials[number] = TrialRecord(
            number,
            "running",
            None,
            0,
            "",
            "",
            proposal.params,
            attributes["recipe"],
            recipe.fingerprint,
            self._curves.values.setdefault(number, {}),
            proposal.reason,
        )
        if proposal.reason == DEFAULTS:
            self._runs_through.add(number)
        self._put(trial_event(self.trials[number]))
        return self._start(number)

    def _last_resort(self) -> Leg | None:
        """A study too small for its rungs still ends with a winner: the best trial gets its full budget, or what of it there is."""
        best = None if self.on_worker else self.hopeful()
        if best is None or best.state == "complete":
            return None
        return self._start(best.number) if self._spending.fits(best, self._epochs_ahead(best.number)) else None

    def _record(self, trial: TrialRecord, report: Report, value: float) -> None:
        """MLflow's event first: after a kill in between, the worker's checkpoint says the same report again."""
        self._put(epoch_event(trial.number, report))
        self._spending.measured(report, trial.number)
        self._storage.report(trial.number, report.epoch, value)
        self._curves.record(trial.number, report.epoch, value)
        self._num_crashes.pop(trial.number, None)
        self._checkpoints.written(trial.number, report.checkpoint_bytes)
        self.num_epochs += 1
        self.trials[trial.number] = replace(trial, epoch=report.epoch, value=value, values=self._curves.values[trial.number])

    def _wait(self, number: int) -> bool:
        """Pause at a rung, unless this very trial is what its worker would take on next, or runs straight through."""
        self._waiting.add(number)
        self._proposer.learn(self._storage.trial(number))
        is_next = number in self._runs_through or (not self._left_behind and self._rule.promotable(self._waiting) == number)
        if is_next and self._is_allowed(number):
            self._waiting.discard(number)
            return True
        self.on_worker.discard(number)
        self._storage.spent(number, self._spending.seconds_of(number), self._spending.num_gpus)
        self.trials[number] = replace(self.trials[number], state="waiting")
        self._checkpoints.limit((self.trials[number] for number in self._waiting), self._spec.objective)
        return False

    def _end(self, number: int, state: str, reason: str, kind: str = "") -> bool:
        trial = replace(self.trials[number], state=state, reason=reason, kind=kind)
        self._put(end_event(number, state, reason))
        self._storage.spent(number, self._spending.seconds_of(number), self._spending.num_gpus)
        self._storage.end(number, OPTUNA_STATE[state], trial.value, reason, kind)
        self.trials[number] = trial
        self.on_worker.discard(number)
        self._waiting.discard(number)
        self._proposer.learn(self._storage.trial(number))
        self._checkpoints.drop(number)
        return False

    def _why_stopped(self, number: int, epoch: int) -> str:
        return self._curves.place(number, epoch) if epoch else "no epoch was trained"
