"""JSON that another program, or a machine that broke off, may have left: a value, or an error that can be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visiontune.errors import Problem, UserError, first_line


def from_json(text: str | bytes, mapping: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None) -> Any:
    """The value; `mapping` makes each of its mappings. Raises ValueError for all that is none, also for what is nested too deep, of which
    json itself raises RecursionError.
    """
    try:
        return json.loads(text, object_pairs_hook=mapping)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read_mapping(path: Path, *needed: str) -> dict[str, Any]:
    """A file's mapping, which has the keys that are needed. Raises UserError for a damaged one, OSError where it can't be read."""
    try:
        found = from_json(path.read_bytes())
    except ValueError as error:
        raise UserError(Problem(str(path), 0, "", f"is damaged ({first_line(error)})")) from None
    missing = [key for key in needed if not isinstance(found, dict) or key not in found]
    if missing or not isinstance(found, dict):
        raise UserError(Problem(str(path), 0, "", f"must be a mapping{f' with {missing[0]}' if missing else ''}, but is not"))
    return found
