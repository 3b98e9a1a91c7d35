"""What the columns of a manifest mean: a path, one class or several, a part and a group for each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from visiontune.data.class_names import part_of
from visiontune.data.readers.item import joined
from visiontune.data.readers.manifest_hints import hint_for, other_mark
from visiontune.data.readers.manifest_labels import SPACED, bits, several_of
from visiontune.data.readers.table_file import TableFile
from visiontune.errors import Problem, UserError, nearest

DEFAULT_SPLIT = "split"
_MAX_LISTED = 5
_NO_SEVERAL = "a picture has one class unless data.labels is many"


class Columns(NamedTuple):
    """Names of columns; `labels` are those with a 1 for the row's class, in place of `label`.

    With `has_many` a row has any number of classes: by `labels`, or in `label` as a list or between `separator`s.
    """

    path: str
    label: str
    split: str
    group: str | None
    labels: tuple[str, ...]
    has_many: bool = False
    separator: str | None = None


class Row(NamedTuple):
    """`why` a row has no label, where there is more to say than that; `table` and `number`, from 0, are where it stands.

    Where pictures have several labels `label` is all of the row's, joined.
    """

    path: str | None
    label: str | None
    part: str
    group: str | None
    why: str
    table: TableFile
    number: int

    def __str__(self) -> str:
        return self.table.row(self.number)


def read_rows(table: TableFile, columns: Columns, part: str | None, pictures: str | None) -> list[Row]:
    """All rows. `part` is that of all of them, or what the column says; `pictures` is their folder, for hints. Raises UserError."""
    has_split = columns.split != DEFAULT_SPLIT or DEFAULT_SPLIT in table.names
    optional = [*([columns.split] if has_split else []), *([columns.group] if columns.group else [])]
    _refuse_columns(table, [columns.path, *(columns.labels or [columns.label]), *optional], columns, pictures)
    paths = table.texts(columns.path)
    labels, why = _labels_and_why(table, columns)
    parts = _parts(table, table.texts(columns.split), part) if has_split else [part or "train"] * len(paths)
    groups = table.texts(columns.group) if columns.group else [None] * len(paths)
    return [Row(*values, table, number) for number, values in enumerate(zip(paths, labels, parts, groups, why, strict=True))]


def _refuse_columns(table: TableFile, wanted: Sequence[str], columns: Columns, pictures: str | None) -> None:
    missing = [one for one in wanted if one not in table.names]
    if missing and (mark := other_mark(table, wanted)) is not None:
        rule = f"columns are parted by a comma, a semicolon, | or a tab, but {table.names[0]!r} by {mark!r}: write another in all lines"
        raise UserError(Problem(table.where, 0, "", rule))
    if missing:
        hints = {columns.path: "path_column", columns.label: "label_column"}
        raise UserError(
            *(
                Problem(table.where, 0, "", f"must have a column {one!r}; {hint_for(hints.get(one), table, pictures) or _near(one, table)}")
                for one in missing
            )
        )
    if twice := [one for one in dict.fromkeys(wanted) if table.names.count(one) > 1]:
        raise UserError(*(Problem(table.where, 0, f"column {one!r}", f"must stand once, but stands {_times(one, table)}") for one in twice))


def _near(name: str, table: TableFile) -> str:
    return nearest(name, table.names)


def _times(name: str, table: TableFile) -> str:
    return f"{table.names.count(name)} times"


def _labels_and_why(table: TableFile, columns: Columns) -> tuple[list[str | None], list[str]]:
    if columns.has_many:
        many: list[str | None] = [*map(joined, several_of(table, columns.label, columns.labels, columns.separator))]
        return many, [""] * len(many)
    if columns.labels:
        return _one_hot(table, columns.labels)
    labels = _labels(table, columns.label)
    return labels, [""] * len(labels)


def _labels(table: TableFile, column: str) -> list[str | None]:
    labels = table.texts(column)
    distinct = {label for label in labels if label}
    for separator in (",", ";", "|", *([" "] if column.casefold() in SPACED else [])):
        shown = _several(distinct, separator)
        if shown is not None:
            row = table.row(labels.index(shown))
            rule = f"must have one class, but {shown!r} are several: {_NO_SEVERAL}. Keep one in each row"
            raise UserError(Problem(row, 0, f"column {column!r}", f"{rule}, or write names of one class without {separator!r}"))
    return labels


def _several(labels: set[str], separator: str) -> str | None:
    """One of the labels that are lists; None where they are names, few of whose words stand in another one."""
    tags = {label: [tag.strip() for tag in label.split(separator) if tag.strip()] for label in sorted(labels)}
    lists = [label for label, found in tags.items() if len(found) > 1]
    counts = Counter(tag for found in tags.values() for tag in {*found})
    inside = [counts[tag] > 1 for label in lists for tag in tags[label]]
    return lists[0] if sum(inside) > len(inside) / 2 else None


def _one_hot(table: TableFile, columns: Sequence[str]) -> tuple[list[str | None], list[str]]:
    """The column with a 1 in each row; where not one alone has it, None and why."""
    is_one_NC = np.column_stack([bits(table, column) for column in columns])
    labels: list[str | None] = []
    why = []
    for row, num in enumerate(is_one_NC.sum(1).tolist()):
        found = [columns[at] for at in np.flatnonzero(is_one_NC[row]).tolist()]
        labels.append(found[0] if num == 1 else None)
        why.append("" if num < 2 else f"has several labels ({', '.join(found)}): {_NO_SEVERAL}")
    return labels, why


def _parts(table: TableFile, splits: Sequence[str | None], of_all: str | None) -> list[str]:
    parts = [part_of(split or "") for split in splits]
    wanted = f"in {of_all}, as all of this table are" if of_all else "in train, val or test"
    bad = [row for row, part in enumerate(parts) if part is None or (of_all and part != of_all)]
    if bad:
        raise UserError(
            *(Problem(table.row(row), 0, "", f"must be {wanted}, but has {splits[row] or 'nothing'!r}") for row in bad[:_MAX_LISTED])
        )
    return [part for part in parts if part is not None]
