"""Searches on recorded tables: visiontune's own search run and its peers, with workers that look their epochs up."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from parts.peer_searches import Draw, OneEpochForAll, PlainOptuna, RaySearch, random_draws
from parts.recorded_tables import ANY_STUDY, NUM_POINTS, Table
from parts.syne_tune_search import SyneTuneSearch, process_of
from visiontune.spec.parse import load_study
from visiontune.spec.space.defaults import default_params
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.rehearse_search import OwnSearch, Point, Rehearsed, drive

_ROUNDING = 1e-9


@dataclass
class Progress:
    """The score of the model with the best validation value so far, after each unit of compute: a mean epoch of the table.

    Every row is used once in a search. Where none is left, trials that begin are never done, those that have a row go on, and the search is
    over when no other is left.
    """

    table: Table
    num_units: int
    scores: list[float] = field(default_factory=list)
    best: tuple[float, float] = (-math.inf, 0.0)
    unused: list[int] = field(default_factory=list)
    rows: dict[int, int] = field(default_factory=dict)
    spent: float = 0.0
    is_stuck: bool = False

    def __post_init__(self) -> None:
        self.unused = list(range(len(self.table.val_NP)))

    @property
    def is_over(self) -> bool:
        """Whether the compute is spent, or all workers have trials without a row."""
        return len(self.scores) >= self.num_units or self.is_stuck

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        """The nearest row not used yet, if any."""
        if not self.unused:
            return
        row = self.rows[number] = self.table.nearest(params, self.unused)
        self.unused.remove(row)

    def cost(self, number: int, epoch: int) -> float:
        """By the row's own seconds, where the table has them; infinite without a row."""
        return float(self.table.cost_N[self.rows[number]]) if number in self.rows else math.inf

    def train(self, number: int, epoch: int) -> Point:
        """One epoch of a run; until it ends the best is what it was."""
        if number not in self.rows:  # the first to end is never done
            self.is_stuck = True
            return Point(math.nan)
        row = self.rows[number]
        value, score = float(self.table.val_NP[row, epoch - 1]), float(self.table.score_NP[row, epoch - 1])
        self.spent += self.cost(number, epoch)
        while len(self.scores) + 1 < self.spent - _ROUNDING:
            self.scores.append(self.best[1])
        if value > self.best[0] and math.isfinite(score):
            self.best = (value, score)
        if len(self.scores) + 1 <= self.spent + _ROUNDING:
            self.scores.append(self.best[1])
        return Point(value)

    def history(self) -> list[float]:
        """As long as the compute."""
        return (self.scores + [self.best[1]] * self.num_units)[: self.num_units]


@dataclass(frozen=True)
class Case:
    """What a search is made for: a table, a seed, the trials' worth of its budget, recipes from other tables, and who runs Syne Tune."""

    table: Table
    seed: int
    num_trials: int
    start: Sequence[Mapping[str, Any]] = ()
    syne_tune: Path | None = None


Build = Callable[[Case], Rehearsed]


def _own(sampler: str) -> Build:
    return lambda case: OwnSearch(spec_of(case.table, sampler, case.seed), start=case.start)


def _ray(case: Case) -> Rehearsed:
    return RaySearch(case.table.space, NUM_POINTS, case.seed)


def _ray_random(case: Case) -> Rehearsed:
    return RaySearch(case.table.space, NUM_POINTS, case.seed, draws=random_draws(case.table.space, case.seed))


def _ray_started(case: Case) -> Rehearsed:
    return RaySearch(case.table.space, NUM_POINTS, case.seed, start=_first(case))


def _first(case: Case) -> list[Mapping[str, Any]]:
    """The defaults, as in ours, then the recipes from other tables, where there are any."""
    return [default_params(case.table.space), *case.start]


def _syne_tune(scheduler: str, first: Callable[[Case], Sequence[Mapping[str, Any]]] = _first) -> Build:
    def build(case: Case) -> Rehearsed:
        assert case.syne_tune is not None
        return SyneTuneSearch(process_of(case.syne_tune), scheduler, case.table.space, NUM_POINTS, case.seed, first(case))

    return build


def _optuna(use_hyperband: bool) -> Build:
    return lambda case: PlainOptuna(case.table.space, NUM_POINTS, case.seed, use_hyperband=use_hyperband)


def _one_epoch(case: Case) -> Rehearsed:
    return OneEpochForAll(random_draws(case.table.space, case.seed), min(case.num_trials, len(case.table.params)), NUM_POINTS)


STOCK, DEFAULT = "stock pair: OptunaSearch + Ray's ASHA", "default"
KINDS: Mapping[str, Build] = {
    STOCK: _ray,
    "stock pair, start recipes": _ray_started,
    "random, Ray's ASHA": _ray_random,
    "plain Optuna": _optuna(False),
    "plain Optuna, Hyperband": _optuna(True),
    "one epoch for all": _one_epoch,
    "random, promotes": _own("random"),
    DEFAULT: _own("tpe"),
}
"""How a table is searched, with what it says itself."""

ORACLE = "oracle"

SYNE_TUNE: Mapping[str, Build] = {
    "Syne Tune ASHA": _syne_tune("ASHA", lambda case: ()),
    "Syne Tune ASHA, start recipes": _syne_tune("ASHA"),
    "Syne Tune CQR, start recipes": _syne_tune("ASHACQR"),
}
"""Where an interpreter was named that has it."""

SLOW = frozenset({"Syne Tune CQR, start recipes"})
"""Searches that take longer than all others together: a third of a second and more for each proposal."""

STARTED: Mapping[str, Build] = {"stock pair, the same recipes": _ray_started, "start recipes from other tables": _own("tpe")}
"""With recipes from other tables."""

BY_BUDGET = frozenset({"one epoch for all"})
"""Searches that have to know their budget from the start."""


def search_table(case: Case, kind: str, num_units: int) -> list[float]:
    """One search."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    progress = Progress(case.table, num_units)
    if kind == ORACLE:
        return oracle(progress, random_draws(case.table.space, case.seed))
    drive({**KINDS, **SYNE_TUNE, **STARTED}[kind](case), progress)
    return progress.history()


def oracle(progress: Progress, draws: Draw) -> list[float]:
    """The score after each unit of a trial scheduler that knows every curve after its first epoch, and so trains but one, or a part of it.

    For each unit anew: the best point of all curves that can be had by then, where a random recipe costs one epoch to know and only the
    one of that point is trained beyond. No scheduling of these recipes in their order does better.
    """
    spent, known = 0.0, []
    while progress.unused and spent < progress.num_units:
        number = len(progress.rows)
        progress.begin(number, draws(number))
        row, cost = progress.rows[number], progress.cost(number, 1)
        spent += cost
        for epoch in np.flatnonzero(np.isfinite(progress.table.score_NP[row])).tolist():
            known.append((spent + epoch * cost, progress.table.val_NP[row, epoch], progress.table.score_NP[row, epoch]))
    known.sort(key=lambda point: point[0])
    for end, value, score in known:
        while len(progress.scores) + 1 < end - _ROUNDING and len(progress.scores) < progress.num_units:
            progress.scores.append(progress.best[1])
        if value > progress.best[0]:
            progress.best = (float(value), float(score))
    return progress.history()


def spec_of(table: Table, sampler: str, seed: int) -> StudySpec:
    """A study whose space is the table's."""
    return replace(load_study({**ANY_STUDY, "sampler": {"name": sampler, "seed": seed}}), space=table.space)
