"""Rules that tie an entry's arguments together: none that is required is missing, sections are there, `needs` and `excludes` are met."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from visiontune.errors import nearest
from visiontune.spec.declarations.declare import REQUIRED, Entry, Section
from visiontune.spec.declarations.domains import Choice, Float, Int
from visiontune.spec.declarations.when import elsewhere
from visiontune.spec.reading.table_reader import Pick, Place
from visiontune.spec.reading.value_reader import Problems
from visiontune.spec.yaml.yaml_node import Node


@dataclass(frozen=True)
class EntryRules:
    """Reports what entries lack to `problems`; `nodes` are those of every key that was read."""

    problems: Problems
    nodes: Mapping[str, Node]

    def check(self, key: str, pick: Pick, tree: Mapping[str, Any], items: Mapping[str, tuple[Node, Node]], at: Place, owner: Node) -> None:
        """Every entry that a table's key can name, with the section around it as it was read."""
        node = items[key][1] if key in items else owner
        own = pick.item.choices if isinstance(pick.item, Choice) else pick.names
        for name, branch in (*((name, pick.branch(name)) for name in own), *((name, None) for name in pick.elsewhere)):
            given = {*items, *(branch.items if branch else ())}
            self._arguments(name, pick, given, at, node)
            self._sections(name, pick, given, at.child(key), branch or node)
            in_branch = pick.item.branches.get(name, {}) if isinstance(pick.item, Choice) and branch else {}
            for rule in (self._needs, self._excludes):
                rule(name, pick.table.entries[name], {**tree, **in_branch}, given, at.branch(key, name) if branch else at)

    def _arguments(self, name: str, pick: Pick, given: Set[str], at: Place, node: Node) -> None:
        for arg, declared in pick.table.entries[name].args.items():
            if arg not in given and not isinstance(declared, Section) and declared.default is REQUIRED:
                said = f"{pick.table.what} {name!r} needs the argument {arg!r}; {getattr(declared, 'doc', '')}"
                self.problems.add(node, at.child(arg).where, said)

    def _sections(self, name: str, pick: Pick, given: Set[str], at: Place, node: Node) -> None:
        """Where an entry has nothing but sections, as `fixed` has ops, one of them must be there."""
        args = pick.table.entries[name].args
        if args and all(isinstance(declared, Section) for declared in args.values()) and not given & {*args}:
            said = f"{pick.table.what} {name!r} needs at least one of its sections; {nearest('', args)}"
            self.problems.add(node, at.where, said)

    def _needs(self, name: str, entry: Entry, tree: Mapping[str, Any], given: Set[str], at: Place) -> None:
        for flag, number in entry.needs.items():
            if any(arg in given and arg not in tree for arg in (flag, number)):
                continue  # one of them is wrong already
            flags, numbers = (_forms(arg, entry, tree) for arg in (flag, number))
            if any(_can_be(one, True) for one in flags) and any(_can_be_zero(one) for one in numbers):
                key = number if number in given else flag
                rule = f"{name} needs `{number} > 0` where {flag} can be true, but {number} can be 0"
                self.problems.add(self._node(key, at), at.child(key).where, rule)

    def _excludes(self, name: str, entry: Entry, tree: Mapping[str, Any], given: Set[str], at: Place) -> None:
        for number, other in entry.excludes.items():
            default = getattr(entry.args[number], "default", None)
            if {number, other} <= given & {*tree} and tree[number] != default and any(map(_can_be_positive, _forms(other, entry, tree))):
                rule = f"{name} takes {number} or {other}, not both; leave one out"
                self.problems.add(self._node(other, at), at.child(other).where, rule)

    def _node(self, key: str, at: Place) -> Node:
        """In the branch, or in the section around it."""
        return self.nodes.get(at.child(key).key) or self.nodes[f"{at.key.rpartition('.')[0]}.{key}"]


def _forms(arg: str, entry: Entry, tree: Mapping[str, Any]) -> tuple[Any, ...]:
    """What stands for an argument, and what it is where the conditions of that do not hold; its default where nothing stands."""
    default = getattr(entry.args[arg], "default", None)
    item = tree.get(arg, default)
    return (item, *elsewhere(item, default))


def _can_be(item: Any, value: Any) -> bool:
    return value in item.choices if isinstance(item, Choice) else item is value


def _can_be_zero(item: Any) -> bool:
    if isinstance(item, Float | Int):
        return item.low <= 0
    values = item.choices if isinstance(item, Choice) else (item,)
    return any(value is not None and value <= 0 for value in values)


def _can_be_positive(item: Any) -> bool:
    if isinstance(item, Float | Int):
        return item.high > 0
    values = item.choices if isinstance(item, Choice) else (item,)
    return any(value is not None and value > 0 for value in values)
