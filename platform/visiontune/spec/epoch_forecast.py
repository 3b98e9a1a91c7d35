"""What a study may cost before it starts, in epochs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from visiontune.spec.study_spec import StudySpec


@dataclass(frozen=True)
class Cost:
    """`worst_epochs` trains every trial in full; `expected_epochs` counts one in reduction_factor as promoted at each rung (ASHA)."""

    num_params: int
    num_trials: int
    rungs: tuple[int, ...]
    worst_epochs: int
    expected_epochs: int


def cost(spec: StudySpec) -> Cost:
    """The cost of the search alone, without the winner's confirmation. A grid has no more trials than points."""
    num_trials, budget = spec.budget.num_trials, spec.budget
    if spec.sampler["name"] == "grid":
        num_trials = min(num_trials, spec.space.num_points or num_trials)
    worst = num_trials * budget.max_epochs
    if spec.trial_scheduler["name"] != "asha":
        return Cost(spec.space.num_params, num_trials, (budget.max_epochs,), worst, worst)
    expected = num_trials * budget.rungs[0]
    for k, (low, high) in enumerate(pairwise(budget.rungs), start=1):
        expected += num_trials // budget.reduction_factor**k * (high - low)
    return Cost(spec.space.num_params, num_trials, budget.rungs, worst, expected)
