"""Frozen records of what a study holds: trials, confirmations, candidates, how it ended; and the outcome of a call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.records.phase import Phase

CONSTRAINT = "constraint"
"""The kind of a failed trial that cost more than a constraint allows: it has no epochs, and does not count among `num_trials`."""

NO_MEMORY = "does not fit in memory"
"""How the reason of a trial begins that was infeasible for want of memory."""

INTERRUPTED = "interrupted"
"""How the reason of a trial begins that waits for nothing but a driver."""

STAGED = "staged: no worker has it yet"
"""The reason of a trial whose leg waits for a worker."""

Put = Callable[[Mapping[str, Any]], None]
"""Takes one event for MLflow; must not block."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the study's storage has it.

    `state` is one of complete (full budget or early stopping), pruned, failed, running (on a worker, or a driver is to hand it out) and
    waiting (at a rung, for a larger budget where the search is over, or where no search runs: `reason` says which).
    `value` is the objective after the last epoch, None when there is
    none; `values` has it by epoch. `kind` of a failed trial: diverged, infeasible, crashed, hung or constraint. `proposed_by`: who
    proposed it and from what, such as "tpe: from 12 values"; `start`: the key of the start recipe that it was begun from, if it was.
    `micro_batch`: pictures at a time, where memory allowed no more than that; 0: as the recipe says. `costs`: what is recorded of its
    costs, by name: what constraints asked for, and what training took. `repeats`: the objective of each network, where a trial has
    several, after the last epoch. `phases`: what a population decided of it, its beginning first, nothing before the first decision;
    params, recipe and fingerprint are then those of the last phase, and `values` its own epochs alone. `node` and `device` (a GPU's name,
    or cpu) trained it last, "" before any did; `attempt` counts from 1 and with each worker that it lost.
    """

    number: int
    state: str
    value: float | None
    epoch: int
    reason: str
    kind: str
    params: Mapping[str, Any]
    recipe: Mapping[str, Any]
    fingerprint: str
    values: Mapping[int, float]
    proposed_by: str = ""
    start: str = ""
    micro_batch: int = 0
    costs: Mapping[str, float] = field(default_factory=dict, compare=False)

    repeats: tuple[float, ...] = ()
    phases: tuple[Phase, ...] = ()
    node: str = field(default="", compare=False)
    device: str = field(default="", compare=False)
    attempt: int = field(default=1, compare=False)

    @property
    def as_trained(self) -> TrialRecipe:
        """The recipe with the micro-batch that was used, which is what batch normalisation saw."""
        training = {**self.recipe["training"], **({"micro_batch": self.micro_batch} if self.micro_batch else {})}
        return TrialRecipe(**{**self.recipe, "training": training})


@dataclass(frozen=True)
class Confirmation:
    """A recipe trained again in full on one fresh seed; figures of its last epoch, NaN with a `failure`, and the test's until it is tested.

    Where pictures have several classes the test has `test_map` in place of `test_top1`. `test_value` is the objective's own, which may be
    another than the two. `test_time_top1` is the test's by the views of `test_time`.
    """

    seed: int
    val_value: float
    test_top1: float = math.nan
    test_loss: float = math.nan
    failure: str = ""
    test_value: float | None = None
    test_time: str = "none"
    test_time_top1: float | None = None
    test_map: float | None = None

    @property
    def is_tested(self) -> bool:
        """Whether it met the test split."""
        return not self.failure and not math.isnan(self.test_loss)

    @property
    def test_figure(self) -> tuple[str, float]:
        """What a test is told by: top1, or map of pictures with several classes."""
        return ("top1", self.test_top1) if self.test_map is None else ("map", self.test_map)


def test_figures_of(tested: Sequence[Confirmation]) -> tuple[str, list[float]]:
    """The same of several, which are tested."""
    found = [one.test_figure for one in tested]
    return (found[0][0] if found else "top1"), [value for _, value in found]


def test_mean_of(tested: Sequence[Confirmation]) -> dict[str, float]:
    """Their mean by what they are told by, test_top1 or test_map; nothing of none."""
    name, values = test_figures_of(tested)
    return {f"test_{name}": fmean(values)} if values else {}


def tested_of(confirmations: Sequence[Confirmation], with_val: Confirmation | None) -> tuple[Confirmation, ...]:
    """A winner's trainings whose test figures are the winner's: of the one with the validation pictures alone, where it met the test."""
    if with_val is not None and with_val.is_tested:
        return (with_val,)
    return tuple(one for one in confirmations if one.is_tested)


@dataclass(frozen=True)
class Candidate:
    """One of the best trials of a search, trained again to find the winner among them. `probability`: of being the best of them.

    Without the probabilities where the study is older than races, or its race is not over.
    """

    number: int
    search_value: float
    confirmations: tuple[Confirmation, ...]
    probability: float | None = None


@dataclass(frozen=True)
class Ending:
    """A search has ended: of its `limits`, by the keys of the budget, `by` ended it; confirmations on `num_seeds` were wanted.

    What waits goes on only with more of that. `confirm` is the whole section, empty in studies older than races; where `visiontune confirm`
    changed it since, `confirm_of_file` is what the search's file had. `hours_to_go_on`: of a budget with which another
    call trains too, 0 where that is not known.
    """

    limits: Mapping[str, float]
    by: str
    num_seeds: int
    confirm: Mapping[str, Any] = field(default_factory=dict)
    confirm_of_file: Mapping[str, Any] = field(default_factory=dict)
    hours_to_go_on: float = 0.0


@dataclass(frozen=True)
class Driver:
    """A process that holds a study. What it says of itself `at_s` (time.time; 0: nothing yet): legs that run and that wait for machines,
    for how long none but those was there, nodes and GPUs of the cluster, and by number the trials whose legs they are.
    """

    pid: int
    host: str
    since: str
    at_s: float = 0.0
    phase: str = ""
    num_running: int = 0
    num_staged: int = 0
    waits_s: float = 0.0
    num_nodes: int = 0
    num_gpus: float = 0.0
    running_trials: tuple[int, ...] = ()
    staged_trials: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@dataclass(frozen=True)
class StudyRecord:
    """A whole study, read without starting anything. `trials` are by number; `best` is the first of the ranking (ranking.py).

    `rungs` end with the full budget, and are that alone where the trial scheduler has none. `num_trials` is how many are wanted, None
    where only time or epochs are limited. `brackets` are relative numbers of trials by the rung at which they begin; `highest_rung` is
    where promotions end now, for PASHA below the full budget. `ending` is None while the search goes on, or is to.
    `lowest_rung` is where trials are compared first, 0 where that is fixed. `spent` is by the keys of the budget, of all calls.
    `driver` searches it now. `pictures` is what the study knows of its pictures, nothing before they were read; `forecast` what its search
    was expected to take.
    `winner` is the trial that won the race among the `candidates`, best first, None before it is over; `confirmations` are the winner's,
    before that those of `best`. `with_val` is the winner's training on train and val together, `averaged` the mean of its weights;
    `kept` names the weights in winner.safetensors. `num_tests`: how often a winner met the
    test split.
    """

    name: str
    objective: Objective
    rungs: tuple[int, ...]
    num_trials: int | None
    trials: tuple[TrialRecord, ...]
    best: TrialRecord | None
    confirmations: tuple[Confirmation, ...] = ()
    identity: Mapping[str, Any] = field(default_factory=dict)
    ending: Ending | None = None
    spent: Mapping[str, float] = field(default_factory=dict)
    brackets: tuple[int, ...] = (1,)
    highest_rung: int = 0
    lowest_rung: int = 0
    pictures: Mapping[str, Any] = field(default_factory=dict)
    forecast: Mapping[str, Any] = field(default_factory=dict)
    winner: TrialRecord | None = None
    candidates: tuple[Candidate, ...] = ()
    with_val: Confirmation | None = None
    averaged: Confirmation | None = None
    kept: str = ""
    num_tests: int = 0
    driver: Driver | None = None

    @property
    def num_interrupted(self) -> int:
        """Trials that the next driver goes on with before all others."""
        return sum(trial.reason.startswith(INTERRUPTED) for trial in self.trials if trial.state == "waiting")

    @property
    def tested(self) -> tuple[Confirmation, ...]:
        """The winner's trainings that met the test split; the one with the validation pictures alone where it did."""
        return tested_of(self.confirmations, self.with_val)

    def trial(self, number: int) -> TrialRecord:
        """Raises UserError for a number that no trial has."""
        if not self.trials:
            raise UserError(f"study {self.name} has no trials yet")
        found = next((trial for trial in self.trials if trial.number == number), None)
        if found is None:
            raise UserError(f"study {self.name} has trials 0 to {len(self.trials) - 1}, but no trial {number}")
        return found

    @property
    def num_begun(self) -> int:
        """Trials that count among `num_trials`: all but those that a constraint refused."""
        return sum(trial.kind != CONSTRAINT for trial in self.trials)


@dataclass(frozen=True)
class Outcome:
    """How a call of `run_search` ended: finished, interrupted (go on with the same command) or budget.

    budget: the limit that `study.ending` names kept trials from going on.
    `num_new_epochs` were trained by this call, confirmations included.
    """

    status: str
    study: StudyRecord
    folder: StudyFolder
    num_new_trials: int
    num_new_epochs: int = 0
