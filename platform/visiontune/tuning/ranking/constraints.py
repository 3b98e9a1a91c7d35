"""Bounds on what trials may cost: what is known of a recipe is compared before it becomes a trial, what is measured before it trains.

A refused recipe is a failed trial of kind "constraint" without epochs, which teaches the sampler and does not count among `num_trials`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from visiontune.errors import UserError
from visiontune.spec.declarations.domains import FixedParams, RandomParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.start import StartRecipe
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import make_recipe
from visiontune.spec.space.fit_recipe import fit_to_space
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.costs import KNOWN_COSTS
from visiontune.tuning.records.records import CONSTRAINT

if TYPE_CHECKING:
    from visiontune.data.store.store import DataInfo

MAX_REFUSED = 300
"""Recipes refused in a row, after which a search begins no more: where one in a hundred costs little enough, one in twenty searches."""

NUM_DRAWS = 100
"""Recipes that tell how much of a space a constraint leaves."""

CostsOf = Callable[[TrialRecipe], Mapping[str, float]]


def problem_of_costs(costs: Mapping[str, float], bounds: Mapping[str, float]) -> str:
    """What of the costs is above its bound, as far as both are known; "" where nothing is."""
    above = (name for name, bound in bounds.items() if costs.get(name, 0.0) > bound)
    return " and ".join(f"{name} is {shown(costs[name])}, above {shown(bounds[name])}" for name in above)


def shown(cost: float) -> str:
    """
    >>> shown(1200000.0), shown(0.51234)
    ('1,200,000', '0.5123')
    """
    return f"{cost:,.0f}" if float(cost).is_integer() else f"{cost:.4g}"


def known_bounds(bounds: Mapping[str, float]) -> dict[str, float]:
    """Of what a recipe alone says."""
    return {name: bound for name, bound in bounds.items() if name in KNOWN_COSTS}


def measured_bounds(bounds: Mapping[str, float]) -> dict[str, float]:
    """Of what a worker has to measure."""
    return {name: bound for name, bound in bounds.items() if name not in KNOWN_COSTS}


def bounds_to_measure(spec: StudySpec, known: Mapping[str, float]) -> dict[str, float]:
    """What a worker has to measure, with its bound; infinite where it is an objective without one, unless it is `known`."""
    return measured_bounds({**{name: math.inf for name in spec.objective.costs if name not in known}, **spec.constraints})


def needs_known_costs(spec: StudySpec) -> bool:
    """Whether a constraint or an objective is known of a recipe alone."""
    return not KNOWN_COSTS.keys().isdisjoint([*spec.constraints, *spec.objective.costs])


def costs_by(info: DataInfo) -> CostsOf:
    """What is known of recipes for such pictures; nothing of a network that can't be built for them, which its worker says."""
    from visiontune.training.known_costs import known_costs

    def costs_of(recipe: TrialRecipe) -> Mapping[str, float]:
        try:
            return known_costs(recipe, image_size=info.image_size, channels=info.channels, num_classes=info.num_classes)
        except (RuntimeError, ValueError, UserError):
            return {}

    return costs_of


@dataclass(frozen=True)
class Draws:
    """Recipes drawn at random, of which `num_refused` are known to cost too much; by name the least that any costs."""

    num: int
    num_refused: int
    least: Mapping[str, float]


def draw(spec: StudySpec, info: DataInfo) -> Draws | None:
    """NUM_DRAWS recipes against the bounds of what a recipe alone says; None where there are none."""
    bounds, costs_of = known_bounds(spec.constraints), costs_by(info)
    if not bounds:
        return None
    sections = (spec.space.resolve(RandomParams(keyed_seed(0, "constraints", number))) for number in range(NUM_DRAWS))
    found = [costs_of(make_recipe(spec, one, number)) for number, one in enumerate(sections)]
    least = {name: min((costs[name] for costs in found if costs), default=0.0) for name in bounds}
    return Draws(len(found), sum(bool(problem_of_costs(costs, bounds)) for costs in found), least)


def too_dear(spec: StudySpec, info: DataInfo) -> Iterator[tuple[StartRecipe, str]]:
    """Recipes that the file begins with, as they are in the space, of which it is known that they cost too much, and what."""
    costs_of = costs_by(info)
    for recipe in spec.start.recipes:
        sections = spec.space.resolve(FixedParams(fit_to_space(spec.space, recipe.values).params))
        if problem := problem_of_costs(costs_of(make_recipe(spec, sections, 0)), known_bounds(spec.constraints)):
            yield recipe, problem


def num_counted(trials: Iterable[FrozenTrial]) -> int:
    """Trials of the storage that count among `num_trials`."""
    return sum(trial.user_attrs.get("end", {}).get("kind") != CONSTRAINT for trial in trials)
