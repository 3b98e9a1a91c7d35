"""What is likely meant where a table lacks a column, or its pictures lie elsewhere: by its values, not by its names alone."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_root
from visiontune.data.readers.picture_paths import Pictures, places
from visiontune.data.readers.table_file import TableFile
from visiontune.errors import UserError

_NO_MARKS = (":", "~", "#", " ")
_SAMPLE = 200
_MOST_FOLDERS = 50
_MOST_CLASSES = 1000
USUAL_LABELS = ("label", "labels", "class", "category", "target", "y", "species", "breed", "diagnosis")


def hint_for(key: str | None, table: TableFile, pictures: str | None) -> str:
    """The words to write for `path_column` or `label_column`; empty where no column is likely."""
    if any(posixpath.splitext(name)[1].lower() in (".jpg", ".jpeg", ".png") for name in table.names):
        return f"its first line seems to be a row: write a line of names above it, such as path,label ({', '.join(table.names)})"
    if key is None:
        return ""
    found = likely_path(table, pictures)
    if key == "path_column" and found is not None:
        column, folder = found
        there = "" if folder is None else f" images={folder}"
        return f"the values of {column!r} are names of files{there and f' in {folder}'}: write path_column={column}{there}"
    if key == "label_column" and len(flags := _flags(table)) > 1:
        return f"{', '.join(flags)} hold 0 and 1: write label_columns=[{', '.join(flags)}] if one of them has the 1 in each row"
    if key == "label_column" and (labels := likely_labels(table, found[0] if found else None)):
        if len(labels) == 1:
            return f"{labels[0]!r} has few values for many rows: write label_column={labels[0]}"
        return f"write label_column={labels[0]}, or one of {', '.join(labels[1:])}"
    return ""


def other_mark(table: TableFile, wanted: Sequence[str]) -> str | None:
    """What parts the columns of a first line that was read as one; None where that is the name of one, or has one of those wanted."""
    if len(table.names) != 1:
        return None
    parted = {mark: {one.strip() for one in table.names[0].split(mark)} - {table.names[0]} for mark in _NO_MARKS}
    return next((mark for mark, words in parted.items() if words & {*wanted}), None)


def likely_path(table: TableFile, pictures: str | None) -> tuple[str, str | None] | None:
    """The column most of whose values are files, and the folder to write for `images` where they are not beside the table."""
    for folder in _folders(table, pictures):
        root = table.root if folder is None else open_root(folder, "data.images")
        shares = {name: _share_found(_sample(table, name), root) for name in dict.fromkeys(table.names)}
        best = max(shares, key=shares.__getitem__, default=None)
        if best is not None and shares[best] > 0.5:
            return best, folder
    return None


def likely_labels(table: TableFile, path: str | None) -> list[str]:
    """Columns of classes: few values, each for many rows; those that are usually called so first, and alone."""
    found = []
    for name in dict.fromkeys(table.names):
        values = _values(table, name)
        if name != path and 2 <= len({*values}) <= min(_MOST_CLASSES, len(values) / 2):
            found.append(name)
    return [name for name in found if name.casefold() in USUAL_LABELS][:1] or found


def _folders(table: TableFile, pictures: str | None) -> list[str | None]:
    """Where pictures may be: as the user said, or beside the table, or in a folder there."""
    if pictures is not None:
        return [pictures]
    below = [name for name in table.root.scan().folders if not is_hidden(name)][:_MOST_FOLDERS]
    return [None, *(posixpath.join(table.root.shown, name) for name in below)]


def _share_found(paths: Sequence[str], root: Root) -> float:
    names = [places(path, "", root, "") for path in paths]
    pictures = Pictures(root)
    pictures.scan({posixpath.dirname(name) for found in names for name in found})
    return sum(any(pictures.exact(name) or pictures.loose(name) for name in found) for found in names) / max(len(paths), 1)


def _flags(table: TableFile) -> list[str]:
    return [name for name in dict.fromkeys(table.names) if {value.removesuffix(".0") for value in _values(table, name)} == {"0", "1"}]


def _sample(table: TableFile, name: str) -> list[str]:
    values = _values(table, name)
    return values[:: max(len(values) // _SAMPLE, 1)]


def _values(table: TableFile, name: str) -> list[str]:
    try:
        return [value for value in table.texts(name) if value]
    except UserError:
        return []
