"""The curves of a study's own trials, as what rehearsed searches draw from: each trial once, the one nearest to a proposal's params."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from visiontune.spec.space.study_spec import Budget, Objective, StudySpec
from visiontune.tuning.importance.param_places import ParamPlaces
from visiontune.tuning.proposals.start_recipes import AGAIN
from visiontune.tuning.records.records import StudyRecord, TrialRecord
from visiontune.tuning.rehearse_search import Point


@dataclass(frozen=True)
class RecordedTrial:
    """What one trial showed: values from epoch 1 on. It `diverged` after them, `is_done` with them, or was cut there."""

    params: Mapping[str, Any]
    values: tuple[float, ...]
    diverged: bool = False
    is_done: bool = False

    def at(self, epoch: int) -> Point:
        """After an epoch from 1. A curve that was cut goes on with its last value."""
        if epoch <= len(self.values):
            return Point(self.values[epoch - 1], is_last=self.is_done and epoch == len(self.values))
        return Point(math.nan) if self.diverged else Point(self.values[-1])


@dataclass(frozen=True)
class StudyCurves:
    """All trials of a study that have a curve; `start` are params of those that were start recipes, the defaults left out."""

    trials: tuple[RecordedTrial, ...]
    start: tuple[Mapping[str, Any], ...] = ()

    @property
    def num_full(self) -> int:
        """Those that were trained to their end, by the full budget or by early stopping."""
        return sum(trial.is_done for trial in self.trials)

    @property
    def num_cut(self) -> int:
        """Those that could have gone on."""
        return sum(not trial.is_done and not trial.diverged for trial in self.trials)

    @property
    def num_epochs(self) -> int:
        """What the study trained, a divergence's last epoch included."""
        return sum(len(trial.values) + trial.diverged for trial in self.trials)


def study_curves(study: StudyRecord) -> StudyCurves:
    """Those of trials that were trained for an epoch at least, or showed that they can't be; what was never begun says nothing."""
    kept = [trial for trial in study.trials if trial.values or _is_unusable(trial)]
    is_start = [bool(trial.start) and trial.start != "defaults" and not trial.start.startswith(AGAIN) for trial in kept]
    start = tuple(trial.params for trial, is_one in zip(kept, is_start, strict=True) if is_one)
    return StudyCurves(tuple(_recorded(trial, study.rungs[-1]) for trial in kept), start)


def _is_unusable(trial: TrialRecord) -> bool:
    return trial.state == "failed" and trial.kind in ("diverged", "infeasible")


def _recorded(trial: TrialRecord, full_budget: int) -> RecordedTrial:
    """An epoch that a kill swallowed has the value of the one before; a trial of a full budget that was smaller counts as cut."""
    is_done = trial.state == "complete" and trial.recipe["training"]["num_epochs"] == full_budget
    values: list[float] = []
    for epoch in range(1, trial.epoch + 1):
        values.append(trial.values.get(epoch, values[-1] if values else trial.values[min(trial.values)]))
    return RecordedTrial(trial.params, tuple(values), _is_unusable(trial), is_done)


@dataclass
class CurvesLeft:
    """What one rehearsed search has not drawn yet, and the best value so far after each epoch that it trained, of `num_epochs` at most."""

    places: ParamPlaces
    curves: StudyCurves
    objective: Objective
    num_epochs: int
    history: list[float] = field(default_factory=list)
    _trials: dict[int, RecordedTrial] = field(default_factory=dict)
    _best: float = math.nan

    def __post_init__(self) -> None:
        self._places_NP = self.places.places(trial.params for trial in self.curves.trials)
        self._unused = list(range(len(self.curves.trials)))

    @property
    def is_over(self) -> bool:
        """Whether the epochs are spent."""
        return len(self.history) >= self.num_epochs

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        """The nearest trial that is left."""
        row = self.places.nearest(self._places_NP, self.places.place(params), self._unused)
        self._unused.remove(row)
        self._trials[number] = self.curves.trials[row]

    def cost(self, number: int, epoch: int) -> float:
        """Every epoch is one."""
        return 1.0

    def train(self, number: int, epoch: int) -> Point:
        """Spend one."""
        point = self._trials[number].at(epoch)
        if math.isnan(self._best) or self.objective.is_better(point.value, self._best):
            self._best = point.value
        self.history.append(self._best)
        return point


def rehearsable(spec: StudySpec, curves: StudyCurves) -> StudySpec:
    """The spec with as many trials as there are curves, and no other limit."""
    budget = Budget(spec.budget.min_epochs, spec.budget.max_epochs, spec.budget.reduction_factor, num_trials=len(curves.trials))
    return replace(spec, budget=budget)
