"""Searches on recorded curves: visiontune's own search run, and Ray's stock pair, with workers that look their epochs up."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from parts.recorded_curves import Curves, Grid, Point
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.parse import make_recipe
from visiontune.tuning.records import Leg, Report

NUM_WORKERS = 4
CHANCE = 0.1
STOCK_STARTUP = 10  # random trials before Optuna's TPE, its default


@dataclass
class Best:
    """The test accuracy of the model with the best validation accuracy so far, after each unit of compute."""

    num_units: int
    history: list[float] = field(default_factory=list)
    value: float = -math.inf
    test: float = CHANCE

    def spend(self, point: Point | None) -> None:
        """One epoch of one trial; None where it diverged."""
        if point is not None and point[0] > self.value:
            self.value, self.test = point
        self.history.append(self.test)

    @property
    def is_over(self) -> bool:
        """Whether the compute is spent."""
        return len(self.history) >= self.num_units


def point_at(points: list[Point], epoch: int) -> Point | None:
    """What the curve says at an epoch from 1; None once it diverged."""
    return points[epoch - 1] if epoch <= len(points) else None


def rehearse(grid: Grid, curves: Curves, num_units: int, seed: int, *, sampler: str, rule: str) -> tuple[list[float], float]:
    """One search by visiontune's SearchRun on a storage in memory; its history and the share of proposals by TPE."""
    from optuna.storages import InMemoryStorage
    from optuna.study import StudyDirection

    from visiontune.tuning.search_run import SearchRun
    from visiontune.tuning.study_storage import Storage

    spec = grid.spec(f"sampler.name={sampler}", f"sampler.seed={seed}", f"trial_scheduler={rule}")
    memory = InMemoryStorage()
    storage = Storage(memory, memory.create_new_study([StudyDirection.MAXIMIZE], spec.study))
    run = SearchRun(spec, storage, StudyFolder(Path("no folder")), lambda event: None)
    run.num_slots = NUM_WORKERS
    best, legs = Best(num_units), dict[str, tuple[Leg, int]]()
    while not best.is_over:
        while (leg := run.next_leg()) is not None:
            legs[leg.key] = (leg, leg.known_epochs + 1)
        for key, (leg, epoch) in list(legs.items()):
            point = point_at(curves[grid.key_of(leg.recipe)], epoch)
            best.spend(point)
            if run.report(key, Report(epoch, {"val_top1": point[0] if point else math.nan}, 0)):
                legs[key] = (leg, epoch + 1)
            else:
                del legs[key]
    by_tpe = [trial.user_attrs["proposed_by"].startswith("tpe") for trial in storage.trials()]
    return best.history[:num_units], statistics.fmean(by_tpe)


def rehearse_stock(grid: Grid, curves: Curves, num_units: int, seed: int) -> tuple[list[float], float]:
    """One search by Ray's searcher and scheduler. What diverged has the accuracy of chance, as a user's own loop reports it."""
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from visiontune.spec.domains import FixedParams

    spec = grid.spec()
    search = OptunaSearch(lambda trial: void(spec.space.resolve(trial)), metric="val_top1", mode="max", seed=seed)
    asha = ASHAScheduler(metric="val_top1", mode="max", max_t=grid.num_epochs, grace_period=1, reduction_factor=3)
    best, running, number = Best(num_units), dict[str, tuple[Any, list[Point]]](), 0
    while not best.is_over:
        while len(running) < NUM_WORKERS:
            name, number = str(number), number + 1
            params = search.suggest(name)
            trial = SimpleNamespace(trial_id=name, epoch=0)
            asha.on_trial_add(None, trial)
            recipe = make_recipe(spec, spec.space.resolve(FixedParams(params or {})), 0)
            running[name] = (trial, curves[grid.key_of(recipe)])
        for name, (trial, points) in list(running.items()):
            trial.epoch += 1
            point = point_at(points, trial.epoch)
            best.spend(point)
            result = {"val_top1": point[0] if point else CHANCE, "training_iteration": trial.epoch}
            if asha.on_trial_result(None, trial, result) == "STOP":
                asha.on_trial_complete(None, trial, result)
                search.on_trial_complete(name, result)
                del running[name]
            else:
                search.on_trial_result(name, result)
    return best.history[:num_units], max(0, number - STOCK_STARTUP) / number


def void(_: Any) -> None:
    """OptunaSearch takes a returned dict for constants."""
