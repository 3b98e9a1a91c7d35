"""Searches on the recorded curves of a grid: visiontune's own search run, and Ray's stock pair."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parts.peer_searches import STOCK_STARTUP, RaySearch
from parts.recorded_curves import Curves, Grid
from visiontune.spec.declarations.domains import FixedParams
from visiontune.spec.parse import make_recipe
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.rehearse_search import OwnSearch, Point, drive

CHANCE = 0.1


@dataclass
class GridCurves:
    """The test accuracy of the model with the best validation accuracy so far, after each unit of compute, one epoch each."""

    grid: Grid
    curves: Curves
    spec: StudySpec
    num_units: int
    history: list[float] = field(default_factory=list)
    best: tuple[float, float] = (-math.inf, CHANCE)
    _keys: dict[int, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether the compute is spent."""
        return len(self.history) >= self.num_units

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        """A proposal has its own curve, but for the learning rate's level; one may be used twice."""
        self._keys[number] = self.grid.key_of(make_recipe(self.spec, self.spec.space.resolve(FixedParams(params)), 0))

    def cost(self, number: int, epoch: int) -> float:
        """Every epoch is one unit."""
        return 1.0

    def train(self, number: int, epoch: int) -> Point:
        """One epoch; a curve that is shorter diverged."""
        points = self.curves[self._keys[number]]
        if epoch <= len(points):
            self.best = max(self.best, points[epoch - 1], key=lambda point: point[0])
        self.history.append(self.best[1])
        return Point(points[epoch - 1][0] if epoch <= len(points) else math.nan)


def rehearse(grid: Grid, curves: Curves, num_units: int, seed: int, *, sampler: str, rule: str) -> tuple[list[float], float]:
    """One search by visiontune; its history and the share of proposals by TPE."""
    spec = grid.spec(f"sampler.name={sampler}", f"sampler.seed={seed}", f"trial_scheduler={rule}")
    recorded, search = GridCurves(grid, curves, spec, num_units), OwnSearch(spec)
    drive(search, recorded)
    by_tpe = [trial.user_attrs["proposed_by"].startswith("tpe") for trial in search.storage.trials()]
    return recorded.history[:num_units], statistics.fmean(by_tpe)


def rehearse_stock(grid: Grid, curves: Curves, num_units: int, seed: int) -> tuple[list[float], float]:
    """One search by Ray's searcher and scheduler. What diverged has the accuracy of chance, as a user's own loop reports it."""
    spec = grid.spec()
    recorded, search = GridCurves(grid, curves, spec, num_units), RaySearch(spec.space, grid.num_epochs, seed, worst=CHANCE)
    drive(search, recorded)
    return recorded.history[:num_units], max(0, search.number - STOCK_STARTUP) / search.number
