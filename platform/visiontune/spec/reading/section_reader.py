"""Sections of a file against their declaration. Tables, arguments and keys are known from there and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from visiontune.errors import nearest
from visiontune.spec.declarations.declare import NOTHING, REQUIRED, Arg, Field, Items, Section, Table
from visiontune.spec.declarations.domains import DOMAINS, Choice
from visiontune.spec.reading.auto_by_entry import ByEntry, suited, under_entries
from visiontune.spec.reading.branch_rules import BranchRules
from visiontune.spec.reading.domain_reader import read_value_or_domain
from visiontune.spec.reading.entry_rules import EntryRules
from visiontune.spec.reading.foreign_domains import joined_calls
from visiontune.spec.reading.items_reader import read_items
from visiontune.spec.reading.name_hints import is_misspelt, named_as_key, nearest_place
from visiontune.spec.reading.stray_names import hides_keys, rule_of_stray, stray_names
from visiontune.spec.reading.table_reader import Pick, Place, read_pick
from visiontune.spec.reading.value_reader import BAD, Problems, listed, named_in
from visiontune.spec.space.auto_ranges import is_auto
from visiontune.spec.tables.sources import SOURCES
from visiontune.spec.yaml.yaml_node import Node


@dataclass
class Reader:
    """Collects problems, and the Node of every key that was read."""

    with_domains: bool
    problems: Problems = field(default_factory=Problems)
    nodes: dict[str, Node] = field(default_factory=dict)
    whole: Mapping[str, Field] = field(default_factory=dict)
    """Fields of the file that is read."""

    def file(self, root: Node, fields: Mapping[str, Field]) -> dict[str, Any]:
        """The whole of one, from its top."""
        self.whole = fields
        return self.section(root, fields, Place())

    def section(
        self,
        node: Node,
        fields: Mapping[str, Field],
        at: Place,
        owner: Node | None = None,
        around: Mapping[str, Field] | None = None,
        former: Mapping[str, str] = NOTHING,
    ) -> dict[str, Any]:
        """A tree of constants and domains in the order of the file; what is wrong is reported and left out.

        `owner` is the key above, where missing keys are reported. In a branch they are reported by the section around it, whose other
        keys `around` may stand here too.
        """
        own, fields = fields, {**fields, **(around or {})}
        if node.kind != "mapping" and node.value is not None:
            known = nearest("", own).removeprefix("choices: ")
            names = [key for key, one in own.items() if isinstance(one, Table) and node.kind == "scalar" and node.value in one.entries]
            near = f"nearest is {{{names[0]}: {node.value}}}; " if names else ""
            if own.get("source") is SOURCES and isinstance(node.value, str) and not near:
                near = f"nearest is {{source: folder, path: {node.value}}}; "
            if node.kind == "list" and all(one.kind == "mapping" for one in node.value):
                near = "nearest is the same without the dashes of a list; "
            self.problems.add(node, at.where, f"must be a mapping of keys, but got {node.shown()}; {near}keys: {known}")
            return {}
        items = joined_calls(node.items) if at.use_domains and self.with_domains else node.items
        owner = owner if owner and owner.file == node.file else node
        tables = {key: one for key, one in fields.items() if isinstance(one, Table) and (around is None or key in items)}
        stray = stray_names(items, fields, tables)
        if stray:
            self.problems.add(items[stray[0]][0], at.child(stray[0]).where, rule_of_stray(stray, items, tables))
        in_branches = BranchRules(self.problems, fields, at).check(items) if around is None else frozenset()
        picks = {key: self.pick(items, key, table, at, fields if around is None else around) for key, table in tables.items()}
        tree: dict[str, Any] = {}
        for key, (key_node, value) in items.items():
            if key in stray:
                continue
            self.nodes[at.child(key).key] = value
            item = picks[key].item if key in picks else self.item(key_node, value, fields, picks, at, former, in_branches)
            if isinstance(item, ByEntry):
                picks[item.table] = self.spread(item, key, value, picks[item.table], at)
                tree |= {item.table: picks[item.table].item} if picks[item.table].names else {}
            elif item is not BAD:
                tree[key] = picks[key].item if key in picks else item
        if around is None and not stray and not hides_keys(items, tables):
            self.missing(fields, {*items, *in_branches}, owner, at)
        for key, pick in picks.items():
            EntryRules(self.problems, self.nodes).check(key, pick, tree, items, at, owner)
        return tree

    def item(
        self,
        key_node: Node,
        value: Node,
        fields: Mapping[str, Field],
        picks: Mapping[str, Pick],
        at: Place,
        former: Mapping[str, str] = NOTHING,
        in_branches: Set[str] = frozenset(),
    ) -> Any:
        """A field of the section or an argument of what its tables name."""
        key = key_node.value
        is_searched = self.with_domains and at.use_domains and is_auto(value)
        if key in fields and is_searched and (found := under_entries(key, fields[key], picks)) is not None:
            return self.agreed(key_node, value, found[1], at, found[0])
        if key in fields:
            return self.field(key_node, value, fields[key], at)
        for table, pick in picks.items():
            if table in in_branches and any(key in entry.args for entry in pick.table.entries.values()):
                rule = f"belongs to {table}, which stands in branches: write {key!r} there, beside it"
                return self.problems.add(key_node, at.child(key).where, rule)
            takers = [name for name in pick.possible() if key in pick.table.entries[name].args]
            if not takers:
                continue
            others = [name for name in pick.names if name not in takers]
            if others:
                rule = f"{listed(takers)} can take {key!r}, but {listed(others)} can't: write it in the branch of {listed(takers)}"
                return self.problems.add(key_node, at.child(key).where, rule)
            if any(key in branch.items for _, branch in pick.branches.values()):
                return self.problems.add(key_node, at.child(key).where, "stands here and in a branch of the choice; one of them must go")
            declared = {name: pick.table.entries[name].args[key] for name in takers}
            return self.agreed(key_node, value, declared, at, table if is_searched else "")
        return self.problems.add(key_node, at.child(key).where, self.unknown(key, value, fields, picks, former))

    def agreed(self, key_node: Node, value: Node, declared: Mapping[str, Field], at: Place, table: str = "") -> Any:
        """A value that must suit the declarations of every entry; where `table` says whose, each may make a domain of its own of it."""
        items: dict[str, Any] = {}
        for name, one in declared.items():
            known = next((items[other] for other in items if declared[other] == one), None)
            items[name] = self.field(key_node, value, one, at) if known is None else known
            if items[name] is BAD:
                return BAD
        last = items[name]
        return ByEntry(table, items) if table and any(item != last for item in items.values()) else last

    def spread(self, item: ByEntry, key: str, value: Node, pick: Pick, at: Place) -> Pick:
        """The table's choice with the entries' own domains in its branches."""
        if not isinstance(pick.item, Choice):
            return pick
        if pick.item.when is not None:
            rule = (
                f"auto gives each {pick.table.what} a range of its own, but the choice has `when`: write a domain, or auto in the branches"
            )
            self.problems.add(value, at.child(key).where, rule)
            return pick
        for name in pick.names:
            self.nodes[at.child(name).child(key).key] = value
        return replace(pick, item=item.put(key, pick.item))

    def field(self, key_node: Node, value: Node, declared: Field, at: Place) -> Any:
        here = at.child(key_node.value, declared)
        if isinstance(declared, Arg):
            return read_value_or_domain(value, declared, here.where, self.problems, at.use_domains and self.with_domains)
        if isinstance(declared, Items):
            if isinstance(declared.item, Section):
                return self.sections(value, declared.item, here)
            return read_items(value, declared, here.where, self.problems)
        if isinstance(declared, Section):
            if declared.short_for and (value.kind == "list" or isinstance(value.value, str)):
                value = _written_out(value, declared)
            tree = self.section(value, declared.fields, here, key_node, former=declared.former)
            given = {key for key, (_, item) in value.items.items() if item.value is not None}
            is_read = value.kind == "mapping" or value.value is None  # what is none is told above
            is_known = given <= {*declared.fields}  # an unknown key may be meant as one
            if declared.one_of and is_read and is_known and not given & {*declared.one_of}:
                self.problems.add(value, here.where, f"must have at least one of {', '.join(declared.one_of)}")
            return tree
        raise TypeError(f"a table among the arguments of an entry: {here.where}")

    def sections(self, node: Node, item: Section, at: Place) -> Any:
        """A list of mappings of constants, those without a problem."""
        if node.kind != "list":
            tail = f"; nearest is [{node.shown()}]" if node.kind == "mapping" else ""
            return self.problems.add(node, at.where, f"must be a list of mappings ({item.doc}), but got {node.shown()}{tail}")
        reader = replace(self, with_domains=False)
        places = (Place(f"{at.where}[{number}]", f"{at.key}[{number}]") for number in range(len(node.value)))
        trees = [reader.section(one, item.fields, place) for one, place in zip(node.value, places, strict=True)]
        return [{key: [*value] if isinstance(value, tuple) else value for key, value in tree.items()} for tree in trees]  # as JSON has it

    def pick(
        self, items: Mapping[str, tuple[Node, Node]], key: str, table: Table, at: Place, section: Mapping[str, Field] = NOTHING
    ) -> Pick:
        """What the table's key says, its branches read: they may hold the entry's arguments and the other keys of the section."""
        found = read_pick(items, key, table, at, self.problems, at.use_domains and self.with_domains)
        around = {name: one for name, one in section.items() if name != key}
        trees = {name: self.branch(branch, key, table, name, at, key_node, around) for name, (key_node, branch) in found.branches.items()}
        for name, (_, branch) in found.branches.items():
            self.nodes[at.child(name).key] = branch
        return replace(found, item=replace(found.item, branches=trees)) if trees and found.item is not BAD else found

    def branch(self, node: Node, key: str, table: Table, name: str, at: Place, owner: Node, around: Mapping[str, Field]) -> dict[str, Any]:
        """What stands under one entry of a choice."""
        entry = table.entries[name]
        others = {other: suited(one, other, entry) for other, one in around.items()}
        return self.section(node, entry.args, at.branch(key, name), owner, others, table.former)

    def missing(self, fields: Mapping[str, Field], items: Set[str], owner: Node, at: Place) -> None:
        for key, declared in fields.items():
            if key in items:
                continue
            where, is_implied = at.child(key).where, is_misspelt(key, items, fields)
            if isinstance(declared, Section):
                needed = required(declared.fields)
                needed += [f"one of {', '.join(declared.one_of)}"] if declared.one_of else []
                if needed:
                    self.problems.add(
                        owner, where, f"required section {key!r} is missing; it needs {listed(needed)}", is_implied=is_implied
                    )
            elif declared.default is REQUIRED:
                tail = nearest("", declared.entries) if isinstance(declared, Table) else declared.doc
                self.problems.add(owner, where, f"required key {key!r} is missing; {tail}", is_implied=is_implied)

    def unknown(self, key: str, value: Node, fields: Mapping[str, Field], picks: Mapping[str, Pick], former: Mapping[str, str]) -> str:
        """The rule about a key that neither the section nor what its tables name has."""
        args = (arg for pick in picks.values() for name in pick.possible() for arg in pick.table.entries[name].args)
        known = [*fields, *dict.fromkeys(args)]
        for pick in picks.values():
            owners = [name for name, entry in pick.table.entries.items() if key in entry.args]
            if owners:
                return f"{key!r} is an argument of {listed(owners)}, not of {listed(pick.names)}; {nearest(key, known)}"
        for table, pick in picks.items():
            if key in pick.table.entries:
                return f"unknown key {key!r}; {named_as_key(table, key)}"
        said = next((names[key] for names in (former, *(pick.table.former for pick in picks.values())) if key in names), "")
        if said:
            return f"unknown key {key!r}, {said}; {nearest(named_in(said, known) or key, known)}"
        head, _, rest = key.partition(".")
        if rest and isinstance(fields.get(head), Section):
            return f"unknown key {key!r}; a dot parts keys on the command line, here one stands below the other: `{head}: {{{rest}: ...}}`"
        is_section = value.kind == "mapping" and not {*value.items} & {*DOMAINS}
        return f"unknown key {key!r}; {nearest_place(key, known, fields, self.whole, is_section=is_section)}"


def _written_out(value: Node, section: Section) -> Node:
    """The mapping that a list, or one word, is short for."""

    def under(key: str, one: Node) -> tuple[Node, Node]:
        return Node("scalar", key, value.file, value.line), one

    if not section.first_for:
        pairs = [under(section.short_for, value)]
    elif value.kind == "list":
        rest = Node("list", tuple(value.value[1:]), value.file, value.line)
        pairs = [under(section.first_for, value.value[0]), under(section.short_for, rest)] if value.value else []
    else:
        pairs = [under(section.first_for, value)]
    return Node("mapping", tuple(pairs), value.file, value.line) if pairs else value


def required(fields: Mapping[str, Field]) -> list[str]:
    """Keys that a section can't do without, dotted."""
    needed = []
    for key, declared in fields.items():
        if isinstance(declared, Section):
            needed += [f"{key}.{inner}" for inner in required(declared.fields)]
        elif declared.default is REQUIRED:
            needed.append(key)
    return needed
