"""A tree of constants and domains, as a section of a search space is one: what it asks for, its params, its points, its content.

Under the branch of a choice stands what exists only there, further choices with branches of their own too. Names of params are dotted
paths of keys and of the choices on the way: `optimizer.lr`, `optimizer.sgd.momentum`, `model.lenet5.leaky_relu.slope`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from visiontune.spec.declarations.domains import Choice, Domain, Float, Int
from visiontune.spec.declarations.when import plain_when

Tree = Mapping[str, Any]
"""Values are constants, domains or Trees, in the order of the file."""


def is_domain(item: Any) -> bool:
    """Whether it varies."""
    return isinstance(item, Float | Int | Choice)


def children(tree: Tree, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every key with what comes before it, and what stands under it."""
    return ((prefix + key, item) for key, item in tree.items())


def branch(name: str, value: Any) -> str:
    """Prefix of the params under a branch: `optimizer.name` and sgd give `optimizer.sgd.`."""
    return f"{name.rpartition('.')[0]}.{value}.".removeprefix(".")


def domains(tree: Tree, prefix: str, given: dict[str, Any]) -> Iterator[tuple[str, Domain, dict[str, Any]]]:
    """Every param with its domain and the choices in whose branches it stands, in the order of the file."""
    for name, item in children(tree, prefix):
        if isinstance(item, Mapping):
            yield from domains(item, f"{name}.", given)
        elif is_domain(item):
            yield name, item, given
            for value, under in item.branches.items() if isinstance(item, Choice) else ():
                yield from domains(under, branch(name, value), {**given, name: value})


def standing(section: Tree, key: str, prefix: str, given: Mapping[str, Any] | None = None) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Each place of a section where the key stands, itself or in a branch: its name, what stands there, the choices under which it does.

    A key of an op is dotted: `Affine.magnitude`.
    """
    for name, item in section.items():
        if name == key:
            yield prefix + name, item, dict(given or {})
        elif isinstance(item, Mapping) and key.startswith(f"{name}."):
            yield from standing(item, key.removeprefix(f"{name}."), f"{prefix}{name}.", given)
        for value, under in item.branches.items() if isinstance(item, Choice) else ():
            yield from standing(under, key, f"{prefix}{value}.", {**(given or {}), prefix + name: value})


def num_points(tree: Tree) -> int | None:
    """Of the grid where there are no conditions; None where a float has no step."""
    counts: list[int | None] = []
    for item in tree.values():
        if isinstance(item, Mapping):
            counts.append(num_points(item))
        elif isinstance(item, Choice):
            branches = [num_points(item.branches.get(value, {})) for value in item.choices]
            counts.append(None if None in branches else sum(filter(None, branches)))
        elif is_domain(item):
            counts.append(item.num_values())
    return None if None in counts else math.prod(filter(None, counts))


def plain(item: Any) -> Any:
    """It as dicts, lists and values; a choice whose branches are all empty as a list."""
    if isinstance(item, Mapping):
        return {key: plain(value) for key, value in item.items()}
    if isinstance(item, Choice):
        bare = not any(item.branches.values())
        choices = list(item.choices) if bare else {value: plain(item.branches.get(value, {})) for value in item.choices}
        return {"choice": choices, **plain_when(item.when)}
    return item.to_plain() if isinstance(item, Float | Int) else item


def recipe_key(name: str, given: Mapping[str, Any]) -> str:
    """The key of a recipe that a param sets, by its dotted name and the choices under which it exists.

    >>> recipe_key("optimizer.sgd.momentum", {"optimizer.name": "sgd"})
    'optimizer.momentum'
    """
    prefixes = [f"{table.rpartition('.')[0]}.{value}." for table, value in given.items()]
    found = max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default="")
    return f"{name.partition('.')[0]}.{name.removeprefix(found)}" if found else name
