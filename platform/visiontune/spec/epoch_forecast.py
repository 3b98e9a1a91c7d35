"""What a study may cost before it starts, in epochs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from visiontune.spec.study_spec import StudySpec


@dataclass(frozen=True)
class Cost:
    """`worst_epochs` trains every trial in full; `expected_epochs` counts one in reduction_factor as promoted at each rung (ASHA).

    No more than the budget's `epochs`; None where neither trials nor epochs are limited.
    """

    num_params: int
    num_trials: int | None
    rungs: tuple[int, ...]
    worst_epochs: int | None
    expected_epochs: int | None


def cost(spec: StudySpec) -> Cost:
    """The cost of the search alone, without the winner's confirmation. A grid has no more trials than points."""
    num_trials, budget = spec.budget.num_trials, spec.budget
    if spec.sampler["name"] == "grid" and (num_points := spec.space.num_points) is not None:
        num_trials = min(num_trials or num_points, num_points)
    if num_trials is None:
        return Cost(spec.space.num_params, None, spec.rungs, budget.epochs, budget.epochs)
    worst = num_trials * budget.max_epochs
    expected = sum(num_trials // budget.reduction_factor**k * (high - low) for k, (low, high) in enumerate(pairwise((0, *spec.rungs))))
    most = budget.epochs or worst
    return Cost(spec.space.num_params, num_trials, spec.rungs, min(worst, most), min(expected, most))
