"""What stands under a table's key: the name of one entry, or a choice of several with branches of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.errors import nearest
from visiontune.spec.declarations.declare import REQUIRED, Field, Section, Table
from visiontune.spec.declarations.domains import Choice
from visiontune.spec.declarations.when import OTHERWISE, WHEN, elsewhere
from visiontune.spec.reading.condition_reader import read_when
from visiontune.spec.reading.domain_reader import repeats
from visiontune.spec.reading.name_hints import named_as_key, wrong_name
from visiontune.spec.reading.value_reader import BAD, Problems
from visiontune.spec.space.sections import TABLES
from visiontune.spec.yaml.yaml_node import Node


@dataclass(frozen=True)
class Place:
    """`where` is the path in the file, as an override would write it; `key` has no level for `choice` and its name."""

    where: str = ""
    key: str = ""
    use_domains: bool = False

    def child(self, name: str, section: Field | None = None) -> Place:
        is_space = section.is_space if isinstance(section, Section) else self.use_domains
        return Place(f"{self.where}.{name}".lstrip("."), f"{self.key}.{name}".lstrip("."), is_space)

    def branch(self, table: str, name: str) -> Place:
        return Place(f"{self.where}.{table}.choice.{name}", f"{self.key}.{name}", self.use_domains)


@dataclass(frozen=True)
class Pick:
    """What a table's key says: every name that it can take (none when it is wrong), and each branch with the key that it stands under.

    `elsewhere` has the name that it is where a choice does not exist for its conditions.
    """

    table: Table
    item: Any
    names: tuple[str, ...] = ()
    branches: Mapping[str, tuple[Node, Node]] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()

    def branch(self, name: str) -> Node | None:
        return self.branches[name][1] if name in self.branches else None

    def possible(self) -> tuple[str, ...]:
        """Names to go on with: after a wrong one, all of them."""
        return self.names or tuple(self.table.entries)


def read_pick(items: Mapping[str, tuple[Node, Node]], key: str, table: Table, at: Place, problems: Problems, use_domains: bool) -> Pick:
    """The constant or choice of names under a table's key; what stands in branches is not looked at."""
    if key not in items:
        return Pick(table, BAD, () if table.default is REQUIRED else (table.default,))
    node, where = items[key][1], at.child(key).where
    if node.kind == "mapping" and use_domains:
        return _choice(node, table, where, problems)
    if node.kind != "scalar" or not isinstance(node.value, str) or node.value not in table.entries:
        return Pick(table, problems.add(node, where, wrong_name(node, table, TABLES.values(), use_domains=use_domains)))
    return Pick(table, node.value, (node.value,))


def _choice(node: Node, table: Table, where: str, problems: Problems) -> Pick:
    key = where.rpartition(".")[2]
    for name, (key_node, value) in node.items.items():
        if name not in (known := ("choice", WHEN, OTHERWISE)):
            hint = named_as_key(key, name) if name in table.entries else nearest(name, known)
            hint = f"nearest is `{key}: {value.value}`" if value.kind == "scalar" and value.value in table.entries else hint
            problems.add(key_node, f"{where}.{name}", f"unknown key {name!r} in place of the {table.what}; {hint}")
    options = node.items["choice"][1] if "choice" in node.items else None
    if options is None or options.kind == "scalar" or not options.value:
        if options is not None or not node.items:
            shape = "{choice: [a, b]} or {choice: {a: {...}, b: {...}}}"
            problems.add(options or node, where, f"a choice of {table.what} is written {shape}, but got {node.shown()}")
        return Pick(table, BAD)
    when = read_when(node, table, where, problems)
    named = list(options.value) if options.kind == "list" else [key_node for key_node, _ in options.value]
    wrong = [one for one in named if one.kind != "scalar" or one.value not in table.entries]
    for one in wrong:
        problems.add(one, f"{where}.choice", wrong_name(one, table, TABLES.values(), is_choice=True))
    good = [one.value for one in named if one not in wrong]
    names = tuple(dict.fromkeys(good))
    is_repeated = options.kind == "list" and repeats(good, options, where, problems)
    branches = {name: options.items[name] for name in names} if options.kind == "mapping" else {}
    if wrong or is_repeated or when is BAD:
        return Pick(table, BAD, () if wrong else names, branches)
    item = Choice(names, when=when)
    others = elsewhere(item, table.default)
    return Pick(table, item, tuple(dict.fromkeys((*names, *others))), branches, others)
