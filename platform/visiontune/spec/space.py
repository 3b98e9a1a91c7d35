"""A validated search space: constants and domains in a tree that mirrors the recipe.

Keys of params are dotted: `optimizer.lr`, and under a branch with the branch's name: `optimizer.sgd.momentum`, `optimizer.sgd.lr`.
Resolved sections are flat, without a level for the branch, and complete: whatever the file left out has its default.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.spec import tree_walk
from visiontune.spec.declare import Arg, Field, Items, Section, Table
from visiontune.spec.domains import Choice, Domain, EndParams, Suggest
from visiontune.spec.sections import SPACE
from visiontune.spec.tree_walk import Tree

MAX_CORNERS = 256


@dataclass(frozen=True)
class Space:
    """What may vary. `lines` is where each dotted key stands in `file`."""

    tree: Tree
    lines: Mapping[str, int] = field(default_factory=dict)
    file: str = ""

    def resolve(self, suggest: Suggest) -> dict[str, dict[str, Any]]:
        """One point as the sections of a recipe (without data, num_epochs and seed), asking in the order of the file."""
        return fill(SPACE.fields, tree_walk.asked(self.tree, "", suggest))

    def domains(self) -> Iterator[tuple[str, Domain, dict[str, Any]]]:
        """Every param with its domain and the choices under which it exists, in the order of the file."""
        return tree_walk.domains(self.tree, "", {})

    def places(self, dotted: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Where the file has a key of the recipe: the param's name, its domain or constant, and the choices under which it stands there.

        `optimizer.lr` may be `optimizer.sgd.lr` under sgd and `optimizer.adamw.lr` under adamw.
        """
        section, _, key = dotted.partition(".")
        return tree_walk.standing(self.tree.get(section, {}), key, f"{section}.")

    def choosing(self, dotted: str, value: Any) -> dict[str, Any]:
        """Params that give a key of the recipe this value, with the choices that it takes; none where the file can't or need not."""
        for name, item, given in self.places(dotted):
            if isinstance(item, Choice) and value in item.choices:
                return {**given, name: value}
            if item == value:
                return given
        return {}

    @property
    def num_params(self) -> int:
        """Parameters that can vary, those of every branch included."""
        return sum(1 for _ in self.domains())

    @property
    def num_points(self) -> int | None:
        """Points of the grid; None where a float has no step."""
        return tree_walk.num_points(self.tree)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Params of every point, the last one varying fastest. Raises UserError for a float without a step."""
        problems = [
            Problem(self.file, self.line(name), f"space.{name}", "a grid needs a step for every float, but this one has none")
            for name, domain, _ in self.domains()
            if domain.num_values() is None
        ]
        if problems:
            raise UserError(*problems)
        return tree_walk.grid(list(tree_walk.children(self.tree, "")))

    def corners(self, section: str) -> list[dict[str, Any]]:
        """One section resolved at its corners: all combinations of its choices and of both ends of every number.

        Where that is more than MAX_CORNERS, each choice and each end once with all others first and once with all others last;
        the first MAX_CORNERS of these.
        """
        tree = {section: self.tree[section]} if section in self.tree else {}
        params: Iterable[tuple[dict[str, Any], bool]]
        if tree_walk.num_points(tree, ends=True) <= MAX_CORNERS:  # type: ignore[operator]
            params = ((point, False) for point in tree_walk.grid(list(tree_walk.children(tree, "")), ends=True))
        else:
            names = [(given, name, value) for name, domain, given in tree_walk.domains(tree, "", {}) for value in domain.ends()]
            params = (({**given, name: value}, last) for last in (True, False) for given, name, value in names)
        fields = getattr(SPACE.fields[section], "fields", {})
        resolved = (fill(fields, tree_walk.asked(tree, "", EndParams(point, last)).get(section, {})) for point, last in params)
        unique = {json.dumps(corner): corner for corner in resolved}
        return list(unique.values())[:MAX_CORNERS]

    def line(self, dotted: str) -> int:
        """The line of a key, or of the nearest key above it; 0 for what the file does not mention."""
        while dotted and dotted not in self.lines:
            dotted = dotted.rpartition(".")[0]
        return self.lines.get(dotted, 0)

    def to_dict(self) -> dict[str, Any]:
        """The tree as dicts, lists and values; equal for equal spaces."""
        return tree_walk.plain(self.tree)  # type: ignore[no-any-return]


def fill(fields: Mapping[str, Field], values: Mapping[str, Any], is_entry: bool = False) -> dict[str, Any]:
    """Values of one section, completed and in the order of the declaration.

    An entry's arguments follow its name. Sections among them (ops) stay in the order of `values` and are not added.
    """
    filled: dict[str, Any] = {}
    for key, declared in fields.items():
        if isinstance(declared, Arg | Items):
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
