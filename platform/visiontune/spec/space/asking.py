"""One point of a space, asked for in an order that respects conditions: what a `when` names is asked before the param that has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from visiontune.spec.declarations.declare import Arg, Section, Table
from visiontune.spec.declarations.domains import Choice, Domain
from visiontune.spec.declarations.when import DEFAULT, When
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.tree_walk import Tree, is_domain, standing

Ask = Callable[[str, Domain], Any]
"""Gives a value for a param by its name and domain."""

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT"})()
"""In place of the value of a key that a recipe does not have, such as an argument of another entry."""

_T = TypeVar("_T")


class Asker:
    """Asks `ask` for each param that exists, once; `items` are all params of the tree by name, `point` has what was asked for."""

    def __init__(self, tree: Tree, items: Mapping[str, Domain], ask: Ask) -> None:
        self.point: dict[str, Any] = {}
        self._tree, self._items, self._ask = tree, items, ask
        self._settled: dict[str, Any] = {}
        self._open: set[str] = set()

    def section(self, tree: Tree, prefix: str) -> dict[str, Any]:
        """Values in the order of the file, without what has its declared default."""
        values: dict[str, Any] = {}
        for key, item in tree.items():
            name = prefix + key
            if isinstance(item, Mapping):
                values[key] = self.section(item, f"{name}.")
                continue
            value = self._value(name, item)
            if value is not DEFAULT:
                values[key] = value
            if isinstance(item, Choice) and item.branches and name in self.point:
                values.update(self.section(item.branches[value], f"{prefix}{value}."))
        return values

    def of(self, key: str) -> Any:
        """The value of a key of the recipe, ABSENT where it has none; within a circle of conditions too, which are told elsewhere."""
        if key in self._open:
            return ABSENT
        self._open.add(key)
        section, _, rest = key.partition(".")
        found = (
            self._value(name, item) for name, item, given in standing(self._tree.get(section, {}), rest, f"{section}.") if self.has(given)
        )
        value = next(found, DEFAULT)
        value = self._default(section, rest) if value is DEFAULT else value
        self._open.discard(key)
        return value

    def has(self, given: Mapping[str, Any]) -> bool:
        """Whether these choices exist and are made so; outer ones come first."""
        return all(self._value(name, self._items[name]) == value and name in self.point for name, value in given.items())

    def holds(self, when: When | None) -> bool:
        """Whether every condition holds."""
        return when is None or all(self.of(key) in values for key, values in when.conditions.items())

    def _value(self, name: str, item: Any) -> Any:
        if not is_domain(item):
            return item
        if name not in self._settled:
            exists = self.holds(item.when)
            self._settled[name] = self._ask(name, item) if exists else item.when.otherwise
            if exists:
                self.point[name] = self._settled[name]
        return self._settled[name]

    def _default(self, section: str, key: str) -> Any:
        """Of a key that the file does not have, or not under these choices."""
        fields = getattr(SPACE.fields[section], "fields", {})
        if key in fields:
            return getattr(fields[key], "default", ABSENT)
        first, _, inner = key.partition(".")
        for table in takers(f"{section}.{key}"):
            entry = fields[table.rpartition(".")[2]].entries.get(self.of(table))
            declared = entry.args.get(first) if entry else None
            if isinstance(declared, Section) and self._stands(section, first):
                declared = declared.fields.get(inner)
            if isinstance(declared, Arg):
                return declared.default
        return ABSENT

    def _stands(self, section: str, key: str) -> bool:
        return any(self.has(given) for _, _, given in standing(self._tree.get(section, {}), key, f"{section}."))


def takers(key: str) -> list[str]:
    """Keys of the tables beside a key that have entries with this argument."""
    section, _, rest = key.partition(".")
    fields = getattr(SPACE.fields.get(section), "fields", {})
    tables = ((at, one) for at, one in fields.items() if isinstance(one, Table))
    return [f"{section}.{at}" for at, table in tables if any(rest.partition(".")[0] in entry.args for entry in table.entries.values())]


def every(run: Callable[[Ask], _T], values: Callable[[str, Domain], Sequence[Any]]) -> Iterator[_T]:
    """What `run` gives for each combination of values that it can ask for, the last one asked varying fastest."""
    taken: list[tuple[Sequence[Any], int]] = []
    while True:
        position = 0

        def ask(name: str, item: Domain) -> Any:
            nonlocal position
            if position == len(taken):
                taken.append((values(name, item), 0))
            options, index = taken[position]
            position += 1
            return options[index]

        yield run(ask)
        while taken and taken[-1][1] + 1 == len(taken[-1][0]):
            taken.pop()
        if not taken:
            return
        options, index = taken.pop()
        taken.append((options, index + 1))
