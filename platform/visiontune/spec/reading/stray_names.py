"""Names of a table's entries that stand as keys of their section, as other libraries' files have them: one mistake, said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from visiontune.spec.declarations.declare import Field, Table
from visiontune.spec.reading.name_hints import named_as_key
from visiontune.spec.yaml.yaml_node import Node

Items = Mapping[str, tuple[Node, Node]]
_CALLED_ELSEWHERE = ("type", "kind", "class", "_target_")


def stray_names(items: Items, fields: Mapping[str, Field], tables: Mapping[str, Table]) -> tuple[str, ...]:
    """Keys in whose place a table's own key should stand: entries of it, `choice`, or another word for the key, such as type."""
    lacking = [table for key, table in tables.items() if key not in items]
    args = {arg for table in tables.values() for entry in table.entries.values() for arg in entry.args}
    able = {name for table in lacking for name in table.entries} | ({"choice"} if lacking else set())
    unknown = {key: value for key, (_, value) in items.items() if key not in args and key not in fields}
    return tuple(key for key, value in unknown.items() if key in able or any(_is_meant(key, value, table) for table in lacking))


def rule_of_stray(stray: Sequence[str], items: Items, tables: Mapping[str, Table]) -> str:
    """What is wrong with them, and how they are written."""
    first = stray[0]
    meant = next((key for key, table in tables.items() if key not in items and _is_meant(first, items[first][1], table)), None)
    if meant is not None:
        return f"unknown key {first!r}; nearest is {meant!r}"
    key = next((key for key, table in tables.items() if first in table.entries), next(iter(tables)))
    if first == "choice":
        return f"unknown key 'choice'; one is written `{key}: {{choice: {{...}}}}`"
    if len(stray) == 1:
        return f"unknown key {first!r}; {named_as_key(key, first)}"
    listed = ", ".join(f"{name}: {{...}}" for name in stray)
    return f"unknown keys {', '.join(map(repr, stray))}; several are named by `{key}: {{choice: {{{listed}}}}}`"


def _is_meant(key: str, value: Node, table: Table) -> bool:
    """Whether a key that nothing has says what the table's own should: it names entries, or is called as such keys are elsewhere."""
    return key in _CALLED_ELSEWHERE or is_named(value, table)


def is_named(value: Node, table: Table) -> bool:
    """Whether it is an entry's name, or a choice of such."""
    if value.kind == "mapping" and [*value.items] == ["choice"]:
        options = value.items["choice"][1]
        named = list(options.value or ()) if options.kind == "list" else [node for node, _ in options.value or ()]
        return options.kind != "scalar" and bool(named) and all(is_named(one, table) for one in named)
    return value.kind == "scalar" and isinstance(value.value, str) and value.value in table.entries


def hides_keys(items: Items, tables: Mapping[str, Table]) -> bool:
    """Whether an entry stands as a key below its table's, with what the section seems to lack."""
    below = [(set(items[key][1].items), table) for key, table in tables.items() if key in items and items[key][1].kind == "mapping"]
    return any(names & set(table.entries) for names, table in below)
