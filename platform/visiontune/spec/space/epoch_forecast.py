"""What a study may cost before it starts, in epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from visiontune.spec.declarations.brackets import num_beginning
from visiontune.spec.space.promotions import mean_epochs
from visiontune.spec.space.study_spec import StudySpec

MARGIN = 1.25
"""Legs take longer than their epochs: a worker opens pictures, builds the network, writes checkpoints."""

CONFIRM_S = 5.0
"""What a confirmation takes beside its epochs: the test, for which a worker imports torchmetrics the first time (3.5 s)."""


def num_retrainings(spec: StudySpec) -> int:
    """What confirming takes on average, in trainings in full: one of each, the others of the winner, one of another that is close.

    With several objectives all of each.
    """
    seeds, top = int(spec.confirm["num_seeds"]), int(spec.confirm["top"])
    if spec.objective.costs:
        return seeds * top + bool(spec.confirm["use_val"] and seeds)
    race = top - 1 + int(top > 1 and seeds > 1)
    return seeds + race + bool(spec.confirm["use_val"]) if seeds else 0


def num_in_turn(spec: StudySpec, num: int, num_at_once: int) -> int:
    """How many of so many retrainings come one after the other: a race waits for its first seeds, and train and val for its end."""
    rounds: int = 1 + (spec.confirm["top"] > 1 and not spec.objective.costs) + bool(spec.confirm["use_val"])
    return max(math.ceil(num / max(1, num_at_once)), min(num, rounds))


@dataclass(frozen=True)
class Cost:
    """Epochs are those of all networks, of which a trial may have several.

    `worst_epochs` trains every trial in full; `expected_epochs` are those of promotions as values in random order make them
    (`mean_epochs`), the most for PASHA, which may promote nobody to the higher rungs, but too few for adaptive_rungs, whose lowest rung
    rises: half of what 81 trials to 27 epochs take where first epochs mislead, and down to a quarter where epochs agree by chance alone.

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
    worst = num_trials * budget.max_epochs * spec.num_repeats
    most = budget.epochs or worst
    return Cost(spec.space.num_params, num_trials, spec.rungs, min(worst, most), min(_expected(spec, num_trials) * spec.num_repeats, most))


def _expected(spec: StudySpec, num_trials: int) -> int:
    """Epochs of one network of each trial. A grid has no known recipe that runs straight through."""
    is_stop = bool(spec.trial_scheduler.get("stop"))
    rule: dict[str, Any] = {"at_least": int(spec.trial_scheduler["name"] == "asha"), "can_wait": not is_stop}
    begun, eta = num_beginning(num_trials, spec.brackets), spec.budget.reduction_factor
    is_known = [spec.sampler["name"] != "grid" and not first for first in range(len(begun))]
    by_bracket = (mean_epochs(num, spec.rungs[first:], eta, **rule, is_first_known=is_known[first]) for first, num in enumerate(begun))
    return round(sum(by_bracket))
