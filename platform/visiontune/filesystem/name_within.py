"""Which study a folder holds, by what lies in it: folders are renamed and copied by hand, and a study keeps its name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.json_text import from_json, read_mapping

_LONGEST_LINE = 1 << 16


def name_within(journal: Path, database: Path) -> str | None:
    """The study's name, by its journal's first line or by the note of its database; None where neither is there and says one."""
    with suppress(OSError, ValueError, UserError):
        if not journal.is_file():
            name = read_mapping(database, "study")["study"]
            return name if isinstance(name, str) else None
        with journal.open("rb") as file:
            first = from_json(file.readline(_LONGEST_LINE))
        name = first.get("study_name") if isinstance(first, dict) else None
        return name if isinstance(name, str) else None
    return None
