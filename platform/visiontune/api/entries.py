"""What a file may name: `list_entries`, `json_schema`; and rows of one's own: `check_plugin`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.filesystem.given_paths import path_from

if TYPE_CHECKING:
    from visiontune.training.checks.check import Check


def list_entries(table: str | None = None, *, plugin: Path | str | None = None) -> list[str]:
    """Lines with a table's entries or a section's keys and their defaults; all names where none is given. Raises UserError.

    `plugin` is a file whose rows are there too.
    """
    from visiontune.results.entry_lists import table_lines

    with _with_rows_of(plugin):
        return table_lines(table)


def json_schema(*, plugin: Path | str | None = None) -> dict[str, Any]:
    """JSON Schema of a search-space file, for editors; `plugin` is a file that it may name. Raises UserError."""
    from visiontune.spec.schema.json_schema import json_schema as schema

    with _with_rows_of(plugin):
        return schema()


def check_plugin(plugin: Path | str, *, progress: bool = True) -> tuple[Check, ...]:
    """Hold every row of a plugin to what the tables' own are held to: it trains, resumes to the same bit, is saved, loaded and exported.

    `progress` prints each check as it ends. `verdict` of each is ok, look or bad, `said` what was found. Raises UserError for a file that
    is no plugin.
    """
    from visiontune.results.checks.plugin_check import check_plugin as check

    return check(path_from(plugin, "a plugin"), is_quiet=not progress)


def _with_rows_of(plugin: Path | str | None) -> AbstractContextManager[None]:
    from visiontune.spec.plugins import in_use, load_plugin

    return in_use([] if plugin is None else [load_plugin(path_from(plugin, "a plugin")).key])
