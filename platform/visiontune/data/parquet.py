"""Parquet in Hugging Face's image layout: struct<bytes: binary, path: string> beside an integer or string label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from visiontune.data.decode import BadPicture, Picture, decode
from visiontune.data.labels import refuse_alike
from visiontune.data.paths import Root, line, open_file
from visiontune.data.sources import Source
from visiontune.data.splits import IntArray
from visiontune.spec.errors import Problem, UserError, nearest

_BATCH = 1024
_PEEK = 64
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class Place:
    """A Parquet file, by its folder and name."""

    root: Root
    name: str

    def __str__(self) -> str:
        return self.root.show(self.name)

    def open(self) -> Any:
        """A file of its own for each reader: one that is open is not for two threads. Raises OSError and pyarrow's errors."""
        return pq.ParquetFile(self.root.open(self.name))


def read_source(train: str, test: str | None, image_column: str, label_column: str) -> Source:
    """Check both files and read their labels, no picture. Raises UserError."""
    given = {part: path for part, path in (("train", train), ("test", test)) if path is not None}
    places = {part: Place(*open_file(path, f"data.{part}")) for part, path in given.items()}
    files = {part: _open(place, f"data.{part}", image_column, label_column) for part, place in places.items()}
    values = {part: _values(file, places[part], label_column) for part, file in files.items()}
    names = _declared_names(files["train"], label_column)
    class_names, table = _classes(values["train"], names, places["train"])
    labels = {part: _encode(values[part], class_names, table, places[part]) for part in places}
    counts_C = np.bincount(labels["train"], minlength=len(class_names)).astype(np.int64)
    if test is not None:
        _refuse_unseen(labels["test"], counts_C, class_names, places["test"])
    settings = f"{image_column} {label_column}"
    return Source(
        class_names=class_names,
        counts_C=counts_C,
        has_test=test is not None,
        content=lambda tell=float: " ".join(["parquet", *(_digest(place, tell) for place in places.values()), settings]),
        stamp=lambda: " ".join(["parquet", *(f"{place} {next(place.root.stamps([place.name]))}" for place in places.values()), settings]),
        can_fork=all(place.root.filesystem is None for place in places.values()),
        first=cache(lambda: _first(places["train"], image_column, len(labels["train"]))),
        labels=lambda: labels,
        pictures=lambda part, rows: _pictures(places[part], image_column, rows),
        encoded=lambda part, rows: _encoded(places[part], image_column, rows),
        names=lambda part: [f"{places[part]}: row {row}" for row in range(len(labels[part]))],
        keys=lambda part: _keys(places[part], image_column),
    )


def _open(place: Place, where: str, image_column: str, label_column: str) -> Any:
    try:
        file = place.open()
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem("", 0, where, f"must be a Parquet file, but {place} is none ({line(error)})")) from error
    schema = file.schema_arrow
    missing = [name for name in (image_column, label_column) if name not in schema.names]
    if missing:
        raise UserError(*(Problem(str(place), 0, "", f"must have a column {name!r}; {nearest(name, schema.names)}") for name in missing))
    kind = schema.field(image_column).type
    is_image = pa.types.is_struct(kind) and any(
        field.name == "bytes" and (pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)) for field in kind
    )
    if not is_image:
        raise UserError(Problem(str(place), 0, f"column {image_column!r}", f"must be struct<bytes: binary, path: string>, but is {kind}"))
    return file


def _values(file: Any, place: Place, column: str) -> Any:
    """The labels as a numpy array of int64 or of str."""
    try:
        values = file.read(columns=[column]).column(0)
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem(str(place), 0, f"column {column!r}", f"cannot be read ({line(error)})")) from error
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    is_name = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    where = f"column {column!r}"
    if not (is_name or pa.types.is_integer(kind)):
        raise UserError(Problem(str(place), 0, where, f"labels must be integers or names, but are {kind}"))
    if len(values) == 0:
        raise UserError(Problem(str(place), 0, where, "must have rows, but has none"))
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        raise UserError(
            Problem(str(place), 0, where, f"every picture must have a label, but {values.null_count} have none, first row {row}")
        )
    if is_name:
        return values.to_numpy()
    integers = values.to_numpy()
    if integers.min() < 0:
        row = int(np.flatnonzero(integers < 0)[0])
        raise UserError(Problem(str(place), 0, where, f"labels must be at least 0, but row {row} has {integers[row]}"))
    return integers.astype(np.int64)


def _declared_names(file: Any, column: str) -> Sequence[str] | None:
    """Class names of a ClassLabel feature, from the metadata that Hugging Face's datasets writes."""
    try:
        features = json.loads((file.schema_arrow.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) and names else None


def _classes(values: Any, names: Sequence[str] | None, place: Place) -> tuple[tuple[str, ...], Any]:
    """Class names, and the label value of each: labels are renumbered from 0 in the order of their values."""
    if names is not None and values.dtype != object:
        table: Any = np.arange(len(names))
        class_names = tuple(names)
    else:
        table = np.unique(values)
        class_names = tuple(str(value) for value in table)
    if len(class_names) < 2:
        raise UserError(Problem(str(place), 0, "", f"there must be at least 2 classes, but there is only {class_names[0]!r}"))
    refuse_alike(class_names, str(place))
    return class_names, table


def _encode(values: Any, class_names: Sequence[str], table: Any, place: Place) -> IntArray:
    if (values.dtype == object) != (table.dtype == object):
        raise UserError(Problem(str(place), 0, "", "labels must be of one kind, but are integers in one file and names in the other"))
    label_N = np.minimum(np.searchsorted(table, values), len(table) - 1)
    unknown = np.flatnonzero(table[label_N] != values)
    if len(unknown):
        row = int(unknown[0])
        rule = f"labels must be among the {len(table)} classes of the training file, but row {row} has {values[row]!s}"
        raise UserError(Problem(str(place), 0, "", f"{rule}; {nearest(values[row], class_names[:20])}"))
    encoded_N: IntArray = label_N.astype(np.int64)
    return encoded_N


def _refuse_unseen(test_N: IntArray, counts_C: IntArray, class_names: Sequence[str], place: Place) -> None:
    unseen = np.flatnonzero(counts_C[test_N] == 0)
    if len(unseen):
        row = int(unseen[0])
        rule = f"test labels must occur in the training file, but row {row} has {class_names[test_N[row]]!r}"
        raise UserError(Problem(str(place), 0, "", rule))


def _digest(place: Place, tell: Callable[[float], object]) -> str:
    digest = hashlib.sha256()
    with place.root.open(place.name) as file:
        size = max(file.size(), 1)
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            tell(file.tell() / size)
    return digest.hexdigest()


def _keys(place: Place, column: str) -> list[str]:
    """The paths that stand beside the pictures where they tell them apart, else the numbers of the rows."""
    file = place.open()
    kind = file.schema_arrow.field(column).type
    if any(field.name == "path" for field in kind):
        paths = file.read(columns=[f"{column}.path"]).column(0).combine_chunks().field("path")
        if paths.null_count == 0 and len(pc.unique(paths)) == len(paths):
            return [str(path) for path in paths.to_pylist()]
    return [str(row) for row in range(file.metadata.num_rows)]


def _first(place: Place, column: str, num_rows: int) -> tuple[int, int, int]:
    """Size of the first picture; channels of the first 64, for a file may mix grey and colour."""
    found = list(_pictures(place, column, np.arange(min(_PEEK, num_rows))))
    shapes = [picture.shape for picture in found if not isinstance(picture, BadPicture)]
    if not shapes:
        bad = [Problem(str(place), 0, f"row {row}", f"picture {error}") for row, error in enumerate(found)]
        raise UserError(*bad[:5])
    height, width, _ = shapes[0]
    return height, width, max(channels for _, _, channels in shapes)


def _pictures(place: Place, column: str, rows: IntArray) -> Iterator[Picture | BadPicture]:
    for encoded in _encoded(place, column, rows):
        try:
            yield encoded if isinstance(encoded, BadPicture) else decode(encoded)
        except BadPicture as error:
            yield error


def _encoded(place: Place, column: str, rows: IntArray) -> Iterator[bytes | BadPicture]:
    """Ascending rows; only the row groups that hold some are read."""
    if len(rows) == 0:
        return
    done = 0
    try:
        with place.open() as file:
            start_G = np.cumsum([0, *(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))])
            groups = np.unique(np.searchsorted(start_G, rows, side="right") - 1)
            for group in groups.tolist():
                start = int(start_G[group])
                for batch in file.iter_batches(batch_size=_BATCH, row_groups=[group], columns=[column]):
                    wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(batch))]
                    encoded = pc.struct_field(batch.column(0), "bytes").take(pa.array(wanted - start))
                    for value in encoded:
                        yield value.as_py() or BadPicture("has no bytes (a path beside it is not followed)")
                        done += 1
                    start += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem(str(place), 0, f"rows from {rows[done]}", f"cannot be read ({line(error)})")) from error
