"""The trials of a study while a search goes on: what becomes of one is told to MLflow, written to the storage, and kept here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from optuna.trial import TrialState

from visiontune.errors import plural
from visiontune.spec.declarations.declare import NOTHING
from visiontune.spec.declarations.network_names import values_of
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.costs import MEASURED_COSTS
from visiontune.tuning.budget.kept_checkpoints import KeptCheckpoints
from visiontune.tuning.budget.spending import Spending
from visiontune.tuning.proposals.sampler import Proposal
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.network_costs import NetworkCosts
from visiontune.tuning.ranking.ranked_trials import UNDECIDED, RankedTrials
from visiontune.tuning.ranking.ranking import full_epochs
from visiontune.tuning.ranking.spent_costs import costs_spent
from visiontune.tuning.records.leg import Report
from visiontune.tuning.records.records import CONSTRAINT, Put, TrialRecord
from visiontune.tuning.retraining.mlflow_events import best_event, end_event, epoch_event, trial_event
from visiontune.tuning.study.lineage import schedule_of
from visiontune.tuning.study.study_storage import Storage
from visiontune.tuning.study.trial_history import LEGS, LOSSES

OPTUNA_STATE = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class SearchTrials:
    """By number in `records`; `curves` are those that trials are compared by, `straight` is the one that waits at no rung any more:
    the best at the first rung of the known recipes that a search begins with, so that the others have a mark to beat; `refused` are those
    that cost more than a constraint allows.

    Where a study goes on with a larger full budget (max_epochs), the trials of the smaller one stay as they are, compared with nobody.
    """

    def __init__(self, spec: StudySpec, storage: Storage, put: Put, checkpoints: KeptCheckpoints, spending: Spending) -> None:
        self._spec, self._storage, self._put, self._checkpoints, self._spending = spec, storage, put, checkpoints, spending
        self.records = RankedTrials(spec.objective)
        self.curves = Curves(spec.objective, brackets=spec.brackets)
        self.num_epochs = 0
        self.straight: int | None = None
        self.refused: list[int] = []
        self._networks = NetworkCosts()
        self._known: list[int] = []
        self._num_epochs_in_all = 0
        self._is_beginning = True

    def take_over(self, trial: TrialRecord, *, is_known: bool) -> bool:
        """Know a trial of the storage; whether it is one of this full budget that may go on.

        `is_known`: begun from a start point.
        """
        self.records[trial.number] = trial
        self._networks.know(trial.number, trial.recipe, trial.costs)
        self.refused += [trial.number] * (trial.kind == CONSTRAINT)
        self._num_epochs_in_all += trial.epoch
        is_live = trial.state in ("running", "waiting")
        if full_epochs(trial) != self._spec.budget.max_epochs:
            if is_live:
                self.end(
                    trial.number,
                    "pruned",
                    f"the study went on with {plural(self._spec.budget.max_epochs, 'epoch')} in place of {full_epochs(trial)}",
                )
            return False
        self._note_known(trial.number, is_known=is_known)
        self.curves.know_costs(trial.number, trial.costs)
        for epoch, value in trial.values.items():
            self.curves.record(trial.number, epoch, value)
        return is_live

    def add(self, proposal: Proposal, recipe: TrialRecipe, start: str, costs: Mapping[str, float] = NOTHING, problem: str = "") -> int:
        """A new trial; `start` is the key of its start point, "" where it has none. Gives its number.

        `costs` are known of it, `problem` why they are too high: it has then ended, and MLflow is not told of it.
        """
        number = len(self.records)
        known: dict[str, Any] = {"recipe": recipe.to_dict(), "fingerprint": recipe.fingerprint, "proposed_by": proposal.reason}
        attributes = {**known, **({"start": start} if start else {}), **({"costs": dict(costs)} if costs else {})}
        if problem:
            end = {"end": {"reason": problem, "kind": CONSTRAINT}}
            self._storage.add(proposal.params, proposal.distributions, {**attributes, **end}, proposal.notes, TrialState.FAIL)
            self.records[number] = TrialRecord(number, "failed", None, 0, problem, CONSTRAINT, proposal.params, values={}, **known)
            self.refused.append(number)
            self._note_known(number, is_known=bool(start))
            return number
        self._storage.add(proposal.params, proposal.distributions, attributes, proposal.notes)
        values = self.curves.values.setdefault(number, {})
        self.curves.know_costs(number, costs)
        self.records[number] = TrialRecord(number, "running", None, 0, "", "", proposal.params, values=values, costs=costs, **known)
        self._note_known(number, is_known=bool(start))
        self._put(trial_event(self.records[number]))
        return number

    def measured(self, number: int, costs: Mapping[str, float]) -> None:
        """What a worker found a trial to cost, beside what was known of it."""
        if costs and not costs.keys() <= self.records[number].costs.keys():
            self.records[number] = replace(self.records[number], costs={**self.records[number].costs, **costs})
            self._storage.set_costs(number, self.records[number].costs)
            self.curves.know_costs(number, self.records[number].costs)
            self._networks.know(number, self.records[number].recipe, costs)

    def measured_of(self, recipe: TrialRecipe) -> Mapping[str, float]:
        """What was measured of the same network, where that is an objective."""
        is_compared = not MEASURED_COSTS.keys().isdisjoint(self._spec.objective.costs)
        return self._networks.of(recipe.to_dict()) if is_compared else NOTHING

    def record(self, number: int, report: Report, value: float) -> None:
        """An epoch. MLflow's event first, the epoch itself last: after a kill in between, the worker's checkpoint says the same report
        again, and what goes with the epoch is never lacking.
        """
        costs = NOTHING if self.records[number].epoch else self.records[number].costs
        attempt = 1 + len(self._storage.trial(number).user_attrs.get(LOSSES, ())) if report.place else 1
        self._put(epoch_event(number, report, value, self._spec.rungs, costs, attempt))
        repeats = values_of(report.metrics, self._spec.objective.metric)
        self._note_beside(number, report, repeats)
        self._spending.measured(report, number)
        self._storage.report(number, report.epoch, value)
        self.curves.record(number, report.epoch, value)
        self._checkpoints.written(number, report.checkpoint_bytes)
        self.num_epochs += 1
        known: dict[str, Any] = {"epoch": report.epoch, "value": value, "micro_batch": report.micro_batch, "repeats": tuple(repeats)}
        self.records[number] = replace(self.records[number], values=self.curves.values[number], **known)
        self._num_epochs_in_all += 1
        best = self.best()
        if best is not None and best.number == number:
            self._tell_best(best)

    def _note_beside(self, number: int, report: Report, repeats: Sequence[float]) -> None:
        """What the study has of an epoch beside its value."""
        if report.place:
            said = {"note": report.note} if report.note else {}
            self._storage.note(number, LEGS, {"epoch": report.epoch, **report.place, **said})
        if repeats:
            self._storage.set_repeats(number, report.epoch, repeats)
        if report.micro_batch != self.records[number].micro_batch:
            self._storage.set_micro_batch(number, report.micro_batch)

    def set_state(self, number: int, state: str) -> TrialRecord:
        """Running or waiting."""
        if state == "waiting":
            self._note_spent(number)
        self.records[number] = replace(self.records[number], state=state)
        return self.records[number]

    def end(self, number: int, state: str, reason: str, kind: str = "") -> None:
        """For good: complete, pruned or failed."""
        trial, before = replace(self.records[number], state=state, reason=reason, kind=kind), self.best()
        self._put(end_event(number, state, reason, trial.micro_batch, costs_spent(self._spent(number)), schedule_of(trial)))
        self._note_spent(number)
        self.refused += [number] * (kind == CONSTRAINT)
        self._storage.end(number, OPTUNA_STATE[state], trial.value, reason, kind)
        self.records[number] = trial
        self._checkpoints.drop(number)
        best = self.best()
        if best is not None and before is not None and best.number != before.number:
            self._tell_best(best)

    def _spent(self, number: int) -> dict[str, Any]:
        """What the study notes of a trial's epochs, as far as they were measured."""
        resources = self._spec.resources
        price = None if resources.price_per_hour is None else resources.price_per_hour * resources.workers_per_trial
        return {"epoch_s": self._spending.seconds_of(number), "num_gpus": self._spending.num_gpus, "price_per_hour": price}

    def _note_spent(self, number: int) -> None:
        self._storage.spent(number, **self._spent(number))

    @property
    def num_begun(self) -> int:
        """Trials that count among `num_trials`."""
        return len(self.records) - len(self.refused)

    @property
    def num_refused_in_a_row(self) -> int:
        """Of the newest trials, how many were refused, with none between them that was not."""
        newest = reversed(range(len(self.records)))
        return sum(1 for _ in takewhile(lambda number: self.records[number].kind == CONSTRAINT, newest))

    def let_wait(self) -> None:
        """The search is over. What waits goes on waiting in the study, for a larger budget; in MLflow it is told as ended."""
        for number, trial in self.records.items():
            if trial.state in ("waiting", "running"):
                self._put(end_event(number, "waiting", self.why_stopped(number, trial.epoch), phases=schedule_of(trial)))

    def limit_checkpoints(self, waiting: Iterable[int]) -> None:
        """Those of trials that wait take no more than they may."""
        self._checkpoints.limit((self.records[number] for number in waiting), self._spec.objective)

    def make_room(self, waiting: Iterable[int], has_room: Callable[[], bool]) -> int:
        """Those of trials that wait go until the disk has room; of how many trials."""
        return self._checkpoints.make_room((self.records[number] for number in waiting), self._spec.objective, has_room)

    def best(self) -> TrialRecord | None:
        """The first of the ranking of what is complete or can still be: the winner, or who is to be it."""
        return self.records.best(("complete", *UNDECIDED))

    def hopeful(self) -> TrialRecord | None:
        """Who is to be trained in full, where nobody else was than the trial that ran straight through: the best that beats it so far."""

        def is_own(trial: TrialRecord) -> bool:
            return full_epochs(trial) == self._spec.budget.max_epochs  # of no smaller full budget

        best = self.records.best(("complete", *UNDECIDED), is_own)
        if best is None or best.number != self.straight or best.state != "complete":
            return best
        others = self.records.best(UNDECIDED, is_own)
        if others is None or others.value is None or others.epoch not in best.values:
            return best
        return others if self._spec.objective.is_better(others.value, best.values[others.epoch]) else best

    def why_stopped(self, number: int, epoch: int) -> str:
        """Its place among those that got as far."""
        return self.curves.place(number, epoch) if epoch else "no epoch was trained"

    @property
    def is_beginning(self) -> bool:
        """Whether all trials so far are known recipes, and none of them is chosen to run straight through."""
        return self._is_beginning and self.straight is None

    def choose_straight(self) -> None:
        """Once all known recipes that the search begins with have got to the first rung, whatever became of one later, so that a search
        which goes on chooses as before.
        """
        if self.straight is not None:
            return
        first = self._spec.rungs[0]
        there = [number for number in self._known if first in self.curves.values.get(number, {})]
        if there and all(number in there or self.records[number].state not in ("running", "waiting") for number in self._known):
            self.straight = next(number for number in self.curves.ranked(first) if number in there)

    def _tell_best(self, best: TrialRecord) -> None:
        """MLflow is told of a best trial that is another than before, or went on."""
        self._put(best_event(self._spec.objective.metric, best.value or 0.0, self._num_epochs_in_all))

    def _note_known(self, number: int, *, is_known: bool) -> None:
        """Known recipes that come later, out of the queue, are as all others: what runs straight through must not change with a restart."""
        self._is_beginning &= is_known
        if self._is_beginning:
            self._known.append(number)
