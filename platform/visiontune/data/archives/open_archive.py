"""Paths that lead into an archive, such as pets.zip or data/pets.zip/train: an archive is a folder. Its index is read once and kept."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from visiontune.data.archives.archive import Archive
from visiontune.data.archives.index import Index, index_of
from visiontune.data.archives.volume import LocalVolume, RemoteVolume, Volume, stamp_of
from visiontune.data.file_names import printable
from visiontune.errors import UserError, first_line
from visiontune.filesystem.path_kind import kind_of

_NAME = re.compile(r"[^/]\.(zip|tar(\.(gz|bz2|xz|zst))?|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)
_MOST_KEPT = 2
"""The index of a million files takes some 400 MB; whoever reads from one keeps it anyway."""


def is_archive_name(name: str) -> bool:
    """Whether a file of this name is opened as an archive, or refused as a compressed one.

    >>> is_archive_name("pets.zip"), is_archive_name("pets.tar.gz"), is_archive_name("pets.gz")
    (True, True, False)
    """
    return _NAME.search(name) is not None


def archive_in(path: str, filesystem: Any, shown: str) -> tuple[Archive, str] | None:
    """The archive that a path leads to or into, and the path in it; None where none of its folders is one. Raises UserError.

    `filesystem` is pyarrow's, None for this machine; `shown` is the path as users see it.
    """
    parts = path.split("/")
    for num in range(1, len(parts) + 1):
        if is_archive_name(parts[num - 1]) and _is_file(archive := "/".join(parts[:num]), filesystem):
            inner = "/".join(parts[num:])
            return _open(archive, filesystem, shown.removesuffix(f"/{inner}") if inner else shown), inner
    return None


def volume_of(path: str, filesystem: Any, shown: str) -> tuple[Volume, Index]:
    """An archive's bytes and index. Raises UserError."""
    kind, shown = "zip" if path.lower().endswith(".zip") else "tar", printable(shown)
    try:
        volume = LocalVolume(path) if filesystem is None else RemoteVolume(filesystem, path)
        with open(path, "rb") if filesystem is None else filesystem.open_input_file(path) as file:  # noqa: PTH123
            return volume, index_of(file, kind, shown, is_local=volume.is_local)
    except OSError as error:
        raise UserError(f"{shown} cannot be read ({error.strerror or first_line(error)})") from error


@lru_cache(maxsize=_MOST_KEPT)
def _local_archive(path: str, stamp: tuple[int, int], shown: str) -> Archive:
    """One object as long as the file stays as it is: what a source is, is found out before it is read."""
    return Archive({"": volume_of(path, None, shown)})


def _open(path: str, filesystem: Any, shown: str) -> Archive:
    if filesystem is not None:
        return Archive({"": volume_of(path, filesystem, shown)})
    try:
        return _local_archive(path, stamp_of(path), shown)
    except OSError as error:
        raise UserError(f"{printable(shown)} cannot be read ({error.strerror or first_line(error)})") from error


def _is_file(path: str, filesystem: Any) -> bool:
    if filesystem is None:
        return kind_of(path) == "file"
    from pyarrow.fs import FileType

    try:
        return bool(filesystem.get_file_info(path).type == FileType.File)
    except OSError:
        return False
