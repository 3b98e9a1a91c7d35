"""A table of texts as programs write it: CSV or TSV in the dialects of spreadsheets, lines of JSON, or Parquet. Values are texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from visiontune.data.file_names import as_utf8
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_file
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.column_values import are_integers, is_text, num_words_for_nothing, plain_values, without_points
from visiontune.errors import Problem, UserError, first_line
from visiontune.filesystem.decoded_text import READABLE, decoded
from visiontune.filesystem.json_text import from_json

_DELIMITERS = (",", ";", "\t", "|")
# Excel writes it above the header, and takes the delimiter from it.
_SEP = re.compile(rb"sep=(.)\r?\n", re.IGNORECASE)
_UTF8 = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class TableFile:
    """A table and where it lies. `names` are those of its columns, without spaces around them.

    In columns that are `named` a text such as 1.0 is a name, since another table of the source has one there that is no integer.
    """

    root: Root
    name: str
    names: tuple[str, ...]
    table: Any
    named: frozenset[str] = frozenset()

    @property
    def where(self) -> str:
        return self.root.show(self.name)

    def row(self, number: int) -> str:
        """The name of a row, which counts from 0, in messages."""
        return f"{self.where}: row {number + 1}"

    def texts(self, name: str) -> list[str | None]:
        """A column; None for what is missing, blank or says so (NaN, NA). Raises UserError for fractions, lists and others."""
        try:
            values = plain_values(self._column(name))
        except TypeError as error:
            raise UserError(Problem(self.where, 0, f"column {name!r}", str(error))) from error
        if name not in self.named and are_integers([values]):
            values = without_points(values)
        return [as_utf8(value.strip()) or None if value is not None else None for value in pc.cast(values, pa.string()).to_pylist()]

    def lists(self, name: str) -> list[list[str]] | None:
        """A column of lists of texts or integers, none for null; None for a column of anything else. Raises UserError for other lists."""
        column = self._column(name)
        if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            return None
        found = [[as_utf8(str(value).strip()) for value in values or ()] for values in column.to_pylist()]
        kind = column.type.value_type
        if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise UserError(Problem(self.where, 0, f"column {name!r}", f"must hold lists of texts or integers, but holds lists of {kind}"))
        return found

    def num_words(self, name: str) -> int:
        """How many of its values are words such as NaN, which `texts` takes for none."""
        return num_words_for_nothing(self._column(name))

    def has_integers(self, name: str) -> bool:
        """Whether a column has integers alone, be they texts with .0; so has one that isn't there."""
        try:
            return name not in self.names or are_integers([plain_values(self._column(name))])
        except TypeError:
            return False

    def _column(self, name: str) -> Any:
        return self.table.column(self.names.index(name))


def of_one_source(tables: Mapping[str, TableFile], columns: Iterable[str]) -> dict[str, TableFile]:
    """These tables by part; what these columns have in one of them is a name in all where it is in another."""
    several = tables.values() if len(tables) > 1 else ()
    named = frozenset(name for name in columns if not all(table.has_integers(name) for table in several))
    return {part: replace(table, named=named) for part, table in tables.items()}


def read_table(text: str, where: str) -> TableFile:
    """Raises UserError for what is no table."""
    root, name = open_file(text, where)
    try:
        table = _read(root.read(name), name.lower())
        table.validate(full=True)
        return TableFile(root, name, tuple(one.strip() for one in table.column_names), table)
    except (pa.ArrowException, OSError, BadPicture, ValueError) as error:
        rule = f"must be a CSV, TSV, JSONL or Parquet table, but cannot be read as one ({first_line(error)})"
        if isinstance(error, UnicodeError) or "invalid utf8" in str(error).lower():  # of a spreadsheet elsewhere
            rule += f"; its text must be {READABLE}: save it as CSV UTF-8"
        raise UserError(Problem(root.show(name), 0, "", rule)) from error


def _read(content: bytes, name: str) -> Any:
    if name.endswith((".parquet", ".pq")):
        return pq.ParquetFile(pa.BufferReader(content)).read()
    if b"\0" in content:  # as UTF-16 has in each comma
        content = decoded(content).encode()
    content = content.removeprefix(_UTF8)
    if name.endswith((".jsonl", ".ndjson")):
        _refuse_no_objects(content)
        return _read_json_lines(content)
    return _read_csv(content)


def _read_json_lines(content: bytes) -> Any:
    """Texts that look like dates stay texts, where pyarrow makes times of them."""
    options = pyarrow.json.ReadOptions(block_size=len(content) + 1)
    table = pyarrow.json.read_json(pa.BufferReader(content), options)
    dates = pa.schema([(field.name, pa.string()) for field in table.schema if pa.types.is_timestamp(field.type)])
    if not len(dates):
        return table
    return pyarrow.json.read_json(pa.BufferReader(content), options, pyarrow.json.ParseOptions(explicit_schema=dates))


def _refuse_no_objects(content: bytes) -> None:
    """Raise ValueError for a line that is no JSON object: over some, such as null, pyarrow 25 ends the process."""
    for number, line in enumerate(content.decode().split("\n"), 1):
        try:
            is_one = not line.strip() or isinstance(from_json(line), dict)
        except ValueError:
            is_one = False
        if not is_one:
            raise ValueError(f"line {number} is no JSON object")


def _read_csv(content: bytes) -> Any:
    sep = _SEP.match(content)
    content = content[sep.end() :] if sep else content
    header = content[:65_536].split(b"\n", 1)[0]
    delimiter = sep[1].decode() if sep else max(_DELIMITERS, key=lambda one: header.count(one.encode()))
    parse = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    names = _header(content, parse)
    # Under numbers, since a name may stand twice; as texts, or the label 01 would become 1.
    numbers = [str(number) for number in range(len(names))]
    read = pyarrow.csv.ReadOptions(column_names=numbers, skip_rows_after_names=1)
    types = dict.fromkeys(numbers, pa.string())
    convert = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    return pyarrow.csv.read_csv(pa.BufferReader(content), read, parse, convert).rename_columns(names)


def _header(content: bytes, parse: Any) -> Sequence[str]:
    names: list[str] = pyarrow.csv.open_csv(pa.BufferReader(content), parse_options=parse).schema.names
    return names
