"""Parquet in Hugging Face's image layout: struct<bytes: binary, path: string> beside an integer or string label."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visiontune.data.class_names import refuse_alike
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.parquet_shards import ShardFile, Shards, digests_of_shards, find_shards, open_checked
from visiontune.data.source import Source
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, first_line, nearest

_PEEK = 64
_TWO_KINDS = "labels must be of one kind, but are integers in one file and names in the other"


def parquet(
    *, train: str, val: str | None = None, test: str | None = None, image_column: str = "image", label_column: str = "label"
) -> Source:
    """Check the files and read their labels, no picture. Raises UserError."""
    given = {part: text for part, text in (("train", train), ("val", val), ("test", test)) if text is not None}
    files = {part: find_shards(text, f"data.{part}") for part, text in given.items()}
    class_names, labels, shards = _read_labels(files, image_column, label_column)
    everything = [file for found in files.values() for file in found]
    counts_C = np.bincount(labels["train"], minlength=len(class_names)).astype(np.int64)
    for part in labels:
        _refuse_unseen(part, labels[part], counts_C, class_names, shards[part])
    settings = f"{image_column} {label_column} {' '.join(f'{part} {len(found)}' for part, found in files.items())}"
    return Source(
        class_names=class_names,
        counts_C=counts_C,
        has_test="test" in files,
        has_val="val" in files,
        content=lambda tell=float: f"parquet {digests_of_shards(everything, tell)} {settings}",
        stamp=lambda: " ".join(["parquet", *(file.stamp() for file in everything), settings]),
        can_fork=all(file.root.filesystem is None for file in everything),
        first=cache(lambda: _first(shards["train"], image_column)),
        labels=lambda: labels,
        pictures=lambda part, rows: shards[part].pictures(image_column, rows),
        encoded=lambda part, rows: shards[part].encoded(image_column, rows),
        names=lambda part: shards[part].names(),
        keys=lambda part: shards[part].keys(image_column),
    )


def _read_labels(
    files: Mapping[str, tuple[ShardFile, ...]], image_column: str, label_column: str
) -> tuple[tuple[str, ...], dict[str, IntArray], dict[str, Shards]]:
    """Class names; by part every label as a number, and its shards."""
    opened = {part: [open_checked(file, f"data.{part}", image_column, label_column) for file in found] for part, found in files.items()}
    values = {
        part: [_values(one, file, label_column) for one, file in zip(opened[part], found, strict=True)] for part, found in files.items()
    }
    names = _declared_names(opened["train"][0], label_column)
    class_names, class_values = _classes(_joined(values["train"], files["train"]), names, files["train"][0])
    labels = {
        part: np.concatenate([_encode(one, class_names, class_values, file) for one, file in zip(values[part], found, strict=True)])
        for part, found in files.items()
    }
    return class_names, labels, {part: Shards(found, tuple(map(len, values[part]))) for part, found in files.items()}


def _joined(values: Sequence[Any], files: Sequence[ShardFile]) -> Any:
    """Labels of all files of a part. Raises UserError where some are integers and some are names."""
    odd = next((file for one, file in zip(values, files, strict=True) if (one.dtype == object) != (values[0].dtype == object)), None)
    if odd is not None:
        raise UserError(Problem(str(odd), 0, "", _TWO_KINDS))
    return np.concatenate(values)


def _values(opened: Any, file: ShardFile, column: str) -> Any:
    """The labels as a numpy array of int64, or of str objects. Raises UserError."""
    try:
        values = opened.read(columns=[column]).column(0)
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem(str(file), 0, f"column {column!r}", f"cannot be read ({first_line(error)})")) from error
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    is_name = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    where = f"column {column!r}"
    if not (is_name or pa.types.is_integer(kind)):
        raise UserError(Problem(str(file), 0, where, f"labels must be integers or names, but are {kind}"))
    if len(values) == 0:
        raise UserError(Problem(str(file), 0, where, "must have rows, but has none"))
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        raise UserError(
            Problem(str(file), 0, where, f"every picture must have a label, but {values.null_count} have none, first row {row}")
        )
    if is_name:
        return values.to_numpy()
    integers = values.to_numpy()
    if integers.min() < 0:
        row = int(np.flatnonzero(integers < 0)[0])
        raise UserError(Problem(str(file), 0, where, f"labels must be at least 0, but row {row} has {integers[row]}"))
    return integers.astype(np.int64)


def _declared_names(opened: Any, column: str) -> Sequence[str] | None:
    """Class names of a ClassLabel feature, from the metadata that Hugging Face's datasets writes."""
    try:
        features = json.loads((opened.schema_arrow.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) and names else None


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


def _encode(values: Any, class_names: Sequence[str], class_values: Any, file: ShardFile) -> IntArray:
    """(N,) the class of each label, counted from 0. Raises UserError for a label of no class."""
    if (values.dtype == object) != (class_values.dtype == object):
        raise UserError(Problem(str(file), 0, "", _TWO_KINDS))
    label_N = np.minimum(np.searchsorted(class_values, values), len(class_values) - 1)
    unknown = np.flatnonzero(class_values[label_N] != values)
    if len(unknown):
        row = int(unknown[0])
        rule = f"labels must be among the {len(class_values)} classes of the training file, but row {row} has {values[row]!s}"
        raise UserError(Problem(str(file), 0, "", f"{rule}; {nearest(values[row], class_names[:20])}"))
    encoded_N: IntArray = label_N.astype(np.int64)
    return encoded_N


def _refuse_unseen(part: str, label_N: IntArray, counts_C: IntArray, class_names: Sequence[str], shards: Shards) -> None:
    unseen = np.flatnonzero(counts_C[label_N] == 0)
    if len(unseen):
        row = int(unseen[0])
        rule = f"{part} labels must occur in training, but this has {class_names[label_N[row]]!r}"
        raise UserError(Problem(shards.names()[row], 0, "", rule))


def _first(shards: Shards, column: str) -> tuple[int, int, int]:
    """Size of the first good picture; most channels of the first 64, for a file may mix grey and colour."""
    found = list(shards.pictures(column, np.arange(min(_PEEK, sum(shards.counts)))))
    shapes = [picture.shape for picture in found if not isinstance(picture, BadPicture)]
    if not shapes:
        raise UserError(*(Problem(name, 0, "", f"picture {error}") for name, error in zip(shards.names()[:5], found, strict=False)))
    height, width, _ = shapes[0]
    return height, width, max(channels for _, _, channels in shapes)
