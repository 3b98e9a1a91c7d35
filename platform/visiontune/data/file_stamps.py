"""Numbers that tell whether files have changed, without reading them.

Of a local file: size, times of content and of change (ctime, which can't be set back as archives do with the other), and inode. Over a
mount of the network only size and time: inodes and ctime are made up there by CIFS and FUSE, and differ after the next mount. Of object
storage what a listing says, which comes with a thousand files at once, where a question for each takes a HEAD request.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Sequence
from typing import Any

import numpy as np

from visiontune.data.file_tree import Root
from visiontune.data.reads_at_once import each
from visiontune.data.source import Hashes

_GONE = "-1"


def stamps_of_files(root: Root, names: Sequence[str]) -> Hashes:
    """A number for each file. What can't be asked is as a file that is gone."""
    if root.filesystem is None:
        local = _on_network if root.is_remote else _on_disk
        paths = (root.at(name) for name in names)
        return np.array([_number(stamp) for stamp in each(local, paths, is_remote=root.is_remote)], np.uint64)
    stamps_N = np.zeros(len(names), np.uint64)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(posixpath.dirname(name), []).append(row)

    def listed(folder: str) -> None:
        known = _listed(root, folder) if len(rows[folder]) > 1 else {}
        for row in rows[folder]:
            stamp = known.get(posixpath.basename(names[row]))
            stamps_N[row] = _number(_asked(root, names[row]) if stamp is None else stamp)

    for _ in each(listed, rows, is_remote=True):
        pass
    return stamps_N


def _on_disk(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116  also for odd bytes, and a million times
    except OSError:
        return _GONE
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _on_network(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return _GONE
    return f"{status.st_size} {status.st_mtime_ns}"


def _listed(root: Root, folder: str) -> dict[str, str]:
    """By name; nothing where there is no listing, as web servers have none."""
    from pyarrow.fs import FileSelector

    try:
        found = root.filesystem.get_file_info(FileSelector(root.at(folder)))
    except OSError:
        return {}
    return {info.base_name: _stamp(info) for info in found}


def _asked(root: Root, name: str) -> str:
    try:
        return _stamp(root.filesystem.get_file_info(root.at(name)))
    except OSError:
        return _GONE


def _stamp(info: Any) -> str:
    return f"{info.size} {info.mtime_ns}"


def _number(stamp: str) -> int:
    return int.from_bytes(hashlib.blake2b(stamp.encode(), digest_size=8).digest(), "little")
