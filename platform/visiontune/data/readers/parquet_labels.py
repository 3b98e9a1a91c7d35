"""Labels of Parquet's and other tables' files: integers or names as classes. Rows without a label are set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visiontune.data.class_names import composed, refuse_alike
from visiontune.data.label_sets import Sets
from visiontune.data.readers.column_values import (
    are_integers,
    have_points,
    notes_for_nothing,
    num_words_for_nothing,
    plain_values,
    without_points,
)
from visiontune.data.readers.parquet_shards import ShardFile, Shards, open_checked
from visiontune.data.readers.picture_columns import declared_names
from visiontune.data.readers.picture_tables import PictureTable
from visiontune.data.source import SetAside
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, first_line, nearest, plural

_MAX_LISTED = 5
_NO_LABEL = -1
"""Of Hugging Face's ClassLabel, in tests whose labels are kept back."""
_LARGEST = int(np.iinfo(np.int64).max)
_TWO_KINDS = "labels must be of one kind, but are integers in one file and names in the other"


class Labels(NamedTuple):
    """`labels` and `shards` by part: the class of each row that has one, counted from 0, and where those rows are."""

    class_names: tuple[str, ...]
    labels: dict[str, IntArray]
    shards: dict[str, Shards]
    set_aside: list[SetAside]
    notes: list[str]
    sets: Sets | None = None
    """Of classes, which `labels` number where pictures have several."""
    renumbered: Sequence[ShardFile] = ()
    """Files that declare other classes, or in another order, than the first one of train."""
    has_points: bool = False
    """Whether 1.0 is the name of a class in a file that has nothing else, since another one has texts that are no integers."""


class _Column(NamedTuple):
    """The labels of one file, int64 or str, of the ascending `rows` out of `num_rows` that have one; `num_words`: words such as NaN."""

    file: ShardFile
    values: Any
    rows: IntArray
    num_rows: int
    num_words: int


def read_labels(files: Mapping[str, tuple[ShardFile, ...]], image_column: str, label_column: str) -> Labels:
    """Raises UserError."""
    opened = {part: [open_checked(file, f"data.{part}", image_column, label_column) for file in found] for part, found in files.items()}
    names = declared_names(opened["train"][0].schema, label_column)
    columns = {
        part: [_column(one, file, label_column, names) for one, file in zip(opened[part], found, strict=True)]
        for part, found in files.items()
    }
    columns, has_points = _without_points(columns)
    columns, said = _composed(columns)
    class_names, class_values = _classes(_joined("train", columns["train"]), names, files["train"][0])
    labels, shards = {}, {}
    unlabelled = [part for part, found in columns.items() if part != "train" and not any(len(one.rows) for one in found)]
    for part, found in columns.items():
        if part in unlabelled:
            continue
        _joined(part, found)
        labels[part] = np.concatenate([_encode(one, class_names, class_values) for one in found if len(one.rows)])
        shards[part] = Shards(files[part], tuple(one.rows for one in found), tuple(one.num_rows for one in found))
    everything = [one for found in columns.values() for one in found]
    num_words = sum(one.num_words for one in everything)
    notes = notes_for_nothing(num_words)
    notes += [*said, *(f"{part} has no labels, so it is no part" for part in unlabelled)]
    aside = [one for column in everything for one in _without(column)]
    return Labels(class_names, labels, shards, aside, notes, None, renumbered(opened, files, label_column), has_points)


def renumbered(opened: Mapping[str, Sequence[PictureTable]], files: Mapping[str, Sequence[ShardFile]], column: str) -> list[ShardFile]:
    """See `Labels`: there a split was encoded by itself, and may lack a class."""
    first = declared_names(opened["train"][0].schema, column)
    pairs = [pair for part, found in files.items() for pair in zip(opened[part], found, strict=True)]
    return [file for table, file in pairs if first is not None and declared_names(table.schema, column) not in (None, first)]


def _without_points(columns: Mapping[str, list[_Column]]) -> tuple[dict[str, list[_Column]], bool]:
    """Texts such as 1.0 as 1 where all files have integers; see `Labels` for the other."""
    texts = {
        one.file.place(): pa.array(one.values, pa.string()) for found in columns.values() for one in found if one.values.dtype == object
    }
    pointed = {place for place, column in texts.items() if have_points(column)}
    if not pointed or not are_integers(texts.values()):
        return dict(columns), bool(pointed)

    def plain(one: _Column) -> _Column:
        place = one.file.place()
        return one._replace(values=without_points(texts[place]).to_numpy(zero_copy_only=False)) if place in pointed else one

    return {part: [plain(one) for one in found] for part, found in columns.items()}, False


def _composed(columns: Mapping[str, list[_Column]]) -> tuple[dict[str, list[_Column]], list[str]]:
    """Labels that are names in NFC, and a note for each that had several spellings."""
    given = {label for found in columns.values() for one in found if one.values.dtype == object for label in np.unique(one.values)}
    names, said = composed(given)
    if all(name == label for label, name in names.items()):
        return dict(columns), said

    def renamed(one: _Column) -> _Column:
        is_name = one.values.dtype == object
        return one._replace(values=np.array([names[label] for label in one.values], object)) if is_name else one

    return {part: [renamed(one) for one in found] for part, found in columns.items()}, said


def _without(column: _Column) -> list[SetAside]:
    rows = np.setdiff1d(np.arange(column.num_rows), column.rows).tolist()
    return [SetAside(f"{column.file}: row {row}", "has no label", is_bad=False) for row in rows]


def _joined(part: str, columns: Sequence[_Column]) -> Any:
    """Labels of all files of a part. Raises UserError for none at all, and where some are integers and some are names."""
    there = [one for one in columns if len(one.rows)]
    if not there:
        where = ", ".join(str(one.file) for one in columns[:_MAX_LISTED])
        raise UserError(Problem("", 0, f"data.{part}", f"must have rows with labels, but {where} has none"))
    odd = next((one for one in there if (one.values.dtype == object) != (there[0].values.dtype == object)), None)
    if odd is not None:
        raise UserError(Problem(str(odd.file), 0, "", _TWO_KINDS))
    return np.concatenate([one.values for one in there])


def _column(opened: PictureTable, file: ShardFile, name: str, names: Sequence[str] | None) -> _Column:
    """`names` are the classes that the first training file declares. Raises UserError."""
    where = f"column {name!r}"
    try:
        given = opened.column(name)
        values, own = plain_values(given), declared_names(opened.schema, name)
        if own is not None and pa.types.is_integer(values.type):
            values = pc.if_else(pc.equal(values, _NO_LABEL), pa.scalar(None, values.type), values)
    except TypeError as error:
        raise UserError(Problem(str(file), 0, where, str(error))) from error
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem(str(file), 0, where, f"cannot be read ({first_line(error)})")) from error
    if len(values) == 0:
        raise UserError(Problem(str(file), 0, where, "must have rows, but has none"))
    rows = np.flatnonzero(pc.is_valid(values).to_numpy()).astype(np.int64)
    known = values.drop_null().to_numpy()
    if known.dtype != object:
        is_out = (known < 0) | (known > _LARGEST)
        if is_out.any():
            at = int(np.flatnonzero(is_out)[0])
            raise UserError(
                Problem(str(file), 0, where, f"labels must be at least 0 and at most {_LARGEST}, but row {rows[at]} has {known[at]}")
            )
        known = known.astype(np.int64)
        if own is not None and names is not None and own != names:
            known = _renumbered(known, rows, own, names, file)
    return _Column(file, known, rows, opened.num_rows, num_words_for_nothing(given))


def _renumbered(values: IntArray, rows: IntArray, own: Sequence[str], names: Sequence[str], file: ShardFile) -> IntArray:
    """Numbers of a file's own list of classes to those of `names`. Raises UserError for a class that these lack."""
    number_of = {name: number for number, name in enumerate(names)}
    number_V = np.array([number_of.get(name, -1) for name in own], np.int64)
    is_known = (values < len(own)) & (number_V[np.minimum(values, len(own) - 1)] >= 0)
    if not is_known.all():
        at = int(np.flatnonzero(~is_known)[0])
        label = own[values[at]] if values[at] < len(own) else str(values[at])
        rule = f"labels must be among the {plural(len(names), 'class')} of the training file, but row {rows[at]} has {label!r}"
        raise UserError(Problem(str(file), 0, "", f"{rule}; {nearest(label, names[:20])}"))
    return number_V[values]


def _classes(values: Any, names: Sequence[str] | None, file: ShardFile) -> tuple[tuple[str, ...], Any]:
    """Class names, and the label value of each class, ascending: declared names are those of 0, 1, ..., else values are the names."""
    if names is not None and values.dtype != object:
        class_values: Any = np.arange(len(names))
        class_names = tuple(names)
    else:
        class_values = np.unique(values)
        class_names = tuple(str(value) for value in class_values)
    if len(class_names) < 2:
        raise UserError(Problem(str(file), 0, "", f"there must be at least 2 classes, but there is only {class_names[0]!r}"))
    refuse_alike(class_names, str(file))
    return class_names, class_values


def _encode(column: _Column, class_names: Sequence[str], class_values: Any) -> IntArray:
    """(N,) the class of each label, counted from 0. Raises UserError for a label of no class."""
    values = column.values
    if (values.dtype == object) != (class_values.dtype == object):
        raise UserError(Problem(str(column.file), 0, "", _TWO_KINDS))
    label_N = np.minimum(np.searchsorted(class_values, values), len(class_values) - 1)
    unknown = np.flatnonzero(class_values[label_N] != values)
    if len(unknown):
        value, row = values[unknown[0]], column.rows[unknown[0]]
        rule = f"labels must be among the {plural(len(class_values), 'class')} of the training file, but row {row} has {value!s}"
        raise UserError(Problem(str(column.file), 0, "", f"{rule}; {nearest(value, class_names[:20])}"))
    encoded_N: IntArray = label_N.astype(np.int64)
    return encoded_N
