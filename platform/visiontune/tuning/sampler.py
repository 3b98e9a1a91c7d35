"""Samplers: who proposes, and from what. Proposal n is a function of (seed, n, what the sampler learned), nothing else.

Optuna's samplers work on a study of their own in memory, which holds what they may learn from (lessons.py) and what was
proposed and is on its first worker now. So states in the storage can be honest without misleading them, and nothing they keep is
ever restored: after a restart the study in memory is filled again from the storage.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from visiontune.spec.fingerprint import keyed_seed
from visiontune.spec.study_spec import StudySpec
from visiontune.spec.tables.search import SAMPLERS
from visiontune.tuning.lessons import MIN_VALUES, lesson

LEARN_FROM_VALUES = frozenset({"tpe", "gp"})
"""Samplers that wait for MIN_VALUES; the evolutionary ones have a random first generation of their own."""

_PICKLED = "cma:optimizer"
"""CMA-ES keeps a pickle of itself in its trials' notes; it must not get into the storage, where a restart would load it."""


@dataclass(frozen=True)
class Proposal:
    """Params with their distributions, the recipe's sections, the sampler's system attributes for the trial, and why these params."""

    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    sections: dict[str, dict[str, Any]]
    notes: dict[str, Any]
    reason: str


class Proposer:
    """Asks the study's sampler for params; `left_worker` and `ended` report to it what became of trials."""

    def __init__(self, spec: StudySpec, past: Iterable[FrozenTrial]) -> None:
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        direction = StudyDirection.MAXIMIZE if spec.objective.mode == "max" else StudyDirection.MINIMIZE
        self._spec = spec
        self._memory = InMemoryStorage()
        self._memory_study = optuna.create_study(storage=self._memory, direction=direction)
        self._on_worker: dict[int, Trial] = {}
        self._notes: dict[int, dict[str, Any]] = {}
        self._num_values = 0
        self._points: Iterator[tuple[int, dict[str, Any]]] = iter(())
        if spec.sampler["name"] == "grid":
            self._points = enumerate(spec.space.grid())
        ended = [trial for trial in past if trial.datetime_complete is not None]
        for trial in sorted(ended, key=lambda trial: (trial.datetime_complete, trial.number)):
            self.ended(trial)

    def propose(self, number: int) -> Proposal | None:
        """What trial `number` should be; None when a grid has no such point."""
        name = str(self._spec.sampler["name"])
        if name == "grid":
            point = next((params for index, params in self._points if index == number), None)
            if point is None:
                return None
            self._memory_study.enqueue_trial(point)
            reason = f"grid: point {number}"
        else:
            reason = self._choose_sampler(name, number)
        return self._ask(number, reason)

    def left_worker(self, number: int) -> None:
        """The trial waits or ended: the sampler need not keep away from it any more."""
        trial = self._on_worker.pop(number, None)
        if trial is not None:
            self._memory_study.tell(trial, state=TrialState.FAIL)

    def ended(self, trial: FrozenTrial) -> None:
        """Learn from an ended trial."""
        self.left_worker(trial.number)
        learned = lesson(trial, {**trial.system_attrs, **self._notes.pop(trial.number, {})})
        if learned is not None:
            self._memory_study.add_trial(learned)
            self._num_values += learned.state is TrialState.COMPLETE

    def _choose_sampler(self, name: str, number: int) -> str:
        seed = keyed_seed(int(self._spec.sampler["seed"]), "proposal", number)
        if name in LEARN_FROM_VALUES and self._num_values < MIN_VALUES:
            self._memory_study.sampler = random(seed)
            return f"random: {self._num_values} of {MIN_VALUES} full-budget values"
        build: Callable[[int], BaseSampler] = SAMPLERS.entries[name].load()
        self._memory_study.sampler = build(seed)
        return f"{name}: from {self._num_values} full-budget values"

    def _ask(self, number: int, reason: str) -> Proposal:
        trial = self._memory_study.ask()
        sections = self._spec.space.resolve(trial)
        self._on_worker[number] = trial
        notes = self._memory.get_trial_system_attrs(trial._trial_id)
        self._notes[number] = {key: value for key, value in notes.items() if key != "fixed_params"}
        kept = {key: value for key, value in self._notes[number].items() if not key.startswith(_PICKLED)}
        return Proposal(trial.params, trial.distributions, sections, kept, reason)


def tpe(seed: int) -> BaseSampler:
    """Multivariate TPE with one model for each group of params that occur together, so that branches stay joint."""
    return TPESampler(seed=seed, n_startup_trials=0, multivariate=True, group=True, constant_liar=True)


def random(seed: int) -> BaseSampler:
    """Independent draws."""
    return RandomSampler(seed=seed)


def gp(seed: int) -> BaseSampler:
    """Gaussian process; params under a branch are drawn at random."""
    return GPSampler(seed=seed, n_startup_trials=0)


def cmaes(seed: int) -> BaseSampler:
    """CMA-ES; starts its distribution again after a restart, since its own state is a pickle."""
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def nsga2(seed: int) -> BaseSampler:
    """NSGA-II with Optuna's population of 50."""
    return NSGAIISampler(seed=seed)
