"""An open file of a table with a column of pictures: Parquet, or an Arrow stream as Hugging Face's save_to_disk writes it.

A picture is binary, as pandas writes bytes, or struct<bytes: binary, path: string>. Methods raise pyarrow's errors and OSError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from visiontune.data.split import IntArray

_BATCH = 1024


class PictureTable(Protocol):
    """What all kinds can do. Rows are read by groups, each as a whole: `begins` has their first rows."""

    schema: Any
    num_rows: int

    def column(self, name: str) -> Any: ...

    def paths(self, column: str) -> Sequence[str | None]: ...

    def begins(self) -> IntArray: ...

    def read_group(self, column: str, number: int) -> Any: ...


def is_picture_type(kind: Any) -> bool:
    """Whether a column of that type may hold pictures."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return _is_binary(kind)


class ParquetTable:
    """By row groups."""

    def __init__(self, file: Any) -> None:
        self._file = pq.ParquetFile(file)
        self.schema, self.num_rows = self._file.schema_arrow, self._file.metadata.num_rows

    def column(self, name: str) -> Any:
        return self._file.read(columns=[name]).column(0)

    def paths(self, column: str) -> Sequence[str | None]:
        if not _has_paths(self.schema.field(column).type):
            return [None] * self.num_rows
        return _paths(self._file.read(columns=[f"{column}.path"]).column(0))

    def begins(self) -> IntArray:
        """The first row of each row group."""
        counts = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        return np.cumsum([0, *counts[:-1]]).astype(np.int64)

    def read_group(self, column: str, number: int) -> Any:
        return self._file.read_row_group(number, columns=[column]).column(0)


class StreamTable:
    """One group, of which nothing is read before it is asked for where the file is mapped into memory."""

    def __init__(self, file: Any) -> None:
        self._table = pa.ipc.open_stream(file).read_all()
        self.schema, self.num_rows = self._table.schema, len(self._table)

    def column(self, name: str) -> Any:
        return self._table.column(name)

    def paths(self, column: str) -> Sequence[str | None]:
        values = self._table.column(column)
        return _paths(values) if _has_paths(values.type) else [None] * self.num_rows

    def begins(self) -> IntArray:
        return np.zeros(1, np.int64)

    def read_group(self, column: str, number: int) -> Any:
        return self._table.column(column)


def encoded(group: Any, rows: IntArray) -> Iterator[bytes | None]:
    """The pictures of ascending rows of a group that was read; rows count from its first."""
    start = 0
    for chunk in group.chunks:
        wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(chunk))] - start
        for low in range(0, len(wanted), _BATCH):
            yield from (value.as_py() for value in _bytes(chunk).take(pa.array(wanted[low : low + _BATCH])))
        start += len(chunk)


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _has_paths(kind: Any) -> bool:
    return pa.types.is_struct(kind) and any(field.name == "path" for field in kind)


def _paths(values: Any) -> list[str | None]:
    paths: list[str | None] = pc.struct_field(values, "path").to_pylist()
    return paths


def _bytes(values: Any) -> Any:
    return pc.struct_field(values, "bytes") if pa.types.is_struct(values.type) else values
