"""Folders and files as users name them, by path or URI: opened, or refused with the nearest name."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from visiontune.data.archives.open_archive import archive_in
from visiontune.data.file_names import is_hidden, printable
from visiontune.data.file_tree import Root
from visiontune.data.reads_at_once import MOST_AT_ONCE
from visiontune.errors import Problem, UserError, first_line, nearest
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.uri import is_uri, shown

_BY_PYARROW = ("file", "s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss", "mock")


def open_root(text: str, where: str) -> Root:
    """A path or URI, whether anything lies there or not; an archive is a folder. Raises UserError for what nothing opens."""
    if not text:  # an unset variable, not the folder where one is
        raise UserError(Problem("", 0, where, "must not be an empty string"))
    if not is_uri(text):
        path = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111  also for odd bytes
        return _into_archive(Root(path, text.rstrip("/") or "/"))
    from pyarrow.fs import LocalFileSystem

    shown_uri = shown(text).partition("?")[0].rstrip("/")
    try:
        filesystem, path = _file_system(text)
    except (OSError, ValueError, ImportError) as error:
        rule = f"must be a path or a URI that pyarrow or fsspec opens (file://, s3://, gs://, https://), but {shown_uri} is not"
        raise UserError(Problem("", 0, where, f"{rule}: {first_line(error)}")) from error
    is_local = isinstance(filesystem, LocalFileSystem)
    return _into_archive(Root(path.rstrip("/") or "/", shown_uri, None if is_local else filesystem))


def _into_archive(root: Root) -> Root:
    """The same, or the root in the archive that its path leads into. Raises UserError for an archive that can't be read."""
    found = archive_in(root.path, root.filesystem, root.shown)
    return root if found is None else replace(root, path=f"/{found[1]}", filesystem=found[0])


def _file_system(uri: str) -> tuple[Any, str]:
    """pyarrow's own, which reads small files of S3 two to three times as fast as s3fs; fsspec's for what pyarrow lacks (http, az, ...)."""
    from pyarrow import io_thread_count, set_io_thread_count
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    # A client of S3 opens as many connections as there are such threads when it is made, 25 at least.
    set_io_thread_count(max(io_thread_count(), MOST_AT_ONCE))
    if uri.partition("://")[0] in _BY_PYARROW:
        return FileSystem.from_uri(uri)  # type: ignore[no-any-return]
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(uri)
    return PyFileSystem(FSSpecHandler(filesystem)), path


def open_folder(text: str, where: str, what: str = "a folder") -> Root:
    """The folder at a path or URI. Raises UserError, with the nearest name, where there is none; `what` could be there."""
    root = open_root(text, where)
    kind = kind_at(root)
    if kind == "folder":
        return root
    if kind == "file":
        raise UserError(Problem("", 0, where, f"must be a folder, but {root.shown} is a file"))
    raise UserError(Problem("", 0, where, f"must be {what}, but there is no {root.shown}{beside(root)}"))


def open_file(text: str, where: str) -> tuple[Root, str]:
    """The folder of the file at a path or URI, and its name there. Raises UserError, with the nearest name, where there is none."""
    root = open_root(text, where)
    kind = kind_at(root)
    if kind == "folder":
        raise UserError(Problem("", 0, where, f"must be a file, but {root.shown} is a folder"))
    if kind is None:
        raise UserError(Problem("", 0, where, f"must be a file, but there is no {root.shown}{beside(root)}"))
    parent, name = posixpath.split(root.path)
    return Root(parent, posixpath.dirname(root.shown) or ".", root.filesystem), name


def open_files(text: str, where: str, suffix: str) -> tuple[Root, list[str]]:
    """A file; or of a folder all files with that suffix; or what matches a pattern such as `data/train-*.parquet`. Sorted.

    Raises UserError, with the nearest name, where there is none.
    """
    root = open_root(text, where)
    kind = kind_at(root)
    pattern = posixpath.basename(root.path)
    if kind == "folder":
        folder, pattern = root, f"*{suffix}"
    elif kind is None and "*" in pattern:
        folder = open_folder(posixpath.dirname(text) or ".", where)
    else:
        folder, name = open_file(text, where)
        return folder, [name]
    names = [name for name in folder.scan().files if fnmatchcase(name, pattern) and not is_hidden(name)]
    if not names:
        near = beside(replace(folder, path=f"{folder.path}/{pattern}", shown=f"{folder.shown}/{pattern}"))
        raise UserError(Problem("", 0, where, f"must hold files, but in {folder.shown} none is named {pattern}{near}"))
    return folder, names


def inside(name: str, root: Root) -> str | None:
    """A path out of a manifest or annotation, relative to the root; None where it climbs out. Windows' separators are read too."""
    name = name.strip().replace("\\", "/")
    name = name.removeprefix(f"{root.shown}/") if is_uri(root.shown) else name
    if name.startswith("/") and root.filesystem is None:
        name = posixpath.relpath(name, root.path)
    name = posixpath.normpath(name)
    return None if name.startswith(("../", "/")) or name in ("..", ".") or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", name) else name


def places_inside(name: str, root: Root) -> list[str]:
    """Where such a path may lie below the root: seen from there, and seen from where the user's own path of the root begins."""
    seen_from_above = name.strip().replace("\\", "/").removeprefix(f"{root.shown}/")
    return list(dict.fromkeys(one for one in (inside(name, root), inside(seen_from_above, root)) if one is not None))


def kind_at(root: Root) -> str | None:
    """ "folder" or "file" at its path; None where there is neither. Raises UserError where a remote store can't say."""
    if root.filesystem is None:
        kind = kind_of(root.path)
        return None if kind == "other" else kind
    from pyarrow.fs import FileType

    try:
        found = root.filesystem.get_file_info(root.path).type
    except OSError as error:
        raise UserError(Problem(root.shown, 0, "", f"cannot be read ({first_line(error)})")) from error
    return {FileType.Directory: "folder", FileType.File: "file"}.get(found)


def beside(root: Root) -> str:
    """The tail of a message: what lies beside its path under a similar name, as it is typed in place of it, then all if they are few."""
    parent, name = posixpath.split(root.path)
    try:
        found = Root(parent, "", root.filesystem).scan()
    except UserError:
        return ""
    names = [other for other in (*found.folders, *found.files) if not is_hidden(other)]
    typed = root.shown.rpartition("/")
    said = nearest(name, map(printable, names), printable(typed[0] + typed[1]))
    return f"; {said}" if len(names) <= 10 else f"; {said.partition(';')[0]}" if said.startswith("nearest") else ""
