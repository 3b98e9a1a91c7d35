"""The files of one part, in the order of their names, as one sequence of those rows that have labels."""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

from visiontune.data.file_names import as_utf8
from visiontune.data.file_stamps import stamps_of_files
from visiontune.data.file_tree import Root
from visiontune.data.picture.bad_picture import BadPicture, Picture
from visiontune.data.picture.decode import decode
from visiontune.data.readers.held_groups import HeldGroups
from visiontune.data.readers.picture_tables import ParquetTable, PictureTable, StreamTable, encoded, is_picture_type
from visiontune.data.source import Hashes
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, first_line, nearest, plural

_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class ShardFile:
    """Where one file is: Parquet by its name, else an Arrow stream."""

    root: Root
    name: str

    def __str__(self) -> str:
        return self.root.show(self.name)

    @property
    def kind(self) -> str:
        return "an Arrow stream" if self.name.endswith(".arrow") else "a Parquet file"

    def place(self) -> str:
        """A text that changes when it is moved."""
        return f"{self} {as_utf8(self.root.path)}"

    def open(self) -> PictureTable:
        """Open it anew: an open file may not be shared by threads. Raises OSError and pyarrow's errors."""
        try:
            if not self.name.endswith(".arrow"):
                return ParquetTable(self.root.open(self.name))
            is_local = self.root.filesystem is None
            return StreamTable(pa.memory_map(posixpath.join(self.root.path, self.name)) if is_local else self.root.open(self.name))
        except UnicodeError as error:  # of the names of columns
            raise pa.ArrowInvalid(str(error)) from error


@dataclass(frozen=True)
class Shards:
    """Files; of each the ascending `rows` that count, and how many it has in all. Rows count on from one file to the next."""

    files: tuple[ShardFile, ...]
    rows: tuple[IntArray, ...]
    totals: tuple[int, ...]
    _held: HeldGroups = field(default_factory=HeldGroups, compare=False, repr=False)

    def names(self) -> list[str]:
        """File and number of each row."""
        return [f"{file}: row {row}" for file, rows in zip(self.files, self.rows, strict=True) for row in rows.tolist()]

    def keys(self, column: str) -> list[str]:
        """The path that stands beside each picture, with a number where it stood before; the number of the row where there is none."""
        paths = [path for file in self.files for path in _paths(file, column)]
        seen = Counter[str]()
        keys = [str(row) if path is None else _numbered(path, seen) for row, path in enumerate(paths)]
        starts = accumulate(self.totals, initial=0)
        return [keys[start + row] for start, rows in zip(starts, self.rows, strict=False) for row in rows.tolist()]

    def has_repeated_paths(self, column: str) -> bool:
        """Whether two pictures have one path beside them."""
        paths = [path for file in self.files for path in _paths(file, column) if path is not None]
        return len({*paths}) < len(paths)

    def stamps(self) -> Hashes:
        """A number for each row that changes with its file."""
        of_files = [stamps_of_files(file.root, [file.name])[0] for file in self.files]
        return np.repeat(np.array(of_files, np.uint64), [len(rows) for rows in self.rows])

    def begins(self) -> IntArray:
        """The rows with which files and row groups begin, ascending."""
        start, found = 0, [np.zeros(0, np.int64)]
        for file, kept in zip(self.files, self.rows, strict=True):
            found.append(start + np.searchsorted(kept, file.open().begins()))
            start += len(kept)
        return np.unique(np.concatenate(found))

    def encoded(self, column: str, rows: IntArray) -> Iterator[bytes | BadPicture]:
        """The bytes of ascending rows. Raises UserError for a file that can't be read."""
        start = 0
        for file, kept in zip(self.files, self.rows, strict=True):
            wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(kept))] - start
            yield from _encoded(file, column, kept[wanted], self._held)
            start += len(kept)

    def pictures(self, column: str, rows: IntArray) -> Iterator[Picture | BadPicture]:
        """The pictures of ascending rows, decoded; a picture that can't be used comes as the exception. Raises UserError as `encoded`."""
        for content in self.encoded(column, rows):
            try:
                yield content if isinstance(content, BadPicture) else decode(content)
            except BadPicture as error:
                yield error


def open_checked(shard: ShardFile, where: str, image_column: str, label_column: str) -> PictureTable:
    """The open file, which has both columns. Raises UserError."""
    try:
        file = shard.open()
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem("", 0, where, f"must be {shard.kind}, but {shard} is none ({first_line(error)})")) from error
    schema = file.schema
    missing = [name for name in (image_column, label_column) if name not in schema.names]
    if missing:
        keys = {image_column: "image_column", label_column: "label_column"}
        rules = (f"must have a column {name!r} or another one as {keys[name]}; {nearest(name, schema.names)}" for name in missing)
        raise UserError(*(Problem(str(shard), 0, "", rule) for rule in rules))
    twice = [name for name in (image_column, label_column) if schema.names.count(name) > 1]
    if twice:
        raise UserError(*(Problem(str(shard), 0, f"column {name!r}", "must stand once, but stands twice") for name in twice))
    kind = schema.field(image_column).type
    if not is_picture_type(kind):
        rule = f"must be struct<bytes: binary, path: string> or binary, but is {kind}"
        raise UserError(Problem(str(shard), 0, f"column {image_column!r}", rule))
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


def _numbered(path: str, seen: Counter[str]) -> str:
    seen[path] += 1
    return path if seen[path] == 1 else f"{path}#{seen[path]}"


def _paths(shard: ShardFile, column: str) -> Sequence[str | None]:
    """Those beside a file's pictures. Raises UserError."""
    try:
        table = shard.open()
        paths = [None if path is None else as_utf8(path) for path in table.paths(column)]
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise UserError(Problem(str(shard), 0, f"column {column!r}", f"its paths cannot be read ({first_line(error)})")) from error
    if len(paths) != table.num_rows:  # as pyarrow reads a damaged page
        rule = f"its paths cannot be read (there are {len(paths)} of {plural(table.num_rows, 'row')})"
        raise UserError(Problem(str(shard), 0, f"column {column!r}", rule))
    return paths


def _encoded(shard: ShardFile, column: str, rows: IntArray, held: HeldGroups) -> Iterator[bytes | BadPicture]:
    if len(rows) == 0:
        return
    done = 0
    try:
        begins = held.get((shard.name, "begins"), lambda: shard.open().begins())
        group_N = np.searchsorted(begins, rows, "right") - 1
        for number in np.unique(group_N).tolist():
            group = held.get((shard.name, column, number), partial(_read_group, shard, column, number))
            for value in encoded(group, rows[group_N == number] - int(begins[number])):
                yield value or BadPicture("has no bytes (a path beside it is not followed)")
                done += 1
    except (pa.ArrowException, OSError) as error:
        raise UserError(Problem(str(shard), 0, f"rows from {rows[done]}", f"cannot be read ({first_line(error)})")) from error


def _read_group(shard: ShardFile, column: str, number: int) -> Any:
    return shard.open().read_group(column, number)
