"""What to write in place of a name that a table has not."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from visiontune.errors import nearest
from visiontune.spec.declarations.declare import Field, Section, Table
from visiontune.spec.yaml.yaml_node import Node

_MOST_LISTED = 24
"""Names that are read to their end in a message."""
MOST_PLACES = 3


def wrong_name(node: Node, table: Table, *, is_choice: bool = False) -> str:
    """Rule, value and the nearest entry; `is_choice` where the name is one of a list."""
    return f"must name one {table.what}, but got {node.shown()}; {_hint(node, table, is_choice=is_choice)}"


def named_as_key(key: str, name: str) -> str:
    """How an entry is named that stands as a key itself."""
    return f"one is named by `{key}: {name}`, with its arguments beside it, several by `{key}: {{choice: {{{name}: {{...}}, ...}}}}`"


def nearest_place(key: str, known: Collection[str], fields: Mapping[str, Field]) -> str:
    """The nearest key for one that `fields` have not: as it is written from here where a section below has it, else one of `known`."""
    places = list(dict.fromkeys(places_of(key, fields)))
    return f"nearest is {' or '.join(map(repr, places))}" if 0 < len(places) <= MOST_PLACES else nearest(key, known)


def is_misspelt(key: str, given: Collection[str], fields: Mapping[str, Field]) -> bool:
    """Whether one of the keys that are given, which nothing has, is nearly this one: that it is unknown says it already."""
    args = {arg for one in fields.values() if isinstance(one, Table) for entry in one.entries.values() for arg in entry.args}
    return bool(difflib.get_close_matches(key, [one for one in given if one not in fields and one not in args], n=1, cutoff=0.75))


def places_of(key: str, fields: Mapping[str, Field]) -> Iterator[str]:
    """Dotted keys that end in it, in sections below and in arguments of tables of theirs."""
    for name, one in fields.items():
        if isinstance(one, Section):
            if key in one.fields or any(key in entry.args for entry in _entries(one)):
                yield f"{name}.{key}"
            yield from (f"{name}.{below}" for below in places_of(key, one.fields))


def _entries(section: Section) -> Iterator[Any]:
    for one in section.fields.values():
        if isinstance(one, Table):
            yield from one.entries.values()


def _hint(node: Node, table: Table, *, is_choice: bool) -> str:
    if node.kind == "mapping" and is_choice and all(name in table.entries for name in node.items):
        return f"branches stand in a mapping: {{choice: {{{', '.join(f'{name}: {{...}}' for name in node.items)}, ...}}}}"
    word = str(node.value) if node.kind == "scalar" else ""
    library, colon, model = word.partition(":")
    if colon and library in table.entries and "model" in table.entries[library].args:
        return f"nearest is {f'{{choice: {{{library}: {{model: {model}}}}}}}' if is_choice else f'{{name: {library}, model: {model}}}'}"
    if len(table.entries) <= _MOST_LISTED:
        return nearest(word, table.entries)
    near = ", ".join(map(repr, difflib.get_close_matches(word, table.entries, n=3, cutoff=0.5)))
    return f"{near and f'nearest is {near}; '}`visiontune list {table.what.replace(' ', '_')}s` has all {len(table.entries)}"
