"""A CSV, TSV or Parquet table with a path and a label in each row, and columns for part and group where there are such.

Paths are relative to the folder of pictures, by default the manifest's own. A row whose picture is missing and a picture beside the
others that no row names are set aside; a path that climbs out of the folder is refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from visiontune.data.class_names import part_of
from visiontune.data.file_names import identity, printable
from visiontune.data.file_tree import Root
from visiontune.data.open_files import inside, open_file, open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.item import Item
from visiontune.data.readers.listing import is_picture
from visiontune.data.readers.picture_files import file_source
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError, first_line, nearest

DEFAULT_SPLIT = "split"
_MAX_LISTED = 5


def manifest(
    *,
    path: str,
    images: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = DEFAULT_SPLIT,
    group_column: str | None = None,
) -> Source:
    """Read the table and list the folders that it names. Raises UserError."""
    root, name = open_file(path, "data.path")
    where = root.show(name)
    table = _read(root, name, where)
    optional = [split_column] if split_column != DEFAULT_SPLIT or DEFAULT_SPLIT in table.column_names else []
    wanted = [path_column, label_column, *optional, *([group_column] if group_column else [])]
    missing = [column for column in wanted if column not in table.column_names]
    if missing:
        raise UserError(*(Problem(where, 0, "", f"must have a column {one!r}; {nearest(one, table.column_names)}") for one in missing))
    columns = {column: _texts(table.column(column), column, where) for column in wanted}
    rows = _Rows(
        columns[path_column],
        columns[label_column],
        columns[split_column] if optional else None,
        columns[group_column] if group_column else None,
        where,
    )
    folder = root if images is None else open_folder(images, "data.images")
    set_aside: list[SetAside] = []
    return file_source("manifest", folder, rows.items(folder, set_aside), set_aside)


class _Rows:
    """The columns as texts; None for a value that is missing or blank."""

    def __init__(
        self,
        paths: Sequence[str | None],
        labels: Sequence[str | None],
        splits: Sequence[str | None] | None,
        groups: Sequence[str | None] | None,
        where: str,
    ) -> None:
        self.paths, self.labels, self.splits, self.groups, self.where = paths, labels, splits, groups, where

    def items(self, root: Root, set_aside: list[SetAside]) -> dict[str, list[Item]]:
        """By part. Raises UserError for paths that climb out and for words that are no part."""
        names, parts = self._names(root), self._parts()
        found = _Pictures(root, {posixpath.dirname(name) for name in names if name})
        rows_of: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            if name is None:
                set_aside.append(SetAside(self._row(row), "has no path"))
            elif (real := found.real(name)) is None:
                set_aside.append(SetAside(self._row(row), f"has a label without a picture: there is no {root.show(name)}"))
            else:
                rows_of.setdefault(real, []).append(row)
        items: dict[str, list[Item]] = {"train": [], "val": [], "test": []}
        for real, rows in rows_of.items():
            chosen = self._one_row(rows, real, parts, root, set_aside)
            if chosen is not None:
                label, group = self.labels[chosen], self.groups[chosen] if self.groups else None
                assert label is not None
                items[parts[chosen]].append(Item(real, label, group))
        found.set_rest_aside(rows_of, set_aside)
        self._refuse_torn_groups(items)
        return items

    def _refuse_torn_groups(self, items: Mapping[str, Sequence[Item]]) -> None:
        """Raise UserError for a group whose pictures the table itself puts into several parts."""
        parts: dict[str, str] = {}
        for part, found in items.items():
            for group in dict.fromkeys(item.group for item in found if item.group is not None):
                if parts.setdefault(group, part) != part:
                    rule = f"rows of one group must be in one part, but those of {group!r} are in {parts[group]} and {part}"
                    raise UserError(Problem(self.where, 0, "", rule))

    def _one_row(self, rows: Sequence[int], real: str, parts: Sequence[str], root: Root, set_aside: list[SetAside]) -> int | None:
        """The row that counts for this picture."""
        labels = sorted({self.labels[row] or "" for row in rows} - {""})
        if len(labels) > 1:
            set_aside.append(SetAside(root.show(real), f"stands in several rows with different labels: {', '.join(labels)}"))
            return None
        if len({parts[row] for row in rows}) > 1:
            set_aside.append(SetAside(root.show(real), f"stands in several parts: {', '.join(sorted({parts[row] for row in rows}))}"))
            return None
        row = next((row for row in rows if self.labels[row]), None)
        if row is None:
            set_aside.append(SetAside(root.show(real), "has no label", is_bad=False))
        set_aside += [
            SetAside(self._row(other), f"repeats {root.show(real)}", is_bad=False) for other in rows if row is not None and other != row
        ]
        return row

    def _names(self, root: Root) -> list[str | None]:
        names = [None if path is None else inside(path, root) or "" for path in self.paths]
        bad = [row for row, name in enumerate(names) if name == ""]
        if bad:
            rule = f"paths must stay inside {root.show('')}, but {{!r}} does not; data.images names the folder that holds them all"
            raise UserError(*(Problem(self._row(row), 0, "", rule.format(self.paths[row])) for row in bad[:_MAX_LISTED]))
        return names

    def _parts(self) -> list[str]:
        if self.splits is None:
            return ["train"] * len(self.paths)
        parts = [part_of(split or "") for split in self.splits]
        bad = [row for row, part in enumerate(parts) if part is None]
        if bad:
            problems = [
                Problem(self._row(row), 0, "", f"must be in train, val or test, but has {self.splits[row] or 'nothing'!r}") for row in bad
            ]
            raise UserError(*problems[:_MAX_LISTED])
        return [part for part in parts if part is not None]

    def _row(self, row: int) -> str:
        return f"{self.where}: row {row + 1}"


class _Pictures:
    """What lies in the folders that a manifest names, found under any way of composing letters."""

    def __init__(self, root: Root, folders: set[str]) -> None:
        self.root = root
        self.odd: list[SetAside] = []
        self.names: dict[str, str] = {}
        for folder in sorted(folders):
            try:
                found = root.scan(folder)
            except UserError:
                continue  # its rows are set aside one by one
            self.odd += [SetAside(root.show(posixpath.join(folder, name)), reason) for name, reason in found.odd]
            self.names |= {identity(name): name for name in (posixpath.join(folder, file) for file in found.files)}

    def real(self, name: str) -> str | None:
        return self.names.get(identity(name))

    def set_rest_aside(self, used: dict[str, list[int]], set_aside: list[SetAside]) -> None:
        """Pictures without a row; files that are none, such as the manifest, are nobody's loss."""
        set_aside += self.odd
        for name in self.names.values():
            if name not in used and is_picture(posixpath.dirname(name), posixpath.basename(name), self.root, []):
                set_aside.append(SetAside(self.root.show(name), "is a picture without a label: no row names it", is_bad=False))


def _read(root: Root, name: str, where: str) -> Any:
    try:
        content = pa.BufferReader(root.read(name))
        if name.lower().endswith((".parquet", ".pq")):
            return pq.read_table(content)
        return _read_csv(content)
    except (pa.ArrowException, BadPicture, UnicodeDecodeError) as error:
        raise UserError(
            Problem(where, 0, "", f"must be a CSV, TSV or Parquet table, but cannot be read as one ({first_line(error)})")
        ) from error


def _read_csv(content: Any) -> Any:
    first = bytes(content.read(65_536)).split(b"\n", 1)[0]
    content.seek(0)
    delimiter = max((",", ";", "\t"), key=lambda one: first.count(one.encode()))
    parse = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    names = pyarrow.csv.open_csv(content, parse_options=parse).schema.names
    content.seek(0)
    # As texts, or the label 01 would become 1.
    convert = pyarrow.csv.ConvertOptions(column_types={column: pa.string() for column in names}, strings_can_be_null=True, null_values=[""])
    return pyarrow.csv.read_csv(content, parse_options=parse, convert_options=convert)


def _texts(column: Any, name: str, where: str) -> list[str | None]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise UserError(Problem(where, 0, f"column {name!r}", f"must hold texts or integers, but holds {kind}"))
    values = pc.cast(column, pa.string()).to_pylist()
    return [printable(value.strip()) or None if value is not None else None for value in values]
