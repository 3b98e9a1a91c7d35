"""Which study a folder holds, by what lies in it: folders are renamed and copied by hand, and a study keeps its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.json_text import from_json, read_mapping

_LONGEST_LINE = 1 << 16


def name_within(journal: Path, database: Path) -> str | None:
    """The study's name, by its journal's first line or by the note of its database; None where neither is there and says one."""
    return next(names_within(journal, database), None)


def names_within(journal: Path, database: Path) -> Iterator[str]:
    """Names of all studies of a journal, in the order in which they were begun, read no further than they are asked for."""
    with suppress(OSError, ValueError, UserError):
        found = (read_mapping(database, "study")["study"],) if not journal.is_file() else _said(journal)
        yield from (name for name in found if isinstance(name, str))


def _said(journal: Path) -> Iterator[object]:
    with journal.open("rb") as file:
        for line in iter(lambda: file.readline(_LONGEST_LINE), b""):
            if b'"study_name"' in line and isinstance(told := from_json(line), dict):
                yield told.get("study_name")
