"""The one ranking of trials: for the leaderboard, the best so far on the screen, the winner, and who keeps a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable

from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.records.records import TrialRecord

Key = tuple[bool, float, float, tuple[float, ...], int]


def ranked(trials: Iterable[TrialRecord], objective: Objective) -> list[TrialRecord]:
    """Best first: by the epoch reached, then by value, then the older one; what failed or has no finite value last.

    Of equal values the one with the lower costs, where there are objectives beside the metric.

    Values at different epochs are not compared: a trial at 9 epochs is ahead of every trial at 3, so that a lucky first epoch never
    stands above a trial that was trained to the end. A complete trial counts as having reached its full budget, also by early stopping;
    one of a smaller full budget, before the study went on with a larger, stands below those that got further.
    """
    return sorted(trials, key=lambda trial: ranking_key(trial, objective))


def ranking_key(trial: TrialRecord, objective: Objective) -> Key:
    """What trials are sorted by; the last part of it is the trial's number."""
    sign = -1.0 if objective.mode == "max" else 1.0
    cost = sign * trial.value if has_value(trial) and trial.value is not None else math.inf
    reached = full_epochs(trial) if trial.state == "complete" else trial.epoch
    return not is_usable(trial), -reached, cost, _costs(trial, objective), trial.number


def _costs(trial: TrialRecord, objective: Objective) -> tuple[float, ...]:
    return tuple(trial.costs.get(name, math.inf) for name in objective.costs)


def best_of(trials: Iterable[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The first of the ranking, None where no trial can be used."""
    return next((trial for trial in ranked(trials, objective) if is_usable(trial)), None)


def full_epochs(trial: TrialRecord) -> int:
    """The full budget that the trial was begun with."""
    return int(trial.recipe["training"]["num_epochs"])


def is_usable(trial: TrialRecord) -> bool:
    """Whether it may be called best: it did not fail, and has a finite value."""
    return trial.state != "failed" and has_value(trial)


def has_value(trial: TrialRecord) -> bool:
    """Whether its value is a finite number."""
    return trial.value is not None and math.isfinite(trial.value)
