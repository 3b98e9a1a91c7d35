"""Where a key of a section may stand: in the section, or in branches of one of its tables; a required one in all of these branches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from visiontune.spec.declarations.declare import REQUIRED, Entry, Field, Section, Table
from visiontune.spec.declarations.when import WHEN
from visiontune.spec.reading.table_reader import Place
from visiontune.spec.reading.value_reader import Problems, listed
from visiontune.spec.yaml.yaml_node import Node

Pairs = Mapping[str, tuple[Node, Node]]
Path = tuple[tuple[str, str], ...]
"""The way to a branch: a table's key and an entry, and again within it; empty for the section itself."""


@dataclass(frozen=True)
class BranchRules:
    """Reports keys that stand in two places at once, or are missing in some branches, to `problems`; `at` is the section's place."""

    problems: Problems
    fields: Mapping[str, Field]
    at: Place

    def check(self, items: Pairs) -> frozenset[str]:
        """The section as it was written, its branches included; gives the keys that stand in branches alone."""
        places: dict[str, list[tuple[Path, Node]]] = defaultdict(list)
        for path, key, node in self._standing(items, ()):
            if all(table != key for table, _ in path):  # in its own branch a table is an unknown key
                places[key].append((path, node))
        for key, found in places.items():
            self._clash(key, found)
        in_branches = frozenset({*places} - {*items})
        for key in self.fields:
            if key in in_branches and _is_required(self.fields[key]):
                self._lacking(key, items, ())
        return in_branches

    def _standing(self, items: Pairs, path: Path) -> Iterator[tuple[Path, str, Node]]:
        """Every place of a key of the section, the section itself first."""
        for key, (key_node, _) in items.items():
            if key in self.fields:
                yield path, key, key_node
        for key in items:
            for name, (_, branch) in self._branches(items, key).items():
                yield from self._standing(branch.items, (*path, (key, name)))

    def _branches(self, items: Pairs, key: str) -> Pairs:
        """What stands under the choice of a table, by entry; nothing where it has no branches."""
        table = self.fields.get(key)
        choice = items[key][1].items.get("choice") if key in items else None
        if not isinstance(table, Table) or choice is None:
            return {}
        return {name: pair for name, pair in choice[1].items.items() if name in table.entries}

    def _clash(self, key: str, found: Sequence[tuple[Path, Node]]) -> None:
        """At most one problem for a key."""
        for number, (path, node) in enumerate(found):
            for other, other_node in found[number + 1 :]:
                where = self._place(path if len(path) <= len(other) else other).child(key).where
                tables = _first_difference(path, other)
                if tables is None:
                    outer = node if len(path) <= len(other) else other_node
                    self.problems.add(outer, where, "stands here and in a branch of the choice; one of them must go")
                    return
                if tables[0] != tables[1]:
                    rule = f"stands in a branch of {tables[0]} and in one of {tables[1]}; one of them must go"
                    self.problems.add(other_node, self._place(other).child(key).where, rule)
                    return

    def _lacking(self, key: str, items: Pairs, path: Path) -> None:
        """The branches of the table under which the key stands, those of tables in them too."""
        for table in items:
            branches = self._branches(items, table)
            having = [name for name, (_, branch) in branches.items() if self._is_under(key, branch.items)]
            if not having:
                continue
            if WHEN in items[table][1].items:
                rule = f"required key {key!r} stands only in branches of {table}, which don't exist where its `when` does not hold"
                self.problems.add(items[table][0], self._place(path).child(key).where, f"{rule}; write it once beside the choice")
                return
            without = [name for name in branches if name not in having]
            if without:
                entries = getattr(self.fields[table], "entries", {})
                rule = f"required key {key!r} stands in the branch of {listed(having)}, but not in that of {_said(key, without, entries)}"
                rule += "; write it in every branch, or once beside the choice"
                self.problems.add(branches[without[0]][0], self._place((*path, (table, without[0]))).child(key).where, rule)
            for name in having:
                if key not in branches[name][1].items:
                    self._lacking(key, branches[name][1].items, (*path, (table, name)))
            return

    def _is_under(self, key: str, items: Pairs) -> bool:
        return any(one == key for _, one, _ in self._standing(items, ()))

    def _place(self, path: Path) -> Place:
        at = self.at
        for table, name in path:
            at = at.branch(table, name)
        return at


def _first_difference(one: Path, other: Path) -> tuple[str, str] | None:
    """The tables of the first step in which two ways part, the same twice where only the entries differ; None where one leads on."""
    for (table, name), (other_table, other_name) in zip(one, other, strict=False):
        if table != other_table or name != other_name:
            return table, other_table
    return None


def _is_required(declared: Field) -> bool:
    return not isinstance(declared, Section) and declared.default is REQUIRED


def _said(key: str, names: Sequence[str], entries: Mapping[str, Entry]) -> str:
    """The names, each with the value that suits it where one is known."""
    suits = [f"{name} ({entries[name].suits[key]} suits it)" if key in entries[name].suits else name for name in names]
    return listed(suits)
