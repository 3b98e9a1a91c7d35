"""Searches on recorded tables: visiontune's own search run, and Ray's scheduler and searcher, with workers that look their epochs up."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from parts.recorded_tables import NUM_POINTS, Table, TableSpace
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.domains import FixedParams, RandomParams
from visiontune.spec.fingerprint import keyed_seed
from visiontune.spec.parse import load_study
from visiontune.spec.study_spec import StudySpec
from visiontune.tuning.records import Leg, Report

NUM_WORKERS = 4
STOCK = "stock pair: OptunaSearch + Ray's ASHA"
KINDS = (STOCK, "random, Ray's ASHA", "random, promotes", "default")
WORST = -1e9
"""What a user's own loop reports of a diverged run."""


@dataclass
class Progress:
    """The score of the model with the best validation value so far, after each unit of compute."""

    table: Table
    num_units: int
    scores: list[float] = field(default_factory=list)
    best: tuple[float, float] = (-math.inf, 0.0)
    unused: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.unused = set(range(len(self.table.val_NP)))

    def train(self, row: int, epoch: int) -> float:
        """One epoch of a run: its validation value, NaN where it diverged."""
        value, score = float(self.table.val_NP[row, epoch - 1]), float(self.table.score_NP[row, epoch - 1])
        if value > self.best[0] and math.isfinite(score):
            self.best = (value, score)
        self.scores.append(self.best[1])
        return value

    @property
    def is_over(self) -> bool:
        """Whether the compute is spent, or every run was used."""
        return len(self.scores) >= self.num_units or not self.unused

    def history(self) -> list[float]:
        """As long as the compute."""
        return (self.scores + [self.best[1]] * self.num_units)[: self.num_units]


def search_table(table: Table, kind: str, num_units: int, seed: int) -> list[float]:
    """One search."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    spec, progress = spec_of(table, "tpe" if kind == "default" else "random", seed), Progress(table, num_units)
    if kind in ("default", "random, promotes"):
        _search(spec, progress)
    else:
        _search_by_ray(spec, progress, seed, is_random=kind != STOCK)
    return progress.history()


def spec_of(table: Table, sampler: str, seed: int) -> StudySpec:
    """A study whose space is the table's params."""
    study = {
        "study": "table",
        "data": {"source": "digits"},
        "budget": {"num_trials": 100_000, "max_epochs": NUM_POINTS},
        "confirm": {"num_seeds": 0},
        "sampler": {"name": sampler, "seed": seed},
        "space": {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}},
    }
    spec = load_study(study)
    return replace(spec, space=TableSpace(dict(table.domains), sections=spec.space.resolve(FixedParams({}))))


def _search(spec: StudySpec, progress: Progress) -> None:
    """visiontune's."""
    from optuna.storages import InMemoryStorage
    from optuna.study import StudyDirection

    from visiontune.tuning.search_run import SearchRun
    from visiontune.tuning.study_storage import Storage

    memory = InMemoryStorage()
    storage = Storage(memory, memory.create_new_study([StudyDirection.MAXIMIZE], spec.study))
    run = SearchRun(spec, storage, StudyFolder(Path("no folder")), lambda event: None)
    run.num_slots = NUM_WORKERS
    rows: dict[int, int] = {}
    legs: dict[str, tuple[Leg, int]] = {}
    while not progress.is_over:
        while progress.unused and (leg := run.next_leg()) is not None:
            legs[leg.key] = (leg, leg.known_epochs + 1)
            if leg.number not in rows:
                rows[leg.number] = progress.table.nearest(storage.trial(leg.number).params, progress.unused)
        for key, (leg, epoch) in list(legs.items()):
            value = progress.train(rows[leg.number], epoch)
            if run.report(key, Report(epoch, {"val_top1": value}, 0)):
                legs[key] = (leg, epoch + 1)
            else:
                del legs[key]


def _search_by_ray(spec: StudySpec, progress: Progress, seed: int, *, is_random: bool) -> None:
    """Ray's scheduler, and its searcher or random draws."""
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    search = OptunaSearch(lambda trial: _void(spec.space.resolve(trial)), metric="value", mode="max", seed=seed)
    suggest: Callable[[str], Mapping[str, Any]] = search.suggest if not is_random else lambda name: _drawn(spec, seed, int(name))
    asha = ASHAScheduler(metric="value", mode="max", max_t=NUM_POINTS, grace_period=1, reduction_factor=3)
    running: dict[str, tuple[Any, int]] = {}
    number = 0
    while not progress.is_over:
        while progress.unused and len(running) < NUM_WORKERS:
            name, number = str(number), number + 1
            row = progress.table.nearest(suggest(name), progress.unused)
            trial = SimpleNamespace(trial_id=name, epoch=0)
            asha.on_trial_add(None, trial)
            running[name] = (trial, row)
        for name, (trial, row) in list(running.items()):
            trial.epoch += 1
            value = progress.train(row, trial.epoch)
            result = {"value": value if math.isfinite(value) else WORST, "training_iteration": trial.epoch}
            if asha.on_trial_result(None, trial, result) == "STOP":
                asha.on_trial_complete(None, trial, result)
                del running[name]
                if not is_random:
                    search.on_trial_complete(name, result)
            elif not is_random:
                search.on_trial_result(name, result)


def _drawn(spec: StudySpec, seed: int, number: int) -> dict[str, Any]:
    draw = RandomParams(keyed_seed(seed, "trial", number))
    return {name: domain.ask(name, draw) for name, domain, _ in spec.space.domains()}


def _void(_: Any) -> None:
    """OptunaSearch takes a returned dict for constants."""
