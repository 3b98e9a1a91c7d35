"""Samplers: who proposes, and from what. Proposal n is a function of (seed, n, what the sampler learned), nothing else.

Optuna's samplers work on a study of their own in memory, which holds what they may learn from (lessons.py) and what was
proposed and is on its first worker now. So states in the storage can be honest without misleading them, and nothing they keep is
ever restored: after a restart the study in memory is filled again from the storage.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from visiontune.errors import UserError, plural
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.search import LEARNING, SAMPLERS, THINNED, does_learn
from visiontune.tuning.proposals.any_sampler import could_not_propose, sampler_problems
from visiontune.tuning.proposals.known_lessons import KnownLessons
from visiontune.tuning.proposals.lessons import lesson
from visiontune.tuning.proposals.sobol import sobol_params
from visiontune.tuning.proposals.start_recipes import StartPoint, start_key
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.trial_scheduler import make_trial_scheduler

PICKLED = "optimizer:"
"""In the names of a sampler's notes that are parts of a pickle."""

_BEFORE = 10**9
"""Lessons are numbered below zero, in their order: before all that is asked for in the study in memory."""


class LessonStorage(InMemoryStorage):
    """Optuna's, with lessons and what is on workers as they are among its trials: it would copy each for every proposal, 0.1 ms a piece.

    For samplers that look at trials and not at their ids.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lessons: list[FrozenTrial] = []

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        asked = super().get_all_trials(study_id, deepcopy, states)
        return [*(trial for trial in self.lessons if states is None or trial.state in states), *asked]


@dataclass(frozen=True)
class Proposal:
    """Params with their distributions, the recipe's sections, the sampler's system attributes for the trial, and why these params."""

    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    sections: dict[str, dict[str, Any]]
    notes: dict[str, Any]
    reason: str


class Proposer:
    """Asks the study's sampler for params; `learn` tells it what became of trials. Raises UserError for a class that is gone or fails."""

    def __init__(self, spec: StudySpec, past: Iterable[FrozenTrial]) -> None:
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._spec = spec
        self._lessons = KnownLessons(spec.objective)
        self._on_worker: dict[int, FrozenTrial] = {}
        self._notes: dict[int, dict[str, Any]] = {}
        self._memory = LessonStorage()
        self._study: optuna.Study | None = None
        self._pauses = make_trial_scheduler(spec.trial_scheduler, spec.budget, Curves(spec.objective)).pauses
        self._does_wait = does_learn(str(spec.sampler["name"]))
        self._points: Iterator[tuple[int, dict[str, Any]]] = iter(())
        if spec.sampler["name"] == "grid":
            self._points = enumerate(spec.space.grid())
        self._num_started = 0
        past = list(past)
        problems = list(sampler_problems(spec)) if past else []  # of a new study the preflight tells them, with all the rest
        if problems:
            raise UserError(*problems)
        for trial in past:
            self._num_started += bool(start_key(trial))
            self.learn(trial)
            self._find_begun(trial)

    def propose(self, number: int, start: StartPoint | None = None) -> Proposal | None:
        """What trial `number` should be, a start point where there is one; None when a grid has no such point."""
        name, study = str(self._spec.sampler["name"]), self._filled()
        if start is not None:
            self._num_started += 1
            study.enqueue_trial(dict(start.params))
            reason = start.reason
        elif name == "grid":
            wanted = number - self._num_started
            point = next((params for index, params in self._points if index == wanted), None)
            if point is None:
                return None
            study.enqueue_trial(point)
            reason = f"grid: point {wanted}"
        else:
            reason = self._choose_sampler(study, name, number)
        return self._ask(study, number, reason)

    def learn(self, trial: FrozenTrial) -> None:
        """The trial is at a rung or has ended: keep away from it no more, and learn from it what there is to learn."""
        self._on_worker.pop(trial.number, None)
        notes = {**_without_pickles(trial.system_attrs), **self._notes.get(trial.number, {})}
        learned = lesson(trial, notes, self._spec.rungs, self._pauses(trial.number), self._spec.objective.costs)
        if learned is not None:
            learned.number = trial.number - _BEFORE
            self._lessons.add(trial.number, learned)
        elif trial.state.is_finished():  # given up by a machine's fault, whatever it taught before
            self._lessons.forget(trial.number)
        self._study = None

    def _find_begun(self, trial: FrozenTrial) -> None:
        """Keep away from a trial of the storage that was on its first worker when an earlier driver left: it is handed out again."""
        if not trial.state.is_finished() and trial.intermediate_values.keys().isdisjoint(self._pauses(trial.number)):
            known: dict[str, Any] = {"params": trial.params, "distributions": trial.distributions, "system_attrs": trial.system_attrs}
            self._on_worker[trial.number] = create_trial(state=TrialState.RUNNING, **known)

    def _filled(self) -> optuna.Study:
        """The study in memory: made again where something was learnt, as Optuna's can't forget. Random draws and grids need no lessons."""
        if self._study is None:
            name = self._spec.sampler["name"]
            direction = StudyDirection.MAXIMIZE if self._spec.objective.mode == "max" else StudyDirection.MINIMIZE
            self._memory = LessonStorage()
            directions = [direction, *[StudyDirection.MINIMIZE] * len(self._spec.objective.costs)]
            self._study = optuna.create_study(storage=self._memory, directions=directions)
            if name == "optuna":  # whose samplers may look at ids
                known = [(lesson.number + _BEFORE, lesson) for lesson in self._lessons.all()]
                for _, trial in sorted([*known, *self._on_worker.items()], key=lambda pair: pair[0]):
                    self._study.add_trial(trial)
            elif name not in ("random", "grid"):
                self._memory.lessons = [*self._thinned(), *self._begun()]
        return self._study

    def _thinned(self) -> list[FrozenTrial]:
        """The lessons, of which some samplers are given a part."""
        is_part = THINNED in SAMPLERS.entries[self._spec.sampler["name"]].traits
        return self._lessons.part() if is_part else self._lessons.all()

    def _begun(self) -> list[FrozenTrial]:
        """What is on a worker, numbered after all lessons and before what is asked for."""
        begun = [trial for _, trial in sorted(self._on_worker.items())]
        for place, trial in enumerate(begun):
            trial.number = place - len(begun)
        return begun

    def _choose_sampler(self, study: optuna.Study, name: str, number: int) -> str:
        """Who proposes, with a seed of its own: the sequence, chance or the study's sampler."""
        study_seed = int(self._spec.sampler["seed"])
        seed = keyed_seed(study_seed, "proposal", number)
        num_values = self._lessons.num_values
        if self._does_wait and num_values < self._spec.sampler["num_startup"]:
            study.enqueue_trial(sobol_params(self._spec.space, keyed_seed(study_seed, "sobol"), number))
            return f"Sobol sequence: {num_values} of {self._spec.sampler['num_startup']} values to learn from"
        every = int(self._spec.sampler["random_every"]) if self._does_wait else 0
        if every and number % every == 0:
            study.sampler = RandomSampler(seed=seed)
            return f"random: one in {every}"
        entry, args = chosen(SAMPLERS, self._spec.sampler, "name")
        own = {key: value for key, value in args.items() if key not in LEARNING}
        study.sampler = entry.load()(self._spec, seed, **own)
        return f"{name}: from {plural(num_values, 'value')}"

    def _ask(self, study: optuna.Study, number: int, reason: str) -> Proposal:
        try:
            return self._asked(study, number, reason)
        except Exception as error:
            if self._spec.sampler["name"] != "optuna":
                raise
            raise could_not_propose(self._spec, number, error) from error

    def _asked(self, study: optuna.Study, number: int, reason: str) -> Proposal:
        trial = study.ask()
        sections = self._spec.space.resolve(trial)
        notes = {key: value for key, value in self._memory.get_trial_system_attrs(trial._trial_id).items() if key != "fixed_params"}
        params, distributions = trial.params, trial.distributions  # each time a deep copy
        self._on_worker[number] = create_trial(state=TrialState.RUNNING, params=params, distributions=distributions, system_attrs=notes)
        self._notes[number] = notes
        return Proposal(params, distributions, sections, _without_pickles(notes), reason)


def _without_pickles(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's CMA-ES keeps itself as a pickle in trials. None gets into the storage, and none of the storage is ever loaded."""
    return {key: value for key, value in notes.items() if PICKLED not in key}
