"""`auto` beside a choice whose entries have ranges of their own: each gets its own, in its branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from visiontune.spec.declarations.declare import Arg, Entry, Field
from visiontune.spec.declarations.domains import Choice, Domain
from visiontune.spec.reading.table_reader import Pick


@dataclass(frozen=True)
class ByEntry:
    """A domain for each entry of the table `table`: what `auto` beside a choice becomes where entries have ranges of their own."""

    table: str
    domains: Mapping[str, Domain]

    def put(self, key: str, choice: Choice) -> Choice:
        """The choice with the domains in its branches."""
        branches = {name: {**choice.branches.get(name, {}), key: self.domains[name]} for name in choice.choices}
        return replace(choice, branches=branches)


def suited(declared: Field, key: str, entry: Entry) -> Field:
    """A section's key as it is under this entry, which may have a range for it."""
    return replace(declared, auto=entry.auto[key]) if isinstance(declared, Arg) and key in entry.auto else declared


def under_entries(key: str, declared: Field, picks: Mapping[str, Pick]) -> tuple[str, dict[str, Field]] | None:
    """The table beside a section's key whose entries have ranges for it, and the key under each entry that can be named there."""
    for table, pick in picks.items():
        if any(key in entry.auto for entry in pick.table.entries.values()):
            return table, {name: suited(declared, key, pick.table.entries[name]) for name in pick.possible()}
    return None
