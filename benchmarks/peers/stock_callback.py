"""Ray's own MLflow callback by itself: control.py's peer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts.idle_search import answer
from visiontune.spec.declarations.domains import RandomParams
from visiontune.spec.parse import make_recipe
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.records.leg import Leg

TUNE_ADDS = ("time_this_iter_s", "time_total_s", "time_since_restore", "iterations_since_restore", "timestamp", "pid")


@dataclass(frozen=True)
class StockTrial:
    """What the stock callback reads of a Tune trial."""

    config: Mapping[str, Any]
    trial_id: str = "stock"

    def __hash__(self) -> int:
        return hash(self.trial_id)

    def __str__(self) -> str:
        return self.trial_id


def stock_results_per_s(spec: StudySpec, num_results: int, folder: Path) -> float:
    """Results that MLflowLoggerCallback takes a second, with the fields that Tune adds to each."""
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    recipe = make_recipe(spec, spec.space.resolve(RandomParams(0)), 0)
    trial: Any = StockTrial(recipe.flat())
    callback = MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder}/stock.db", experiment_name="stock")
    callback.setup()
    callback.log_trial_start(trial)
    started = time.perf_counter()
    for epoch in range(1, num_results + 1):
        metrics = {**answer(Leg("00000", 0, recipe, 0), epoch).metrics, **dict.fromkeys(TUNE_ADDS, 1)}
        callback.log_trial_result(epoch, trial, {**metrics, "training_iteration": epoch, "config": trial.config})
    return num_results / (time.perf_counter() - started)
