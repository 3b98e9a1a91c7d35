"""A table with a path and a label in each row, and columns for part and group where there are such: CSV, TSV, JSONL or Parquet.

Paths are relative to the folder of pictures, by default the table's own. A row whose picture is missing and a picture beside the
others that no row names are set aside; a path that climbs out of the folder is refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_folder
from visiontune.data.readers.item import Item
from visiontune.data.readers.manifest_columns import DEFAULT_SPLIT, Columns, Row, read_rows
from visiontune.data.readers.manifest_hints import likely_path
from visiontune.data.readers.picture_files import file_source
from visiontune.data.readers.picture_paths import Pictures, base_of, common_root, places
from visiontune.data.readers.table_file import TableFile, read_table
from visiontune.data.readers.votes import REFUSE, Votes
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError

_MAX_LISTED = 5
_LABEL = "label"


def manifest(
    *,
    path: str,
    val: str | None = None,
    test: str | None = None,
    images: str | None = None,
    path_column: str = "path",
    label_column: str = _LABEL,
    label_columns: Sequence[str] = (),
    split_column: str = DEFAULT_SPLIT,
    group_column: str | None = None,
    suffix: str | None = None,
    vote: str = REFUSE,
) -> Source:
    """Read the tables and list the folders that they name. Raises UserError."""
    if label_columns and label_column != _LABEL:
        raise UserError(Problem("", 0, "data.label_columns", f"takes the place of label_column, but that is given too: {label_column}"))
    columns = Columns(path_column, label_column, split_column, group_column, tuple(label_columns))
    given = {"train": path, "val": val, "test": test}
    tables = {part: read_table(text, f"data.{'path' if part == 'train' else part}") for part, text in given.items() if text is not None}
    is_divided = len(tables) > 1
    rows = [row for part, table in tables.items() for row in read_rows(table, columns, part if is_divided else None, images)]
    root = common_root([table.root for table in tables.values()]) if images is None else open_folder(images, "data.images")
    reading = _Reading(root, images is not None, suffix or "", Votes(vote))
    items = reading.items(rows)
    notes = [*_words(tables.values(), columns), *reading.notes, *reading.votes.notes()]
    if rows and not any(items.values()):
        _refuse_elsewhere(tables["train"], images, path_column)
    return replace(file_source("manifest", root, items, reading.set_aside), notes=tuple(notes))


class _Reading:
    """Rows to pictures; what can't be used goes to `set_aside`, what is taken for granted to `notes`."""

    def __init__(self, root: Root, has_folder: bool, suffix: str, votes: Votes) -> None:
        self.root, self.has_folder, self.suffix, self.votes = root, has_folder, suffix, votes
        self.set_aside: list[SetAside] = []
        self.notes: list[str] = []
        self.pictures = Pictures(root)

    def items(self, rows: Sequence[Row]) -> dict[str, list[Item]]:
        """By part. Raises UserError for paths that climb out, and for groups in several parts."""
        bases = {table.where: self._bases(table.root) for table in {row.table.where: row.table for row in rows}.values()}
        places_of = [self._places(row, bases[row.table.where]) for row in rows]
        _refuse_climbing(rows, places_of, self.root)
        folders = {posixpath.dirname(found[0]) for found in places_of if found}
        self.pictures.scan(folders)
        self.pictures.scan(
            {posixpath.dirname(one) for found in places_of if found and not self.pictures.exact(found[0]) for one in found[1:]}
        )
        rows_of: dict[str, list[Row]] = {}
        loose: list[tuple[str, str]] = []
        for row, found in zip(rows, places_of, strict=True):
            real = None if found is None else self._real(row, found, loose)
            if real is not None:
                rows_of.setdefault(real, []).append(row)
        items: dict[str, list[Item]] = {"train": [], "val": [], "test": []}
        for real, there in rows_of.items():
            if (label := self._label(there, real)) is not None:
                items[there[0].part].append(Item(real, label, next((row.group for row in there if row.label), None)))
        self.set_aside += self.pictures.rest(rows_of, folders | {posixpath.dirname(real) for real in rows_of})
        _refuse_torn_groups(items, rows)
        if loose:
            self.notes.append(f"{len(loose):,} paths are files but for their suffix or case, such as {loose[0][0]!r}: {loose[0][1]}")
        return items

    def _bases(self, folder: Root) -> list[str]:
        """The folders from which the paths of a table may start: that of the pictures, and the table's own."""
        base = base_of(folder, self.root) or ""
        return list(dict.fromkeys(["", base])) if self.has_folder else [base]

    def _places(self, row: Row, bases: Sequence[str]) -> list[str] | None:
        if row.path is None:
            self.set_aside.append(SetAside(str(row), "has no path"))
            return None
        return places(row.path, bases, self.root, self.suffix)

    def _real(self, row: Row, names: Sequence[str], loose: list[tuple[str, str]]) -> str | None:
        if (real := next(filter(None, map(self.pictures.exact, names)), None)) is not None:
            return real
        for name in names:
            likely = self.pictures.loose(name)
            if len(likely) == 1:
                loose.append((str(row.path), self.root.show(likely[0])))
                return likely[0]
            if likely:
                shown = ", ".join(map(posixpath.basename, likely[:_MAX_LISTED]))
                self.set_aside.append(SetAside(str(row), f"has a path that several files may be: {shown}; data.suffix says which"))
                return None
        self.set_aside.append(SetAside(str(row), f"has a label without a picture: there is no {self.root.show(names[0])}"))
        return None

    def _label(self, rows: Sequence[Row], real: str) -> str | None:
        """The label that counts for this picture; None where it is set aside."""
        shown, labels = self.root.show(real), [row.label for row in rows if row.label]
        several = next((row.why for row in rows if row.why), "")
        if several:
            self.set_aside.append(SetAside(shown, several))
            return None
        if len(parts := sorted({row.part for row in rows})) > 1:
            self.set_aside.append(SetAside(shown, f"stands in several parts: {', '.join(parts)}"))
            return None
        if not labels:
            self.set_aside.append(SetAside(shown, "has no label", is_bad=False))
            return None
        label, why = self.votes.taken(labels)
        if label is None:
            self.set_aside.append(SetAside(shown, why, is_bad=self.votes.how == REFUSE))
        elif self.votes.how == REFUSE:
            chosen = next(row for row in rows if row.label)
            self.set_aside += [SetAside(str(row), f"repeats {shown}", is_bad=False) for row in rows if row is not chosen]
        return label


def _refuse_climbing(rows: Sequence[Row], places_of: Sequence[list[str] | None], root: Root) -> None:
    bad = [row for row, found in zip(rows, places_of, strict=True) if found == []]
    if bad:
        rule = f"paths must stay inside {root.show('')}, but {{!r}} does not; data.images names the folder that holds them all"
        raise UserError(*(Problem(str(row), 0, "", rule.format(row.path)) for row in bad[:_MAX_LISTED]))


def _refuse_torn_groups(items: Mapping[str, Sequence[Item]], rows: Sequence[Row]) -> None:
    """Raise UserError for a group whose pictures the tables themselves put into several parts."""
    parts: dict[str, str] = {}
    for part, found in items.items():
        for group in dict.fromkeys(item.group for item in found if item.group is not None):
            if parts.setdefault(group, part) != part:
                rule = f"rows of one group must be in one part, but those of {group!r} are in {parts[group]} and {part}"
                raise UserError(Problem(rows[0].table.where, 0, "", rule))


def _words(tables: Iterable[TableFile], columns: Columns) -> list[str]:
    num = sum(table.num_words(column) for table in tables for column in ([] if columns.labels else [columns.label]))
    return [f"{num:,} labels are words such as NaN or NA, which are taken for none"] if num else []


def _refuse_elsewhere(table: TableFile, images: str | None, path_column: str) -> None:
    """Raise UserError where no path is a file here, but would be one in a folder nearby."""
    found = likely_path(table, None)
    if found is not None and found[0] == path_column and found[1] not in (None, images):
        rule = f"none of the paths in {path_column!r} is a picture here, but they are in {found[1]}: write images={found[1]}"
        raise UserError(Problem(table.where, 0, "", rule))
