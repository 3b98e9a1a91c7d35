"""A store on the node that reads it: copied there once, under a lock, where it lies on a network file system or the node can't see it.

Every trial of a node then maps the same file, through the page cache. The copy comes from the remote cache where there is one, else
from the store's own path. VISIONTUNE_NODE_CACHE names the node's folder; it also makes copies of what lies on a local disk. Without
it, copies go into the folder for temporary files, and never of what lies on a local disk. Where the disk has no room for another copy,
or all would be more than VISIONTUNE_NODE_CACHE_GB, those that nobody opened for an hour go, the one used longest ago first.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from visiontune.data.store.remote_cache import fetch
from visiontune.data.store.store import Store, pixels_of
from visiontune.data.store.stores import mark_used, remove, stores_in
from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import leftovers_of, replacing
from visiontune.filesystem.file_lock import locked
from visiontune.filesystem.mounts import is_remote
from visiontune.filesystem.path_kind import with_home

_SPARE = 1.1
_IDLE_S = 3600


def on_this_node(path: Path, remote_cache: str | None = None) -> Path:
    """The store's own path, or that of the node's copy. Where no copy can be made, the original is read.

    Raises UserError where this node has neither.
    """
    named = os.environ.get("VISIONTUNE_NODE_CACHE") or None
    is_here = path.exists()
    if is_here and named is None and not is_remote(path):
        return path
    folder = with_home(named) if named else Path(tempfile.gettempdir()) / f"visiontune-{os.getuid()}"
    if is_here and named is None and is_remote(folder.parent):
        return path
    most_bytes = _most_bytes()
    try:
        copy = _copied(path, folder, remote_cache, most_bytes)
        for used in (copy, pixels_of(copy)):
            mark_used(used or copy)
        return copy
    except (OSError, UserError) as error:
        if is_here:
            return path
        raise UserError(f"node {socket.gethostname()} must have the store {path}, but {error}") from error


def _most_bytes() -> float:
    """Raises UserError for a limit that is none."""
    text = os.environ.get("VISIONTUNE_NODE_CACHE_GB") or "inf"
    try:
        most = float(text)
    except ValueError:
        most = -1.0
    if not most > 0:
        raise UserError(f"VISIONTUNE_NODE_CACHE_GB must be a number above 0, but is {text!r}")
    return most * 1e9


def _copied(path: Path, folder: Path, remote_cache: str | None, most_bytes: float) -> Path:
    """The node's copy. Raises OSError, UserError."""
    copy = folder / path.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} is somebody else's: what lies there may be anything")
    if _is_copy(copy, path.stem):
        return copy
    with locked(folder / f"{path.stem}.lock"):
        for leftover in leftovers_of(copy):
            leftover.unlink(missing_ok=True)
        if _is_copy(copy, path.stem):
            return copy
        if path.exists() and (base := pixels_of(path)) is not None:
            _copied(base, folder, remote_cache, most_bytes)
        if path.exists():  # else only what comes from the remote cache tells its size
            _make_room(folder, path.stat().st_size, most_bytes)
        if remote_cache is None or not fetch(remote_cache, copy):
            _copy(path, copy)
    return copy


def _make_room(folder: Path, num_bytes: int, most_bytes: float) -> None:
    """Remove copies as long as another one does not fit. Raises OSError where it can't."""
    copies = stores_in(folder)
    taken = sum(one.num_bytes for one in copies)
    while taken + num_bytes > most_bytes or shutil.disk_usage(folder).free < _SPARE * num_bytes:
        if not copies or time.time() - copies[-1].used_s < _IDLE_S:
            raise OSError(errno.ENOSPC, f"no room in {folder} for a copy of the store")
        taken -= copies[-1].num_bytes
        remove(copies.pop())


def _is_copy(copy: Path, digest: str) -> bool:
    """Whether it is a store of that digest, whole as far as its length, metadata and labels tell."""
    try:
        return Store.open(copy).digest == digest
    except UserError:
        return False


def _copy(path: Path, copy: Path) -> None:
    """Copy the store, whole or not at all. Raises OSError, UserError."""
    with replacing(copy) as temporary:
        shutil.copyfile(path, temporary)
        if any(Store.open(temporary).damaged()):
            raise OSError(errno.EIO, "the copy of the store is damaged")
