"""Lists of labels in a column of Parquet's and other tables' files: integers or names as classes. Rows with null are set aside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from visiontune.data.class_names import class_order, encode
from visiontune.data.file_names import identity
from visiontune.data.label_sets import numbered
from visiontune.data.readers.column_values import is_text
from visiontune.data.readers.parquet_labels import Labels, renumbered
from visiontune.data.readers.parquet_shards import ShardFile, Shards, open_checked
from visiontune.data.readers.picture_columns import declared_names
from visiontune.data.readers.picture_tables import PictureTable
from visiontune.data.source import SetAside
from visiontune.errors import Problem, UserError, first_line

Rows = list[list[str] | None]


def read_label_sets(files: Mapping[str, tuple[ShardFile, ...]], image_column: str, label_column: str) -> Labels:
    """Raises UserError."""
    opened = {part: [open_checked(file, f"data.{part}", image_column, label_column) for file in found] for part, found in files.items()}
    names = declared_names(opened["train"][0].schema, label_column)
    read = {
        part: [
            _lists(one, file, label_column, declared_names(one.schema, label_column) or names)
            for one, file in zip(opened[part], found, strict=True)
        ]
        for part, found in files.items()
    }
    known = {part: [row for rows in found for row in rows if row is not None] for part, found in read.items()}
    where = str(files["train"][0])
    if not (train := {name for row in known["train"] for name in row}):
        raise UserError(
            Problem(
                where, 0, f"column {label_column!r}", f"one row at least must have a class, but none of its {len(known['train']):,} has one"
            )
        )
    class_names = tuple(names) if names is not None else class_order(train, where)
    shards = {part: Shards(files[part], *_places(read[part])) for part, rows in known.items() if rows}
    for part in shards:
        _refuse_unseen(part, known[part], train, shards[part])
    classes = {part: [encode(row, class_names, where, part).tolist() for row in known[part]] for part in shards}
    labels, sets = numbered(classes)
    aside = [
        SetAside(f"{file}: row {at}", "has no label", is_bad=False)
        for part, found in read.items()
        for file, rows in zip(files[part], found, strict=True)
        for at, row in enumerate(rows)
        if row is None
    ]
    notes = [f"{part} has no labels, so it is no part" for part in known if part not in classes]
    return Labels(class_names, labels, shards, aside, notes, sets, renumbered(opened, files, label_column))


def _refuse_unseen(part: str, rows: Sequence[Sequence[str]], train: Collection[str], shards: Shards) -> None:
    unseen = next(((at, one) for at, row in enumerate(rows) for one in row if one not in train), None)
    if unseen is not None:
        rule = (
            f"labels of {part} must occur in train, but {unseen[1]!r} does not; put pictures of it into train or leave them out of {part}"
        )
        raise UserError(Problem(shards.names()[unseen[0]], 0, "", rule))


def _places(found: Sequence[Rows]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """The rows of each file that have labels, and how many there are."""
    rows = tuple(np.array([at for at, row in enumerate(one) if row is not None], np.int64) for one in found)
    return rows, tuple(map(len, found))


def _lists(opened: PictureTable, file: ShardFile, name: str, names: Sequence[str] | None) -> Rows:
    """Raises UserError for a column of anything else, and for a number that is no class."""
    where = f"column {name!r}"
    try:
        column = opened.column(name)
        given: list[list[Any] | None] = column.to_pylist() if _is_list(column.type) else []
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem(str(file), 0, where, f"cannot be read ({first_line(error)})")) from error
    if not _is_list(column.type):
        raise UserError(Problem(str(file), 0, where, f"must hold lists where data.labels is many, but holds {column.type}; nearest is one"))
    kind = column.type.value_type
    if not (pa.types.is_integer(kind) or is_text(kind) or pa.types.is_null(kind)):
        raise UserError(Problem(str(file), 0, where, f"must hold lists of texts or integers, but holds lists of {kind}"))
    return [None if row is None else [_named(one, names, str(file), where) for one in row] for row in given]


def _named(value: Any, names: Sequence[str] | None, file: str, where: str) -> str:
    if names is None or not isinstance(value, int):
        return identity(str(value))
    if not 0 <= value < len(names):
        raise UserError(Problem(file, 0, where, f"labels must be 0 to {len(names) - 1}, the classes that are declared, but one is {value}"))
    return names[value]


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
