"""What two recipes differ in, as factors: keys that belong together, so that a recipe with some of one and the rest of the other is whole.

A table's entry goes with its arguments; optimizer, lr schedule, transfer, preprocessing and balance are one factor each, since a rate is
nothing without its optimizer; a fixed augmentation policy is a factor for each of its ops where the other recipe has such a policy or none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from visiontune.errors import UserError
from visiontune.spec.declarations.declare import Section, Table
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe
from visiontune.spec.space.sections import RECIPE

WHOLE = ("preprocessing", "transfer", "balance", "optimizer", "schedule")
"""Sections of which what stands beside the tables belongs to the first of them."""

_OPS = "ops"
_OF_A_TRIAL = "training"

Part = Mapping[str, Any]
"""Keys of one section with their values."""

Groups = dict[str, dict[str, Any]]
"""Keys that belong together, by the name of their factor."""


@dataclass(frozen=True)
class Factor:
    """Keys of a section that differ: `before` as the first recipe has them, `after` as the second; empty where it has none of them."""

    name: str
    section: str
    before: Part
    after: Part


def factors_between(first: TrialRecipe, second: TrialRecipe) -> tuple[Factor, ...]:
    """In the order of a recipe's file; seeds and data are none."""
    found = (part for section in RECIPE.fields if section != "data" for part in _parts(section, first, second))
    return tuple(part for part in found if part.before != part.after and part.name != _OF_A_TRIAL)


def mixed(first: TrialRecipe, second: TrialRecipe, names: Collection[str]) -> TrialRecipe:
    """The first recipe with these factors as the second has them. Raises UserError where the two can't be combined so."""
    tree = first.to_dict()
    for section in RECIPE.fields:
        if section != "data":
            parts = [part.after if part.name in names else part.before for part in _parts(section, first, second)]
            tree[section] = _joined(section, parts)
    return load_recipe(tree)


def _joined(section: str, parts: Collection[Part]) -> dict[str, Any]:
    """One section of its parts; a policy without any of its ops is none."""
    found = {key: value for part in parts for key, value in part.items()}
    ops = [key for key, value in found.items() if isinstance(value, Mapping)]
    if section == "augmentation" and _OPS in found:
        policy = found.pop(_OPS)
        found = {"policy": policy, **found} if ops else {"policy": "none", **found}
    return found


def _parts(section: str, first: TrialRecipe, second: TrialRecipe) -> list[Factor]:
    """All of a section, those that do not differ too."""
    before, after = (_groups(section, getattr(recipe, section)) for recipe in (first, second))
    if section == "augmentation":
        before, after = _by_op(before, after)
    names = list(dict.fromkeys([*before, *after]))
    if section == "augmentation":  # the order of ops counts: the second's, and what only the first has before them
        names = list(dict.fromkeys([*(name for name in before if name not in after), *after]))
    return [Factor(name, section, before.get(name, {}), after.get(name, {})) for name in names]


def _groups(section: str, values: Mapping[str, Any]) -> Groups:
    declared = RECIPE.fields[section]
    assert isinstance(declared, Section)
    tables = {key: table for key, table in declared.fields.items() if isinstance(table, Table)}
    owners = {arg: key for key, table in tables.items() if key in values for arg in table.entries[values[key]].args}
    main = next(iter(tables), "") if section in WHOLE else "name"
    groups: Groups = {}
    for key, value in values.items():
        own = key if key in tables else owners.get(key, main if section in WHOLE else key)
        is_whole = own == main or key in ("seed", "num_epochs")
        groups.setdefault(section if is_whole else f"{section}.{own}", {})[key] = value
    return groups


def _by_op(before: Groups, after: Groups) -> tuple[Groups, Groups]:
    """With each op by itself, where both have the same policy of ops, or one has and the other none."""
    policies = {groups["augmentation.policy"]["policy"] for groups in (before, after)}
    has_ops = any(isinstance(value, Mapping) for groups in (before, after) for value in groups["augmentation.policy"].values())
    if not has_ops or len(policies - {"none"}) > 1:
        return before, after
    policy = next(iter(policies - {"none"}))
    return _split(before, policy), _split(after, policy)


def _split(groups: Groups, policy: str) -> Groups:
    ops = {op: value for op, value in groups["augmentation.policy"].items() if isinstance(value, Mapping)}
    own: Groups = {"augmentation.policy": {_OPS: policy}, **{f"augmentation.{op}": {op: value} for op, value in ops.items()}}
    return {**own, **{name: part for name, part in groups.items() if name != "augmentation.policy"}}


def refusal(error: UserError) -> str:
    """What it says, without places."""
    return "; ".join(dict.fromkeys(problem.rule for problem in error.problems))
