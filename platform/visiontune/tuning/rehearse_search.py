"""Rehearsals: a search, as it is, on recorded curves, with workers that look their epochs up where others train. No Ray, no torch.

What searches is a `Rehearsed`: visiontune's own `SearchRun` here, other libraries' in benchmarks. What it draws from is a `Recorded`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.proposals.start_recipes import StartPoint, StartRecipes
from visiontune.tuning.records.leg import Report
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.study_storage import Storage

NUM_WORKERS = 4
NO_WEIGHTS = "has trials go on from each other's weights, and curves that are recorded have none to give: take another trial scheduler"


@dataclass(frozen=True)
class Begun:
    """A trial, or more of it, for a worker: epochs up to `known_epochs` are behind it. `key` is told with every report."""

    key: str
    number: int
    params: Mapping[str, Any]
    known_epochs: int = 0


@dataclass(frozen=True)
class Point:
    """The objective after an epoch, NaN where training diverged. `is_last`: training ended by itself, such as by early stopping."""

    value: float
    is_last: bool = False


class Rehearsed(Protocol):
    """What searches."""

    def next_leg(self) -> Begun | None:
        """Work for a free worker; None when there is nothing now."""

    def report(self, begun: Begun, epoch: int, point: Point) -> bool:
        """Take an epoch; whether the worker should go on with it."""


class Recorded(Protocol):
    """Curves that were recorded, and what of them a search has had."""

    @property
    def is_over(self) -> bool:
        """Whether the search has to end: its compute is spent, or there is no curve left for another trial."""

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        """A new trial: choose its curve."""

    def cost(self, number: int, epoch: int) -> float:
        """How long this epoch of the trial takes, in any unit."""

    def train(self, number: int, epoch: int) -> Point:
        """Spend the epoch."""


def drive(search: Rehearsed, recorded: Recorded, num_workers: int = NUM_WORKERS) -> None:
    """Run it with so many workers until there is nothing left to do, or the recorded curves say so."""
    legs: dict[str, tuple[Begun, int, float]] = {}
    begun: set[int] = set()
    now = 0.0
    while not recorded.is_over:
        while len(legs) < num_workers and not recorded.is_over and (leg := search.next_leg()) is not None:
            if leg.number not in begun:
                begun.add(leg.number)
                recorded.begin(leg.number, leg.params)
            epoch = leg.known_epochs + 1
            legs[leg.key] = (leg, epoch, now + recorded.cost(leg.number, epoch))
        if not legs:
            return
        now = min(end for _, _, end in legs.values())
        for key, (leg, epoch, end) in list(legs.items()):
            if end > now:
                continue
            if search.report(leg, epoch, recorded.train(leg.number, epoch)):
                legs[key] = (leg, epoch + 1, now + recorded.cost(leg.number, epoch + 1))
            else:
                del legs[key]


class OwnSearch:
    """visiontune's, on a storage in memory, without confirmations. `start` are params of start recipes, tried after the defaults.

    Raises UserError for a population: recorded curves have no weights that one trial could give another.
    """

    def __init__(self, spec: StudySpec, num_workers: int = NUM_WORKERS, start: Sequence[Mapping[str, Any]] = ()) -> None:
        if spec.is_population:
            raise UserError(f"{spec.trial_scheduler['name']} {NO_WEIGHTS}")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        memory = InMemoryStorage()
        direction = StudyDirection.MAXIMIZE if spec.objective.mode == "max" else StudyDirection.MINIMIZE
        self.storage = Storage(memory, memory.create_new_study([direction], spec.study))
        StartRecipes(spec, self.storage, ()).settle(StartPoint(f"start.{k}", "start recipe", params) for k, params in enumerate(start))
        self._metric = spec.objective.metric
        unconfirmed = replace(spec, confirm={**spec.confirm, "num_seeds": 0})
        self._run = SearchRun(unconfirmed, self.storage, StudyFolder(Path("no folder")), lambda event: None)
        self._run.num_slots = num_workers

    def next_leg(self) -> Begun | None:
        """A leg with the params of its trial."""
        leg = self._run.next_leg()
        return None if leg is None else Begun(leg.key, leg.number, self.storage.trial(leg.number).params, leg.known_epochs)

    def report(self, begun: Begun, epoch: int, point: Point) -> bool:
        """As from a worker."""
        return self._run.report(begun.key, Report(epoch, {self._metric: point.value}, 0, is_last=point.is_last))
