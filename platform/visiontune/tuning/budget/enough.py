"""When a search has found enough (patience, a target), and when a trial costs too much: the limits of a budget that are no amounts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

from visiontune.spec.space.study_spec import Budget, StudySpec
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.records.records import NO_MEMORY, TrialRecord

FIRST = 10
"""Trials of a search that tell whether it is the recipes that fail, or what they all stand on."""


def reaches_target(spec: StudySpec, value: float | None) -> bool:
    """Whether a trial that was trained in full to this value ends the search."""
    target = spec.budget.stop_at
    return target is not None and value is not None and not spec.objective.is_better(target, value)


def is_out_of_patience(spec: StudySpec, curves: Curves, num_trials: int, refused: Iterable[int] = ()) -> bool:
    """Whether of `patience` trials, the newest of `num_trials`, none is the best of those at any rung, whether it reached one or all.

    With several objectives: whether none is among those that no other dominates.
    Those that were `refused` count for nothing.
    """
    if spec.budget.patience is None:
        return False
    firsts = [number for rung in spec.rungs for number in curves.leaders(rung)]
    if not firsts:
        return False
    newest = max(firsts)
    return num_trials - 1 - newest - sum(number > newest for number in refused) >= spec.budget.patience


def fail_alike(trials: Iterable[TrialRecord]) -> str:
    """What more than half of the first FIRST trials of a search have failed of, of those given by number; "" where they have not.

    Recipes that diverge, do not fit in memory or cost too much are what a search is there to find out.
    """
    first = list(islice(trials, FIRST))
    failed = [trial for trial in first if trial.kind in ("infeasible", "crashed", "hung") and not trial.reason.startswith(NO_MEMORY)]
    alike = Counter(_without_numbers(trial.reason) for trial in failed)
    common, num = next(iter(alike.most_common(1)), ("", 0))
    if num <= FIRST // 2:
        return ""
    said = next(trial.reason for trial in failed if _without_numbers(trial.reason) == common)
    return f"{num} of the first {len(first)} trials failed alike: {said}"


def _without_numbers(reason: str) -> str:
    return re.sub(r"\d+", "N", reason)


def problem_of_cost(budget: Budget, epoch_s: Mapping[int, float]) -> str:
    """Why a trial takes longer than it may, by the fastest of its epochs so far; "" where it does not."""
    if not epoch_s or (budget.max_epoch_s is None and budget.max_trial_hours is None):
        return ""
    fastest = min(epoch_s.values())
    if budget.max_epoch_s is not None and fastest > budget.max_epoch_s:
        return f"an epoch takes {fastest:.3g} s, more than budget.max_epoch_s of {budget.max_epoch_s:g}"
    hours = fastest * budget.max_epochs / 3600
    if budget.max_trial_hours is not None and hours > budget.max_trial_hours:
        return f"{budget.max_epochs} epochs take {hours:.3g} hours, more than budget.max_trial_hours of {budget.max_trial_hours:g}"
    return ""
