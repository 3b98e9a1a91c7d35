"""`StudySpec`, the frozen record of a search-space file: data, objective, budget, sampler, trial scheduler, resources, space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.spec.fingerprint import flatten
from visiontune.spec.sections import LIMITS
from visiontune.spec.space import Space
from visiontune.spec.start import Start


@dataclass(frozen=True)
class Objective:
    """The metric that is searched for; `mode` is "max" or "min"."""

    metric: str
    mode: str

    def is_better(self, a: float, b: float) -> bool:
        """Whether a beats b; NaN beats nothing."""
        return a > b if self.mode == "max" else a < b


@dataclass(frozen=True)
class Budget:
    """What a trial may have: min_epochs, max_epochs and reduction_factor; what the whole search may spend: the rest, None for no limit."""

    min_epochs: int
    max_epochs: int
    reduction_factor: int = 3
    num_trials: int | None = None
    epochs: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    patience: int | None = None
    stop_at: float | None = None
    max_epoch_s: float | None = None
    max_trial_hours: float | None = None

    @property
    def ends(self) -> dict[str, float]:
        """All that can end a search, by the keys of the file: the limits, patience and the target."""
        goals = {"patience": self.patience, "stop_at": self.stop_at}
        return {**self.limits, **{key: float(goal) for key, goal in goals.items() if goal is not None}}

    @property
    def limits(self) -> dict[str, float]:
        """What the whole search may spend, by the keys of the file: those of LIMITS that are given."""
        return {key: float(given) for key in LIMITS if (given := getattr(self, key)) is not None}

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared: min_epochs * reduction_factor^k up to max_epochs; 1, 27 and 3 give (1, 3, 9, 27).

        The last one is max_epochs for ASHA, which a study is checked for; other trial schedulers have no rungs.
        """
        rungs = [self.min_epochs]
        while rungs[-1] * self.reduction_factor <= self.max_epochs:
            rungs.append(rungs[-1] * self.reduction_factor)
        return tuple(rungs)


@dataclass(frozen=True)
class Resources:
    """What one trial gets; "auto" is settled when the cluster is known."""

    gpus_per_trial: float | str
    cpus_per_trial: int
    max_concurrent_trials: int | str


@dataclass(frozen=True)
class StudySpec:
    """The validated, frozen content of a search-space file."""

    study: str
    data: Mapping[str, Any]
    objective: Objective
    budget: Budget
    sampler: Mapping[str, Any]
    trial_scheduler: Mapping[str, Any]
    resources: Resources
    storage: Mapping[str, Any]
    confirm: Mapping[str, Any]
    space: Space
    start: Start = field(default_factory=Start)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared, the full budget last, which is all there is where the trial scheduler has no rungs."""
        return self.budget.rungs if self.trial_scheduler["name"] == "asha" else (self.budget.max_epochs,)

    def identity(self) -> dict[str, Any]:
        """Flat dotted content that may not change while a study of this name goes on.

        Left out is what only decides where and how long it runs, resources, storage, confirm, and the limits of the budget; and what it
        begins with, which may be added to at any time.
        """
        budget = {key: getattr(self.budget, key) for key in ("min_epochs", "max_epochs", "reduction_factor")}
        content = {
            "data": dict(self.data),
            "objective": {"metric": self.objective.metric, "mode": self.objective.mode},
            "budget": budget,
            "sampler": dict(self.sampler),
            "trial_scheduler": dict(self.trial_scheduler),
            "space": self.space.to_dict(),
        }
        flat = flatten(json.loads(json.dumps(content)))
        order = [key.partition(".probability")[0].partition(".magnitude")[0] for key in flat if key.startswith("space.augmentation.")]
        return {**flat, "space.augmentation.order": list(dict.fromkeys(order))}
