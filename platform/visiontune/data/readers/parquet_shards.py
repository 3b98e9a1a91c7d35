"""Parquet files of one part, in the order of their names, as one sequence of rows; pictures come out of the row groups that hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from visiontune.data.file_names import printable
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_files
from visiontune.data.picture.bad_picture import BadPicture, Picture
from visiontune.data.picture.decode import decode
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, first_line, nearest

_BATCH = 1024
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class Place:
    """Where a file is."""

    root: Root
    name: str

    def __str__(self) -> str:
        return self.root.show(self.name)

    def stamp(self) -> str:
        """Changes with the file, and from one place to another."""
        return f"{self} {printable(self.root.path)} {next(self.root.stamps([self.name]))}"

    def open(self) -> Any:
        """A file of its own for each reader: one that is open is not for two threads. Raises OSError and pyarrow's errors."""
        return pq.ParquetFile(self.root.open(self.name))


@dataclass(frozen=True)
class Shards:
    """Files, each with its number of rows; rows count on from one to the next."""

    places: tuple[Place, ...]
    counts: tuple[int, ...]

    def names(self) -> list[str]:
        """Where each row is."""
        return [f"{place}: row {row}" for place, count in zip(self.places, self.counts, strict=True) for row in range(count)]

    def keys(self, column: str) -> list[str]:
        """The paths that stand beside the pictures where they tell them apart, else the numbers of the rows."""
        paths = [path for place in self.places for path in _paths(place, column)]
        is_telling = len(paths) == sum(self.counts) and None not in paths and len({*paths}) == len(paths)
        return [str(path) for path in paths] if is_telling else [str(row) for row in range(sum(self.counts))]

    def encoded(self, column: str, rows: IntArray) -> Iterator[bytes | BadPicture]:
        """Ascending rows; only the row groups that hold some are read."""
        start = 0
        for place, count in zip(self.places, self.counts, strict=True):
            yield from _encoded(place, column, rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + count)] - start)
            start += count

    def pictures(self, column: str, rows: IntArray) -> Iterator[Picture | BadPicture]:
        """As `encoded`, decoded."""
        for encoded in self.encoded(column, rows):
            try:
                yield encoded if isinstance(encoded, BadPicture) else decode(encoded)
            except BadPicture as error:
                yield error


def find_places(text: str, where: str) -> tuple[Place, ...]:
    """Of the file, the folder of files or the pattern. Raises UserError for none."""
    root, names = open_files(text, where, ".parquet")
    return tuple(Place(root, name) for name in names)


def open_checked(place: Place, where: str, image_column: str, label_column: str) -> Any:
    """The file, with both columns. Raises UserError."""
    try:
        file = place.open()
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem("", 0, where, f"must be a Parquet file, but {place} is none ({first_line(error)})")) from error
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


def digests_of_places(places: Sequence[Place], tell: Callable[[float], object]) -> str:
    """SHA-256 of each file; see `Source.content` for `tell`."""
    digests = []
    for number, place in enumerate(places):
        digest = hashlib.sha256()
        with place.root.open(place.name) as file:
            size = max(file.size(), 1)
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                tell((number + file.tell() / size) / len(places))
        digests.append(digest.hexdigest())
    return " ".join(digests)


def _paths(place: Place, column: str) -> list[str | None]:
    """None of a file without them."""
    file = place.open()
    if not any(field.name == "path" for field in file.schema_arrow.field(column).type):
        return []
    paths: list[str | None] = file.read(columns=[f"{column}.path"]).column(0).combine_chunks().field("path").to_pylist()
    return paths


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
        raise UserError(Problem(str(place), 0, f"rows from {rows[done]}", f"cannot be read ({first_line(error)})")) from error
