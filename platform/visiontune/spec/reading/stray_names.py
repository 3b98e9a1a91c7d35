"""Names of a table's entries that stand as keys of their section, as other libraries' files have them: one mistake, said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from visiontune.spec.declarations.declare import Field, Table
from visiontune.spec.reading.name_hints import named_as_key
from visiontune.spec.yaml.yaml_node import Node

Items = Mapping[str, tuple[Node, Node]]


def stray_names(items: Items, fields: Mapping[str, Field], tables: Mapping[str, Table]) -> tuple[str, ...]:
    """Keys in whose place a table's own key should stand: entries of it, or `choice`."""
    lacking = [table for key, table in tables.items() if key not in items]
    args = {arg for table in tables.values() for entry in table.entries.values() for arg in entry.args}
    able = {name for table in lacking for name in table.entries} | ({"choice"} if lacking else set())
    return tuple(key for key in items if key in able - {*fields} - args)


def rule_of_stray(stray: Sequence[str], tables: Mapping[str, Table]) -> str:
    """What is wrong with them, and how they are written."""
    first = stray[0]
    key = next((key for key, table in tables.items() if first in table.entries), next(iter(tables)))
    if first == "choice":
        return f"unknown key 'choice'; one is written `{key}: {{choice: {{...}}}}`"
    if len(stray) == 1:
        return f"unknown key {first!r}; {named_as_key(key, first)}"
    listed = ", ".join(f"{name}: {{...}}" for name in stray)
    return f"unknown keys {', '.join(map(repr, stray))}; several are named by `{key}: {{choice: {{{listed}}}}}`"


def hides_keys(items: Items, tables: Mapping[str, Table]) -> bool:
    """Whether an entry stands as a key below its table's, with what the section seems to lack."""
    below = [(set(items[key][1].items), table) for key, table in tables.items() if key in items and items[key][1].kind == "mapping"]
    return any(names & set(table.entries) for names, table in below)
