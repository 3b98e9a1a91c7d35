"""Stores in a folder that all machines reach, object storage above all: put there once, fetched by every machine that lacks them.

VISIONTUNE_REMOTE_CACHE names the folder: a path, or a URI that pyarrow or fsspec opens (s3://, gs://). What comes from there is read
through before it counts, for an upload may have been cut off.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from visiontune.data.open_files import open_root
from visiontune.data.store.store import Store, is_good, pixels_of
from visiontune.errors import Problem, UserError, first_line
from visiontune.filesystem.atomic_write import replacing
from visiontune.filesystem.path_kind import with_home
from visiontune.filesystem.uri import is_uri

NAME = "VISIONTUNE_REMOTE_CACHE"


class _Damaged(Exception):
    """What came is not the store."""


# There a file is seen only once it is complete; elsewhere it is written under a temporary name.
_ALL_OR_NOTHING = ("s3", "gcs", "abfs")


def remote_cache() -> str | None:
    """The folder that the environment names, a path made absolute; None for none."""
    named = os.environ.get(NAME) or None
    return named if named is None or is_uri(named) else str(with_home(named).absolute())


def fetch(folder: str, path: Path) -> bool:
    """Copy the store of `path`'s name to `path`, whole or not at all; False where there is none. Raises UserError.

    A damaged one is removed from the folder, so that the next `put` writes it again.
    """
    from pyarrow.fs import FileType, LocalFileSystem, copy_files

    filesystem, remote = _located(folder, path.name)
    with _refused(folder):
        if filesystem.get_file_info(remote).type != FileType.File:
            return False
    try:
        with replacing(path) as temporary:
            with _refused(folder):
                copy_files(remote, str(temporary), source_filesystem=filesystem, destination_filesystem=LocalFileSystem())
            if not _has_pixels(folder, temporary) or not _is_whole(temporary, path.stem):
                raise _Damaged
    except _Damaged:
        with contextlib.suppress(OSError):
            filesystem.delete_file(remote)
        return False
    return True


def put(folder: str, path: Path) -> bool:
    """Copy a store there; False where one of its name lies there already. Raises UserError."""
    from pyarrow.fs import FileType, LocalFileSystem, copy_files

    if (base := pixels_of(path)) is not None:
        put(folder, base)
    filesystem, remote = _located(folder, path.name)
    with _refused(folder):
        if filesystem.get_file_info(remote).type == FileType.File:
            return False
        if filesystem.type_name in _ALL_OR_NOTHING:
            copy_files(str(path), remote, source_filesystem=LocalFileSystem(), destination_filesystem=filesystem)
            return True
        temporary = f"{remote}.{uuid.uuid4().hex}.tmp"
        filesystem.create_dir(remote.rpartition("/")[0], recursive=True)
        copy_files(str(path), temporary, source_filesystem=LocalFileSystem(), destination_filesystem=filesystem)
        filesystem.move(temporary, remote)
    return True


def _located(folder: str, name: str) -> tuple[Any, str]:
    from pyarrow.fs import LocalFileSystem

    root = open_root(folder, NAME)
    return root.filesystem or LocalFileSystem(), f"{root.path.rstrip('/')}/{name}"


def _has_pixels(folder: str, path: Path) -> bool:
    """Whether the pixels lie here too, where the file has splits alone; they are fetched if they don't."""
    try:
        base = pixels_of(path)
        return base is None or is_good(base) or fetch(folder, base)
    except UserError:
        return False


def _is_whole(path: Path, digest: str) -> bool:
    try:
        store = Store.open(path)
    except UserError:
        return False
    return store.digest == digest and not any(store.damaged())


@contextlib.contextmanager
def _refused(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        shown = open_root(folder, NAME).shown
        rule = f"stores must be read and written in {shown}, but: {error.strerror or first_line(error)}"
        raise UserError(Problem("", 0, NAME, rule)) from error
