"""Population based training as a file says it: when trials exploit each other, and what a space and a budget must be for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from visiontune.errors import plural
from visiontune.spec.declarations.domains import Float
from visiontune.spec.reading.value_reader import listed
from visiontune.spec.space.changing import NEVER_FROM_ZERO, changing_params, fixed_params, has_zero
from visiontune.spec.space.space import Space
from visiontune.spec.space.study_spec import Budget, exploit_points, is_population
from visiontune.spec.space.tree_walk import recipe_key

MIN_PEERS = 4
"""Trials with the same fixed params: of fewer there is no quarter."""

Rule = tuple[tuple[str, ...], str, str]


def population_rules(tree: Mapping[str, Any], *, is_space_right: bool) -> Iterator[Rule]:
    """As in study_rules.py: the keys that must be right, where a rule is broken, what is broken."""
    if not is_population(tree["trial_scheduler"]):
        return
    yield from _of_budget(tree)
    if is_space_right:
        yield from _of_space(Space(tree["space"]), tree["budget"]["num_trials"])


def _of_budget(tree: Mapping[str, Any]) -> Iterator[Rule]:
    num, low, high = (tree["budget"][key] for key in ("num_trials", "min_epochs", "max_epochs"))
    needed = ("budget.num_trials", "budget.min_epochs", "budget.max_epochs", "trial_scheduler.interval")
    if num is None or (isinstance(num, int) and num < MIN_PEERS):
        got = "the file does not say it" if num is None else f"got {num}"
        yield needed, "budget.num_trials", f"the population of pbt is num_trials, at least {MIN_PEERS}, but {got}; nearest is {MIN_PEERS}"
    interval = tree["trial_scheduler"]["interval"]
    if not isinstance(low, int) or not isinstance(high, int) or not (interval == "auto" or isinstance(interval, int)):
        return
    if len(exploit_points(tree["trial_scheduler"], Budget(low, high))) == 0:
        rule = f"trials exploit each other every so many epochs, before the last of {high}, but got {interval} with min_epochs={low}"
        yield needed, "trial_scheduler.interval", f"{rule}; " + (f"nearest is {high - 1}" if high > 1 else "take asha")


def _of_space(space: Space, num_trials: Any) -> Iterator[Rule]:
    needed, fixed = ("budget.num_trials", "space"), fixed_params(space)
    if not changing_params(space):
        stay = f"{listed(fixed)} {'stays as it is' if len(fixed) == 1 else 'stay as they are'}" if fixed else "it has no params"
        yield needed, "space", f"pbt changes params while networks are trained, and here nothing may change: {stay}; nearest is asha"
        return
    domains = {name: (domain, recipe_key(name, given)) for name, domain, given in space.domains()}
    for name in fixed:
        domain, key = domains[name]
        if isinstance(domain, Float) and domain.num_values() is None:
            why = "weights go only to trials that are equal in what stays as it is, and of this there is no end of values"
            is_kept_by_zero = key in NEVER_FROM_ZERO and has_zero(domain)
            way = "begin its range above 0, since it can't change from 0" if is_kept_by_zero else "give it one value or a step"
            yield needed, f"space.{name}", f"{why}: {way}, or take asha"
            return
    if isinstance(num_trials, int) and num_trials // (num := num_groups(space, num_trials)) < MIN_PEERS:
        why = f"weights go only to trials that are equal in {listed(fixed)}, which parts the {num_trials} trials into {num} groups or more"
        most = max(1, num_trials // MIN_PEERS)
        yield (
            needed,
            "budget.num_trials",
            f"{why}, and each needs {MIN_PEERS}: give pbt one network, at most {plural(most, 'group')}, or take asha",
        )


def num_groups(space: Space, num_trials: int) -> int:
    """How many kinds of trials there are that can't exploit each other, as far as there are trials for them."""
    return space.num_points_of(fixed_params(space), num_trials) or 1
