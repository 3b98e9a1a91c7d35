"""A table with a path and a label in each row, and columns for part and group where there are such: CSV, TSV, JSONL or Parquet.

Paths are relative to the folder of pictures, by default the table's own. A row whose picture is missing and a picture beside the
others that no row names are set aside; a path that climbs out of the folder is refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_folder
from visiontune.data.readers.column_values import notes_for_nothing
from visiontune.data.readers.item import Item, joined, parted
from visiontune.data.readers.manifest_columns import DEFAULT_SPLIT, Columns, Row, read_rows
from visiontune.data.readers.manifest_hints import likely_path
from visiontune.data.readers.manifest_labels import notes_of_mark, refuse_unused, separator_in, texts_in
from visiontune.data.readers.picture_files import file_source
from visiontune.data.readers.picture_paths import Pictures, base_of, common_root, places
from visiontune.data.readers.table_file import TableFile, of_one_source, read_table
from visiontune.data.readers.votes import REFUSE, Votes
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError
from visiontune.spec.tables.several_labels import MANY, ONE

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
    labels: str = ONE,
    label_separator: str | None = None,
) -> Source:
    """Read the tables and list the folders that they name. Raises UserError."""
    if label_columns and label_column != _LABEL:
        raise UserError(Problem("", 0, "data.label_columns", f"takes the place of label_column, but that is given too: {label_column}"))
    has_many = labels == MANY
    refuse_unused(vote, label_separator, label_columns, has_many=has_many)
    columns = Columns(path_column, label_column, split_column, group_column, tuple(label_columns), has_many, label_separator)
    given = {"train": path, "val": val, "test": test}
    read = {part: read_table(text, f"data.{'path' if part == 'train' else part}") for part, text in given.items() if text is not None}
    tables = of_one_source(read, [label_column, *([group_column] if group_column else [])])
    is_open = has_many and not label_columns
    mark = separator_in(tables.values(), label_column, label_separator) if is_open else None
    columns, is_divided = columns._replace(separator=mark), len(tables) > 1
    rows = [row for part, table in tables.items() for row in read_rows(table, columns, part if is_divided else None, images)]
    root = common_root([table.root for table in tables.values()]) if images is None else open_folder(images, "data.images")
    reading = _Reading(root, images is not None, suffix or "", Votes(vote), has_many=has_many)
    items = reading.items(rows)
    parted_by = notes_of_mark(mark, texts_in(tables.values(), label_column), repr(label_column)) if mark else ()
    notes = [*_words(tables.values(), columns), *parted_by, *reading.notes()]
    if rows and not any(items.values()):
        _refuse_elsewhere(tables["train"], images, path_column)
    return file_source("manifest", root, items, reading.set_aside, notes=notes, has_many=has_many)


class _Reading:
    """Rows to pictures; what can't be used goes to `set_aside`."""

    def __init__(self, root: Root, has_folder: bool, suffix: str, votes: Votes, *, has_many: bool) -> None:
        self.root, self.has_folder, self.suffix, self.votes, self.has_many = root, has_folder, suffix, votes, has_many
        self.set_aside: list[SetAside] = []
        self.pictures = Pictures(root)
        self.folders: set[str] = set()
        self.num_loose, self.loose = 0, ""

    def notes(self) -> Iterator[str]:
        """What was taken for granted."""
        if self.num_loose:
            these = "path is a file but for its" if self.num_loose == 1 else "paths are files but for their"
            yield f"{self.num_loose:,} {these} suffix or case, such as {self.loose}"
        yield from self.votes.notes()

    def items(self, rows: Sequence[Row]) -> dict[str, list[Item]]:
        """By part. Raises UserError for paths that climb out, and for groups in several parts."""
        self.set_aside += [SetAside(str(row), "has no path") for row in rows if row.path is None]
        rows_of: dict[str, list[Row]] = {}
        for row, real in zip(rows, self._files(rows), strict=True):
            if real is not None:
                rows_of.setdefault(real, []).append(row)
        items: dict[str, list[Item]] = {"train": [], "val": [], "test": []}
        for real, there in rows_of.items():
            if (label := self._label(there, real)) is not None:
                items[there[0].part].append(Item(real, label, self._group(there, real)))
        self.set_aside += self.pictures.rest(rows_of, self.folders | {posixpath.dirname(real) for real in rows_of})
        _refuse_torn_groups(items, rows)
        return items

    def _files(self, rows: Sequence[Row]) -> list[str | None]:
        """The file that each row means, seen from the folder of the pictures, or else from the table's own."""
        bases = {table.where: self._bases(table.root) for table in {row.table.where: row.table for row in rows}.values()}
        reals: list[str | None] = [None] * len(rows)
        waiting = [number for number, row in enumerate(rows) if row.path is not None]
        shown: dict[int, str] = {}
        for at in count():
            names = {number: self._places(rows[number], bases[rows[number].table.where])[at:] for number in waiting}
            inside = {number: found[0] for number, found in names.items() if found}
            if not inside:
                break
            shown = inside | shown
            folders = {posixpath.dirname(name) for name in inside.values()}
            self.folders = self.folders or folders
            self.pictures.scan(folders)
            reals = [self._file(rows[n], inside[n]) if n in inside else real for n, real in enumerate(reals)]
            waiting = [number for number in waiting if reals[number] is None]
        _refuse_climbing([rows[number] for number in waiting if number not in shown], self.root)
        for number in waiting:
            likely = [posixpath.basename(one) for one in self.pictures.loose(shown[number])][:_MAX_LISTED]
            several = f"has a path that several files may be: {', '.join(likely)}; data.suffix says which"
            reason = several if likely else f"has a label without a picture: there is no {self.root.show(shown[number])}"
            self.set_aside.append(SetAside(str(rows[number]), reason))
        return reals

    def _bases(self, folder: Root) -> list[str]:
        base = base_of(folder, self.root) or ""
        return list(dict.fromkeys(["", base])) if self.has_folder else [base]

    def _places(self, row: Row, bases: Sequence[str]) -> list[str]:
        """Where its file may lie, the likeliest place first."""
        assert row.path is not None
        return list(dict.fromkeys(name for base in bases for name in places(row.path, base, self.root, self.suffix)))

    def _file(self, row: Row, name: str) -> str | None:
        """As it is called, or the only picture that is called so but for case or suffix."""
        if (real := self.pictures.exact(name)) is not None:
            return real
        likely = self.pictures.loose(name)
        if len(likely) != 1:
            return None
        self.num_loose += 1
        self.loose = self.loose or f"{row.path!r}: {self.root.show(likely[0])}"
        return likely[0]

    def _label(self, rows: Sequence[Row], real: str) -> str | None:
        """The label that counts for this picture; None where it is set aside."""
        if len(rows) == 1 and rows[0].label:
            return rows[0].label
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
        if self.has_many:  # a row for each class is as good as all of them in one
            return joined(one for label in labels for one in parted(label))
        label, why = self.votes.taken(labels)
        if label is None:
            self.set_aside.append(SetAside(shown, why, is_bad=self.votes.how == REFUSE))
        elif self.votes.how == REFUSE:
            chosen = next(row for row in rows if row.label)
            self.set_aside += [SetAside(str(row), f"repeats {shown}", is_bad=False) for row in rows if row is not chosen]
        return label

    def _group(self, rows: Sequence[Row], real: str) -> str | None:
        """Raises UserError where its rows name two: it can't stay together with both."""
        groups = sorted({row.group for row in rows if row.label and row.group is not None})
        if len(groups) > 1:
            rule = f"rows of one picture must be of one group, but those of {self.root.show(real)} are of {groups[0]!r} and {groups[1]!r}"
            raise UserError(Problem(rows[0].table.where, 0, "", rule))
        return groups[0] if groups else None


def _refuse_climbing(rows: Sequence[Row], root: Root) -> None:
    if rows:
        rule = f"paths must stay inside {root.show('')}, but {{!r}} does not; data.images names the folder that holds them all"
        raise UserError(*(Problem(str(row), 0, "", rule.format(row.path)) for row in rows[:_MAX_LISTED]))


def _refuse_torn_groups(items: Mapping[str, Sequence[Item]], rows: Sequence[Row]) -> None:
    """Raise UserError for a group whose pictures the tables themselves put into several parts."""
    parts: dict[str, str] = {}
    for part, found in items.items():
        for group in dict.fromkeys(item.group for item in found if item.group is not None):
            if parts.setdefault(group, part) != part:
                rule = f"rows of one group must be in one part, but those of {group!r} are in {parts[group]} and {part}"
                raise UserError(Problem(rows[0].table.where, 0, "", rule))


def _words(tables: Iterable[TableFile], columns: Columns) -> list[str]:
    is_text = not columns.labels and not columns.has_many
    num = sum(table.num_words(columns.label) for table in tables if is_text)
    return notes_for_nothing(num)


def _refuse_elsewhere(table: TableFile, images: str | None, path_column: str) -> None:
    """Raise UserError where no path is a file here, but would be one in a folder nearby."""
    found = likely_path(table, None)
    if found is not None and found[0] == path_column and found[1] not in (None, images):
        rule = f"none of the paths in {path_column!r} is a picture here, but they are in {found[1]}: write images={found[1]}"
        raise UserError(Problem(table.where, 0, "", rule))
