"""The frozen records that leave the spec floor: `TrialRecipe` for one trial, `StudySpec` for a search."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visiontune.spec.space import Space


@dataclass(frozen=True)
class TrialRecipe:
    """One trial, every default filled in. Each section is flat: a named entry's arguments stand beside its name."""

    data: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    model: Mapping[str, Any]
    transfer: Mapping[str, Any]
    regularization: Mapping[str, Any]
    loss: Mapping[str, Any]
    balance: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    augmentation: Mapping[str, Any]
    training: Mapping[str, Any]

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain nested dicts, as they stand in a recipe's YAML file."""
        return {part.name: json.loads(json.dumps(getattr(self, part.name))) for part in fields(self)}

    def flat(self) -> dict[str, Any]:
        """Dotted keys, for MLflow's params."""
        return flatten(self.to_dict())

    @property
    def fingerprint(self) -> str:
        """16 hex digits; equal for equal recipes on any machine. The order of ops counts, that of other keys does not."""
        return fingerprint({**self.to_dict(), "ops": list(self.augmentation)})


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
    """Epochs and trials that may be spent."""

    num_trials: int
    min_epochs: int
    max_epochs: int
    reduction_factor: int
    time_limit_s: float | None

    @property
    def rungs(self) -> tuple[int, ...]:
        """Exact epochs at which trials are compared, the full budget last: (1, 27, 3) gives (1, 3, 9, 27)."""
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

    def identity(self) -> dict[str, Any]:
        """Flat dotted content that may not change while a study of this name goes on.

        Left out is what only decides where and how long it runs: resources, storage, num_trials, time_limit_s, confirm.
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


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings to dotted keys; lists and values stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {prefix + key: value})
    return flat


def fingerprint(content: Mapping[str, Any]) -> str:
    """16 hex digits of SHA-256 over canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def keyed_seed(*key: int | str) -> int:
    """A 31-bit seed that is a function of its key alone: (study seed, "trial", number) and the like."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big") >> 1
