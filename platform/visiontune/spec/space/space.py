"""A validated search space: constants and domains in a tree that mirrors the recipe.

Keys of params are dotted: `optimizer.lr`, and under a branch with the branch's name: `optimizer.sgd.momentum`, `optimizer.sgd.lr`.
Resolved sections are flat, without a level for the branch, and complete: whatever the file left out has its default.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

from visiontune.errors import Problem, UserError
from visiontune.spec.declarations.declare import REQUIRED, Arg, Field, Items, Section, Table
from visiontune.spec.declarations.domains import Choice, Domain, EndParams, Suggest
from visiontune.spec.declarations.former_policies import as_softer
from visiontune.spec.space import tree_walk
from visiontune.spec.space.asking import ABSENT, Ask, Asker, every, takers
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.tree_walk import Tree

MAX_CORNERS = 256

_T = TypeVar("_T")

_FEW = 16
"""Values of a range up to which all of them are tried."""


@dataclass(frozen=True)
class Space:
    """What may vary. `lines` is where each dotted key stands in `file`. Of an older study policies mean what they meant when it began."""

    tree: Tree
    lines: Mapping[str, int] = field(default_factory=dict)
    file: str = ""
    is_older: bool = False

    def resolve(self, suggest: Suggest) -> dict[str, dict[str, Any]]:
        """One point as the sections of a recipe (without data, num_epochs and seed), in the order of the file.

        Asked is in that order too, but for what conditions name, which comes before the param that has them.
        """
        sections = fill(SPACE.fields, self._asker(suggest).section(self.tree, ""))
        return {**sections, "augmentation": as_softer(sections["augmentation"])} if self.is_older else sections

    def params(self, suggest: Suggest) -> dict[str, Any]:
        """Params of that point: those that exist there."""
        return self._point(self._asker(suggest))

    def domains(self) -> Iterator[tuple[str, Domain, dict[str, Any]]]:
        """Every param with its domain and the choices in whose branches it stands, in the order of the file; a `when` may ask for more."""
        return tree_walk.domains(self.tree, "", {})

    def places(self, dotted: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Where the file has a key of the recipe: the param's name, its domain or constant, and the choices under which it stands there.

        `optimizer.lr` may be `optimizer.sgd.lr` under sgd and `optimizer.adamw.lr` under adamw.
        """
        section, _, key = dotted.partition(".")
        return tree_walk.standing(self.tree.get(section, {}), key, f"{section}.")

    def choosing(self, dotted: str, value: Any) -> dict[str, Any]:
        """Params that give a key of the recipe this value, with what that takes; none where the file can't or need not."""
        return self.holding({dotted: value}) or {}

    def holding(self, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
        """Params that give all these keys of the recipe these values, with what that takes; None where no point has them all."""
        outcomes = self.outcomes(lambda asker: all(asker.of(key) == value for key, value in wanted.items()))
        return next((point for has_all, point in outcomes if has_all), None)

    def values(self, dotted: str) -> list[Any]:
        """What a key of the recipe can be: its choices in all branches, and its value elsewhere; of a long range only a few."""
        return [*dict.fromkeys(found for found, _ in self.outcomes(lambda asker: asker.of(dotted)) if found is not ABSENT)]

    def outcomes(self, run: Callable[[Asker], _T]) -> Iterator[tuple[_T, dict[str, Any]]]:
        """What `run` can find, each with the params that it takes: ranges are tried at the values that conditions name, and at others.

        A float without a step is NaN, which no condition can name.
        """

        def tried(ask: Ask) -> tuple[_T, dict[str, Any]]:
            asker = Asker(self.tree, self._items, ask)
            found = run(asker)
            return found, {name: value for name, value in asker.point.items() if value == value}

        return every(tried, lambda name, item: _representatives(item, self._named.get(name, ())))

    @property
    def num_params(self) -> int:
        """Parameters that can vary, those of every branch included."""
        return sum(1 for _ in self.domains())

    @property
    def num_points(self) -> int | None:
        """Points of the grid; None where a float has no step."""
        if not self.has_conditions or any(item.num_values() is None for item in self._items.values()):
            return tree_walk.num_points(self.tree)
        points = every(self._asked, lambda name, item: item.values() if name in self.deciding else item.values()[:1])
        return sum(math.prod(self._items[name].num_values() or 1 for name in point if name not in self.deciding) for point in points)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Params of every point, the last one varying fastest. Raises UserError for a float without a step."""
        problems = [
            Problem(self.file, self.line(name), f"space.{name}", "a grid needs a step for every float, but this one has none")
            for name, domain, _ in self.domains()
            if domain.num_values() is None
        ]
        if problems:
            raise UserError(*problems)
        return every(self._asked, lambda name, item: item.values())

    def corners(self, section: str) -> list[dict[str, Any]]:
        """One section resolved at its corners: all combinations of its choices and of both ends of every number.

        Where that is more than MAX_CORNERS, each choice and each end once with all others first and once with all others last;
        the first MAX_CORNERS of these.
        """
        tree = {section: self.tree[section]} if section in self.tree else {}
        fields = getattr(SPACE.fields[section], "fields", {})

        def resolved(ask: Ask) -> dict[str, Any]:
            return fill(fields, Asker(self.tree, self._items, ask).section(tree, "").get(section, {}))

        corners = [*islice(every(resolved, lambda name, item: item.ends()), MAX_CORNERS + 1)]
        if len(corners) > MAX_CORNERS:
            own = [(self._existing(name, item, given), name, item) for name, item, given in tree_walk.domains(tree, "", {})]
            points = [(last, {**point, name: end}) for last in (True, False) for point, name, item in own for end in item.ends()]
            corners = [resolved(_asking(EndParams(point, last))) for last, point in points]
        unique = {json.dumps(corner): corner for corner in corners}
        return list(unique.values())[:MAX_CORNERS]

    @cached_property
    def deciding(self) -> frozenset[str]:
        """Names of params on which it depends which others there are."""
        return frozenset(name for name, item in self._items.items() if name in self._named or (isinstance(item, Choice) and item.branches))

    def num_points_of(self, names: Collection[str], at_most: int) -> int | None:
        """Points that differ in these params, up to `at_most`; None where one of them is a float without a step."""
        if any(item.num_values() is None for name, item in self._items.items() if name in names):
            return None
        points = every(self._asked, lambda name, item: item.values() if name in names else item.ends()[:1])
        found: set[frozenset[tuple[str, Any]]] = set()
        for point in points:
            found.add(frozenset((name, value) for name, value in point.items() if name in names))
            if len(found) >= at_most:
                break
        return len(found)

    @cached_property
    def has_conditions(self) -> bool:
        """Whether a domain of it has a `when`."""
        return any(item.when is not None for item in self._items.values())

    @cached_property
    def _items(self) -> dict[str, Domain]:
        return {name: item for name, item, _ in self.domains()}

    @cached_property
    def _named(self) -> dict[str, list[Any]]:
        """Values that conditions name, by param; none of a choice on which a default depends that they name."""
        named: dict[str, list[Any]] = defaultdict(list)
        for item in self._items.values():
            for key, values in item.when.conditions.items() if item.when else ():
                for name, _, _ in self.places(key):
                    named[name] += values
                for name in (name for table in takers(key) for name, _, _ in self.places(table)):
                    named[name] += ()
        return named

    def _existing(self, name: str, item: Domain, given: dict[str, Any]) -> dict[str, Any]:
        """Params with which this one exists."""
        if not self.has_conditions:
            return given
        return next((point for exists, point in self.outcomes(lambda asker: asker.has(given) and asker.holds(item.when)) if exists), given)

    def _asker(self, suggest: Suggest) -> Asker:
        return Asker(self.tree, self._items, _asking(suggest))

    def _asked(self, ask: Ask) -> dict[str, Any]:
        return self._point(Asker(self.tree, self._items, ask))

    def _point(self, asker: Asker) -> dict[str, Any]:
        asker.section(self.tree, "")
        return asker.point

    def line(self, dotted: str) -> int:
        """The line of a key, in the first branch that has it where none stands outside, or of the nearest key above it; 0 for none."""
        dotted = next((name for name, _, _ in self.places(dotted) if name in self.lines), dotted)
        while dotted and dotted not in self.lines:
            dotted = dotted.rpartition(".")[0]
        return self.lines.get(dotted, 0)

    def to_dict(self) -> dict[str, Any]:
        """The tree as dicts, lists and values; equal for equal spaces."""
        return tree_walk.plain(self.tree)  # type: ignore[no-any-return]


def _asking(suggest: Suggest) -> Ask:
    return lambda name, item: item.ask(name, suggest)


def _representatives(item: Domain, named: Sequence[Any]) -> Sequence[Any]:
    """All values, or of many those that conditions name and enough that none does."""
    num = item.num_values()
    if num is None:
        return (math.nan,)
    values = item.values()
    if isinstance(item, Choice) or num <= _FEW:
        return values
    return [*dict.fromkeys([*values[: len(named) + 1], *(value for value in named if value in values)])]


def fill(fields: Mapping[str, Field], values: Mapping[str, Any], is_entry: bool = False) -> dict[str, Any]:
    """Values of one section, completed and in the order of the declaration.

    An entry's arguments follow its name. Sections among them (ops) stay in the order of `values` and are not added.
    """
    filled: dict[str, Any] = {}
    for key, declared in fields.items():
        if isinstance(declared, Items) and isinstance(declared.item, Section):
            filled |= {key: [fill(declared.item.fields, one) for one in values[key]]} if values.get(key) else {}
        elif isinstance(declared, Arg | Items):
            filled[key] = values.get(key, declared.default)
        elif isinstance(declared, Table):
            filled[key] = values.get(key, declared.default)
            if filled[key] is not REQUIRED:  # of a file that lacks the key, as is told elsewhere
                filled.update(fill(declared.entries[filled[key]].args, values, is_entry=True))
        elif not is_entry:
            filled[key] = fill(declared.fields, values.get(key, {}))
    for key, value in values.items():
        declared_here = fields.get(key)
        if is_entry and isinstance(declared_here, Section):
            filled[key] = fill(declared_here.fields, value)
    return filled
