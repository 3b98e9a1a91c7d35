"""Values of all rungs on the scale of one, so that a trial that was stopped early still counts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from visiontune.tuning.ranking.ranking import full_epochs
from visiontune.tuning.records.records import StudyRecord, TrialRecord

MIN_REACHED = 4
"""Trials that must have got to a rung for what is gained up to it to be known."""


@dataclass(frozen=True)
class ComparedValues:
    """The objective of trials, by number, at one `epoch`: as measured, or at the last rung before it plus what others gained from there."""

    epoch: int
    of: Mapping[int, float]


def compared_values(study: StudyRecord) -> ComparedValues:
    """At the highest rung that enough trials reached, which is the full budget in all but the smallest searches.

    A trial that ended below has its last value there plus what trials gained from rung to rung, the median: the lowest rung is where most
    trials are, the highest what counts, and a value at epoch 1 among values at epoch 9 would say mostly when a trial was stopped.
    A trial that failed, was begun with a smaller full budget, or took another's weights, which were trained with other params, has no
    value here.
    """
    points = {trial.number: _at_rungs(trial, study.rungs) for trial in study.trials if _is_comparable(trial, study)}
    reached = [rung for rung in study.rungs if sum(rung in values for values in points.values()) >= MIN_REACHED]
    epoch = max(reached, default=study.rungs[0])
    gains = {epoch: 0.0}
    for low, high in reversed([*pairwise(rung for rung in study.rungs if rung <= epoch)]):
        both = [values[high] - values[low] for values in points.values() if low in values and high in values]
        if len(both) < MIN_REACHED:
            break
        gains[low] = gains[high] + statistics.median(both)
    last = {number: max((rung for rung in values if rung in gains), default=0) for number, values in points.items()}
    return ComparedValues(epoch, {number: points[number][rung] + gains[rung] for number, rung in last.items() if rung})


def _at_rungs(trial: TrialRecord, rungs: tuple[int, ...]) -> dict[int, float]:
    found = {rung: trial.values[rung] for rung in rungs if math.isfinite(trial.values.get(rung, math.nan))}
    if trial.state == "complete" and trial.value is not None and math.isfinite(trial.value):
        found[rungs[-1]] = trial.value  # also where it stopped early
    return found


def _is_comparable(trial: TrialRecord, study: StudyRecord) -> bool:
    has_own_weights = all(phase.source is None for phase in trial.phases)
    return trial.state != "failed" and full_epochs(trial) == study.rungs[-1] and has_own_weights
