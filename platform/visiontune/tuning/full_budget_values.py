"""What trials would have at the full budget: values of every rung on one scale, so that a trial that was stopped early still counts."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

from visiontune.tuning.ranking import full_epochs
from visiontune.tuning.records import StudyRecord, TrialRecord

MIN_GAINS = 4
"""Trials with a value at two rungs without which what training goes on to gain is not known."""


def full_budget_values(study: StudyRecord) -> dict[int, float]:
    """By a trial's number: its value at the full budget, or at its last rung plus what trials gained after that, median by median.

    The lower rung is where most trials are, the higher ones are what counts; a value at epoch 1 among values at epoch 9 would say
    mostly when a trial was stopped. From a rung that too few left the gain is not known, and trials that ended there do not count.
    A trial that failed has no value here.
    """
    points = {trial.number: _at_rungs(trial, study.rungs) for trial in study.trials if _is_comparable(trial, study)}
    gains = {study.rungs[-1]: 0.0}
    for low, high in reversed([*pairwise(study.rungs)]):
        both = [values[high] - values[low] for values in points.values() if low in values and high in values]
        if len(both) < MIN_GAINS or high not in gains:
            break
        gains[low] = gains[high] + statistics.median(both)
    if len(gains) == 1 and sum(study.rungs[-1] in values for values in points.values()) < MIN_GAINS:
        return _of_one_rung(points, study.rungs)
    ends = {number: max(values) for number, values in points.items() if values}
    return {number: points[number][rung] + gains[rung] for number, rung in ends.items() if rung in gains}


def _of_one_rung(points: dict[int, dict[int, float]], rungs: tuple[int, ...]) -> dict[int, float]:
    """Where hardly any trial got on: the values of the rung that most trials have, all at the same epoch."""
    rung = max(rungs, key=lambda one: sum(one in values for values in points.values()))
    return {number: values[rung] for number, values in points.items() if rung in values}


def _at_rungs(trial: TrialRecord, rungs: tuple[int, ...]) -> dict[int, float]:
    found = {rung: trial.values[rung] for rung in rungs if math.isfinite(trial.values.get(rung, math.nan))}
    if trial.state == "complete" and trial.value is not None and math.isfinite(trial.value):
        found[rungs[-1]] = trial.value  # also where it stopped early
    return found


def _is_comparable(trial: TrialRecord, study: StudyRecord) -> bool:
    return trial.state != "failed" and full_epochs(trial) == study.rungs[-1]
