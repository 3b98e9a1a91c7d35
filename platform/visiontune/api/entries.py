"""What a file may name: `list_entries`, `json_schema`."""

from __future__ import annotations

from typing import Any


def list_entries(table: str | None = None) -> list[str]:
    """Lines with a table's entries or a section's keys and their defaults; all names where none is given. Raises UserError."""
    from visiontune.results.entry_lists import table_lines

    return table_lines(table)


def json_schema() -> dict[str, Any]:
    """JSON Schema of a search-space file, for editors."""
    from visiontune.spec.json_schema import json_schema as schema

    return schema()
