"""A validated search space: constants and domains in a tree that mirrors the recipe.

Keys of params are dotted: `optimizer.lr`, and under a branch with the branch's name: `optimizer.sgd.momentum`. Resolved
sections are flat, without a level for the branch, and complete: whatever the file left out has its default.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.spec.declare import Arg, Field, Section, Table
from visiontune.spec.domains import Choice, Domain, EndParams, Float, Int, Suggest
from visiontune.spec.sections import SPACE

Tree = Mapping[str, Any]
"""Values are constants, domains or Trees, in the order of the file."""

MAX_CORNERS = 256


@dataclass(frozen=True)
class Space:
    """What may vary. `lines` is where each dotted key stands in `file`, keys outside of the space too."""

    tree: Tree
    lines: Mapping[str, int] = field(default_factory=dict)
    file: str = ""

    def resolve(self, suggest: Suggest) -> dict[str, dict[str, Any]]:
        """One point as the sections of a recipe (without data, num_epochs and seed), asking in the order of the file."""
        return fill(SPACE.fields, _asked(self.tree, "", suggest))

    def domains(self) -> Iterator[tuple[str, Domain, dict[str, Any]]]:
        """Every param with its domain and the choices under which it exists, in the order of the file."""
        return _domains(self.tree, "", {})

    @property
    def num_params(self) -> int:
        """Parameters that can vary, those of every branch included."""
        return sum(1 for _ in self.domains())

    @property
    def num_points(self) -> int | None:
        """Points of the grid; None where a float has no step."""
        return _num_points(self.tree)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Params of every point, the last one varying fastest. Raises UserError for a float without a step."""
        problems = [
            Problem(self.file, self.line(name), f"space.{name}", "a grid needs a step for every float, but this one has none")
            for name, domain, _ in self.domains()
            if domain.num_values() is None
        ]
        if problems:
            raise UserError(*problems)
        return _grid(list(_children(self.tree, "")))

    def corners(self, section: str) -> list[dict[str, Any]]:
        """One section resolved at its corners: all combinations of its choices and of both ends of every number.

        Where that is more than MAX_CORNERS, each choice and each end once with all others first and once with all others last;
        the first MAX_CORNERS of these.
        """
        tree = {section: self.tree[section]} if section in self.tree else {}
        params: Iterable[tuple[dict[str, Any], bool]]
        if _num_points(tree, ends=True) <= MAX_CORNERS:  # type: ignore[operator]
            params = ((point, False) for point in _grid(list(_children(tree, "")), ends=True))
        else:
            names = [(given, name, value) for name, domain, given in _domains(tree, "", {}) for value in domain.ends()]
            params = (({**given, name: value}, last) for last in (True, False) for given, name, value in names)
        fields = getattr(SPACE.fields[section], "fields", {})
        resolved = (fill(fields, _asked(tree, "", EndParams(point, last)).get(section, {})) for point, last in params)
        unique = {json.dumps(corner): corner for corner in resolved}
        return list(unique.values())[:MAX_CORNERS]

    def line(self, dotted: str) -> int:
        """The line of a key, or of the nearest key above it; 0 for what the file does not mention."""
        while dotted and dotted not in self.lines:
            dotted = dotted.rpartition(".")[0]
        return self.lines.get(dotted, 0)

    def to_dict(self) -> dict[str, Any]:
        """The tree as dicts, lists and values; equal for equal spaces."""
        return _plain(self.tree)  # type: ignore[no-any-return]


def fill(fields: Mapping[str, Field], values: Mapping[str, Any], is_entry: bool = False) -> dict[str, Any]:
    """Values of one section, completed and in the order of the declaration.

    An entry's arguments follow its name. Sections among them (ops) stay in the order of `values` and are not added.
    """
    filled: dict[str, Any] = {}
    for key, declared in fields.items():
        if isinstance(declared, Arg):
            filled[key] = values.get(key, declared.default)
        elif isinstance(declared, Table):
            filled[key] = values.get(key, declared.default)
            if filled[key] in declared.entries:
                filled.update(fill(declared.entries[filled[key]].args, values, is_entry=True))
        elif not is_entry:
            filled[key] = fill(declared.fields, values.get(key, {}))
    for key, value in values.items():
        declared_here = fields.get(key)
        if is_entry and isinstance(declared_here, Section):
            filled[key] = fill(declared_here.fields, value)
    return filled


def _is_domain(item: Any) -> bool:
    return isinstance(item, Float | Int | Choice)


def _children(tree: Tree, prefix: str) -> Iterator[tuple[str, Any]]:
    return ((prefix + key, item) for key, item in tree.items())


def _branch(name: str, value: Any) -> str:
    """Prefix of the params under a branch: `optimizer.name` and sgd give `optimizer.sgd.`."""
    return f"{name.rpartition('.')[0]}.{value}.".removeprefix(".")


def _asked(tree: Tree, prefix: str, suggest: Suggest) -> dict[str, Any]:
    """The tree with every domain replaced by what `suggest` gives for it."""
    values: dict[str, Any] = {}
    for key, item in tree.items():
        if isinstance(item, Mapping):
            values[key] = _asked(item, f"{prefix}{key}.", suggest)
        elif _is_domain(item):
            values[key] = item.ask(prefix + key, suggest)
            if isinstance(item, Choice) and item.branches:
                values.update(_asked(item.branches[values[key]], f"{prefix}{values[key]}.", suggest))
        else:
            values[key] = item
    return values


def _domains(tree: Tree, prefix: str, given: dict[str, Any]) -> Iterator[tuple[str, Domain, dict[str, Any]]]:
    for name, item in _children(tree, prefix):
        if isinstance(item, Mapping):
            yield from _domains(item, f"{name}.", given)
        elif _is_domain(item):
            yield name, item, given
            for value, branch in item.branches.items() if isinstance(item, Choice) else ():
                yield from _domains(branch, _branch(name, value), {**given, name: value})


def _num_points(tree: Tree, ends: bool = False) -> int | None:
    counts: list[int | None] = []
    for item in tree.values():
        if isinstance(item, Mapping):
            counts.append(_num_points(item, ends))
        elif isinstance(item, Choice):
            branches = [_num_points(item.branches.get(value, {}), ends) for value in item.choices]
            counts.append(None if None in branches else sum(filter(None, branches)))
        elif _is_domain(item):
            counts.append(2 if ends else item.num_values())
    return None if None in counts else math.prod(filter(None, counts))


def _grid(pending: list[tuple[str, Any]], ends: bool = False) -> Iterator[dict[str, Any]]:
    """Points of what is pending: the first one's values outermost, what its branches hold right after it."""
    varying = list(itertools.dropwhile(lambda pair: not isinstance(pair[1], Mapping) and not _is_domain(pair[1]), pending))
    if not varying:
        yield {}
        return
    (name, item), *rest = varying
    if isinstance(item, Mapping):
        yield from _grid([*_children(item, f"{name}."), *rest], ends)
        return
    for value in item.ends() if ends else item.values():
        branch = item.branches.get(value, {}) if isinstance(item, Choice) else {}
        for point in _grid([*_children(branch, _branch(name, value)), *rest], ends):
            yield {name: value, **point}


def _plain(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {key: _plain(value) for key, value in item.items()}
    if isinstance(item, Choice):
        bare = not any(item.branches.values())
        return {"choice": list(item.choices) if bare else {value: _plain(item.branches.get(value, {})) for value in item.choices}}
    return item.to_plain() if isinstance(item, Float | Int) else item
