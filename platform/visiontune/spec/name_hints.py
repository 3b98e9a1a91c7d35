"""What to write in place of a name that a table has not."""

from __future__ import annotations

import difflib

from visiontune.errors import nearest
from visiontune.spec.declare import Table
from visiontune.spec.yaml_node import Node

_MOST_LISTED = 24
"""Names that are read to their end in a message."""


def wrong_name(node: Node, table: Table, *, is_choice: bool = False) -> str:
    """Rule, value and the nearest entry; `is_choice` where the name is one of a list."""
    return f"must name one {table.what}, but got {node.shown()}; {_hint(node, table, is_choice=is_choice)}"


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
