"""The Parquet files of one part, in the order of their names, as one sequence of rows; only row groups with wanted pictures are read."""

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
class ShardFile:
    """Where one file is."""

    root: Root
    name: str

    def __str__(self) -> str:
        return self.root.show(self.name)

    def stamp(self) -> str:
        """A text that changes with the file, and when it is moved."""
        return f"{self} {printable(self.root.path)} {next(self.root.stamps([self.name]))}"

    def open(self) -> Any:
        """Open it anew: an open file may not be shared by threads. Raises OSError and pyarrow's errors."""
        return pq.ParquetFile(self.root.open(self.name))


@dataclass(frozen=True)
class Shards:
    """Files, each with its number of rows; rows count on from one to the next."""

    files: tuple[ShardFile, ...]
    counts: tuple[int, ...]

    def names(self) -> list[str]:
        """File and number of each row."""
        return [f"{file}: row {row}" for file, count in zip(self.files, self.counts, strict=True) for row in range(count)]

    def keys(self, column: str) -> list[str]:
        """The paths that stand beside the pictures where all differ, else the numbers of the rows."""
        paths = [path for file in self.files for path in _paths(file, column)]
        is_unique = len(paths) == sum(self.counts) and None not in paths and len({*paths}) == len(paths)
        return [str(path) for path in paths] if is_unique else [str(row) for row in range(sum(self.counts))]

    def encoded(self, column: str, rows: IntArray) -> Iterator[bytes | BadPicture]:
        """The bytes of ascending rows; only the row groups that hold some are read. Raises UserError for a file that can't be read."""
        start = 0
        for file, count in zip(self.files, self.counts, strict=True):
            yield from _encoded(file, column, rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + count)] - start)
            start += count

    def pictures(self, column: str, rows: IntArray) -> Iterator[Picture | BadPicture]:
        """The pictures of ascending rows, decoded; a picture that can't be used comes as the exception. Raises UserError as `encoded`."""
        for encoded in self.encoded(column, rows):
            try:
                yield encoded if isinstance(encoded, BadPicture) else decode(encoded)
            except BadPicture as error:
                yield error


def find_shards(text: str, where: str) -> tuple[ShardFile, ...]:
    """The file, the files of a folder, or those that match a pattern. Raises UserError for none."""
    root, names = open_files(text, where, ".parquet")
    return tuple(ShardFile(root, name) for name in names)


def open_checked(shard: ShardFile, where: str, image_column: str, label_column: str) -> Any:
    """The open file, which has both columns. Raises UserError."""
    try:
        file = shard.open()
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem("", 0, where, f"must be a Parquet file, but {shard} is none ({first_line(error)})")) from error
    schema = file.schema_arrow
    missing = [name for name in (image_column, label_column) if name not in schema.names]
    if missing:
        raise UserError(*(Problem(str(shard), 0, "", f"must have a column {name!r}; {nearest(name, schema.names)}") for name in missing))
    kind = schema.field(image_column).type
    is_image = pa.types.is_struct(kind) and any(
        field.name == "bytes" and (pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)) for field in kind
    )
    if not is_image:
        raise UserError(Problem(str(shard), 0, f"column {image_column!r}", f"must be struct<bytes: binary, path: string>, but is {kind}"))
    return file


def digests_of_shards(shards: Sequence[ShardFile], tell: Callable[[float], object]) -> str:
    """SHA-256 of each file; see `Source.content` for `tell`."""
    digests = []
    for number, shard in enumerate(shards):
        digest = hashlib.sha256()
        with shard.root.open(shard.name) as file:
            size = max(file.size(), 1)
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                tell((number + file.tell() / size) / len(shards))
        digests.append(digest.hexdigest())
    return " ".join(digests)


def _paths(shard: ShardFile, column: str) -> list[str | None]:
    """The paths beside the pictures; an empty list for a file without them."""
    file = shard.open()
    if not any(field.name == "path" for field in file.schema_arrow.field(column).type):
        return []
    paths: list[str | None] = file.read(columns=[f"{column}.path"]).column(0).combine_chunks().field("path").to_pylist()
    return paths


def _encoded(shard: ShardFile, column: str, rows: IntArray) -> Iterator[bytes | BadPicture]:
    if len(rows) == 0:
        return
    done = 0
    try:
        with shard.open() as file:
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
        raise UserError(Problem(str(shard), 0, f"rows from {rows[done]}", f"cannot be read ({first_line(error)})")) from error
