"""Sections of a file against their declaration. Tables, arguments and keys are known from there and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.errors import nearest
from visiontune.spec.declare import NOTHING, REQUIRED, Arg, Entry, Field, Section, Table
from visiontune.spec.domain_reader import read_value_or_domain, repeats
from visiontune.spec.domains import Choice, Float, Int
from visiontune.spec.value_reader import BAD, Problems
from visiontune.spec.yaml_node import Node


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
    """What a table's key says: every name that it can take (none when it is wrong) and what stands in its branches."""

    table: Table
    item: Any
    names: tuple[str, ...] = ()
    branches: Mapping[str, Node] = field(default_factory=dict)

    def possible(self) -> tuple[str, ...]:
        """Names to go on with: after a wrong one, all of them."""
        return self.names or tuple(self.table.entries)


@dataclass
class Reader:
    """Collects problems, and the Node of every key that was read."""

    with_domains: bool
    problems: Problems = field(default_factory=Problems)
    nodes: dict[str, Node] = field(default_factory=dict)

    def section(
        self,
        node: Node,
        fields: Mapping[str, Field],
        at: Place,
        owner: Node | None = None,
        is_branch: bool = False,
        former: Mapping[str, str] = NOTHING,
    ) -> dict[str, Any]:
        """A tree of constants and domains in the order of the file; what is wrong is reported and left out.

        `owner` is the key above, where missing keys are reported. In a branch they are reported by the section around it.
        """
        if node.kind != "mapping" and node.value is not None:
            known = nearest("", fields).removeprefix("choices: ")
            self.problems.add(node, at.where, f"must be a mapping of keys, but got {node.shown()}; keys: {known}")
            return {}
        items = node.items
        owner = owner if owner and owner.file == node.file else node
        picks = {key: self.pick(items, key, table, at) for key, table in fields.items() if isinstance(table, Table)}
        tree: dict[str, Any] = {}
        for key, (key_node, value) in items.items():
            self.nodes[at.child(key).key] = value
            item = picks[key].item if key in picks else self.item(key_node, value, fields, picks, at, former)
            if item is not BAD:
                tree[key] = item
        if not is_branch:
            self.missing(fields, items, owner, at)
        for key, pick in picks.items():
            self.complete(key, pick, tree, items, at, owner)
        return tree

    def item(
        self,
        key_node: Node,
        value: Node,
        fields: Mapping[str, Field],
        picks: Mapping[str, Pick],
        at: Place,
        former: Mapping[str, str] = NOTHING,
    ) -> Any:
        """A field of the section or an argument of what its tables name."""
        key = key_node.value
        if key in fields:
            return self.field(key_node, value, fields[key], at)
        for pick in picks.values():
            takers = [name for name in pick.possible() if key in pick.table.entries[name].args]
            if not takers:
                continue
            others = [name for name in pick.names if name not in takers]
            if others:
                rule = f"{_listed(takers)} can take {key!r}, but {_listed(others)} can't: write it in the branch of {_listed(takers)}"
                return self.problems.add(key_node, at.child(key).where, rule)
            if any(key in branch.items for branch in pick.branches.values()):
                return self.problems.add(key_node, at.child(key).where, "stands here and in a branch of the choice; one of them must go")
            return self.agreed(key_node, value, [pick.table.entries[name].args[key] for name in takers], at)
        return self.problems.add(key_node, at.child(key).where, _unknown(key, fields, picks, former))

    def agreed(self, key_node: Node, value: Node, declared: list[Field], at: Place) -> Any:
        """A value that must suit every one of several declarations."""
        item: Any = BAD
        for number, one in enumerate(declared):
            if one not in declared[:number]:
                item = self.field(key_node, value, one, at)
                if item is BAD:
                    return BAD
        return item

    def field(self, key_node: Node, value: Node, declared: Field, at: Place) -> Any:
        here = at.child(key_node.value, declared)
        if isinstance(declared, Arg):
            return read_value_or_domain(value, declared, here.where, self.problems, at.use_domains and self.with_domains)
        if isinstance(declared, Section):
            return self.section(value, declared.fields, here, key_node, former=declared.former)
        raise TypeError(f"a table among the arguments of an entry: {here.where}")

    def pick(self, items: Mapping[str, tuple[Node, Node]], key: str, table: Table, at: Place) -> Pick:
        """The constant or choice of names under a table's key."""
        where = at.child(key).where
        if key not in items:
            return Pick(table, BAD, () if table.default is REQUIRED else (table.default,))
        node = items[key][1]
        if node.kind == "mapping" and at.use_domains and self.with_domains:
            return self.pick_domain(node, key, table, at)
        if node.kind != "scalar" or not isinstance(node.value, str) or node.value not in table.entries:
            return Pick(table, self.problems.add(node, where, f"must name one {table.what}, but got {node.shown()}; {_names(node, table)}"))
        return Pick(table, node.value, (node.value,))

    def pick_domain(self, node: Node, key: str, table: Table, at: Place) -> Pick:
        where = at.child(key).where
        for name, (key_node, _) in node.items.items():
            if name != "choice":
                rule = f"unknown key {name!r} in place of the {table.what}; {nearest(name, ['choice'])}"
                self.problems.add(key_node, f"{where}.{name}", rule)
        options = node.items["choice"][1] if "choice" in node.items else None
        if options is None or options.kind == "scalar" or not options.value:
            if options is not None or not node.items:
                shape = "{choice: [a, b]} or {choice: {a: {...}, b: {...}}}"
                self.problems.add(options or node, where, f"a choice of {table.what} is written {shape}, but got {node.shown()}")
            return Pick(table, BAD)
        named = list(options.value) if options.kind == "list" else [key_node for key_node, _ in options.value]
        wrong = [one for one in named if one.kind != "scalar" or one.value not in table.entries]
        for one in wrong:
            self.problems.add(one, f"{where}.choice", f"must name one {table.what}, but got {one.shown()}; {_names(one, table)}")
        good = [one.value for one in named if one not in wrong]
        names = tuple(dict.fromkeys(good))
        if options.kind == "list":
            repeated = repeats(good, options, where, self.problems)
            return Pick(table, BAD if wrong or repeated else Choice(names), () if wrong else names)
        branches = {name: options.items[name][1] for name in names}
        trees = {
            name: self.section(branch, table.entries[name].args, at.branch(key, name), options.items[name][0], True, table.former)
            for name, branch in branches.items()
        }
        for name, branch in branches.items():
            self.nodes[at.child(name).key] = branch
        return Pick(table, BAD if wrong else Choice(names, trees), () if wrong else names, branches)

    def missing(self, fields: Mapping[str, Field], items: Mapping[str, Any], owner: Node, at: Place) -> None:
        for key, declared in fields.items():
            if key in items:
                continue
            where = at.child(key).where
            if isinstance(declared, Section):
                needed = _required(declared.fields)
                if needed:
                    self.problems.add(owner, where, f"required section {key!r} is missing; it needs {_listed(needed)}")
            elif declared.default is REQUIRED:
                tail = nearest("", declared.entries) if isinstance(declared, Table) else declared.doc
                self.problems.add(owner, where, f"required key {key!r} is missing; {tail}")

    def complete(self, key: str, pick: Pick, tree: Mapping[str, Any], items: Mapping[str, Any], at: Place, owner: Node) -> None:
        """Rules about an entry's arguments as a whole: none that is required is missing, ops are named, `needs` are met."""
        node = items[key][1] if key in items else owner
        for name in pick.names:
            entry, branch = pick.table.entries[name], pick.branches.get(name)
            given = {*items, *(branch.items if branch else ())}
            for arg, declared in entry.args.items():
                if arg not in given and not isinstance(declared, Section) and declared.default is REQUIRED:
                    said = f"{pick.table.what} {name!r} needs the argument {arg!r}; {getattr(declared, 'doc', '')}"
                    self.problems.add(node, at.child(arg).where, said)
            if entry.args and all(isinstance(declared, Section) for declared in entry.args.values()) and not given & {*entry.args}:
                said = f"{pick.table.what} {name!r} needs at least one of its sections; {nearest('', entry.args)}"
                self.problems.add(branch or node, at.child(key).where, said)
            in_branch = pick.item.branches.get(name, {}) if isinstance(pick.item, Choice) else {}
            for rule in (self.needs, self.excludes):
                rule(name, entry, {**tree, **in_branch}, given, at.branch(key, name) if branch else at)

    def needs(self, name: str, entry: Entry, tree: Mapping[str, Any], given: set[str], at: Place) -> None:
        for flag, number in entry.needs.items():
            if any(arg in given and arg not in tree for arg in (flag, number)):
                continue  # one of them is wrong already
            values = {arg: tree.get(arg, getattr(entry.args[arg], "default", None)) for arg in (flag, number)}
            if _can_be(values[flag], True) and _can_be_zero(values[number]):
                key = number if number in given else flag
                node = self.nodes.get(at.child(key).key) or self.nodes[f"{at.key.rpartition('.')[0]}.{key}"]
                rule = f"{name} needs `{number} > 0` where {flag} can be true, but {number} can be 0"
                self.problems.add(node, at.child(key).where, rule)

    def excludes(self, name: str, entry: Entry, tree: Mapping[str, Any], given: set[str], at: Place) -> None:
        for number, other in entry.excludes.items():
            default = getattr(entry.args[number], "default", None)
            if {number, other} <= given & {*tree} and tree[number] != default and _can_be_positive(tree[other]):
                node = self.nodes.get(at.child(other).key) or self.nodes[f"{at.key.rpartition('.')[0]}.{other}"]
                rule = f"{name} takes {number} or {other}, not both; leave one out"
                self.problems.add(node, at.child(other).where, rule)


def _unknown(key: str, fields: Mapping[str, Field], picks: Mapping[str, Pick], former: Mapping[str, str]) -> str:
    known = [*fields, *dict.fromkeys(arg for pick in picks.values() for name in pick.possible() for arg in pick.table.entries[name].args)]
    for pick in picks.values():
        owners = [name for name, entry in pick.table.entries.items() if key in entry.args]
        if owners:
            return f"{key!r} is an argument of {_listed(owners)}, not of {_listed(pick.names)}; {nearest(key, known)}"
    said = next((names[key] for names in (former, *(pick.table.former for pick in picks.values())) if key in names), "")
    return f"unknown key {key!r}{said and f', {said}'}; {nearest(key, known)}"


def _required(fields: Mapping[str, Field]) -> list[str]:
    """Keys that a section can't do without, dotted."""
    needed = []
    for key, declared in fields.items():
        if isinstance(declared, Section):
            needed += [f"{key}.{inner}" for inner in _required(declared.fields)]
        elif declared.default is REQUIRED:
            needed.append(key)
    return needed


def _names(node: Node, table: Table) -> str:
    return nearest(node.value if node.kind == "scalar" else "", table.entries)


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


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
