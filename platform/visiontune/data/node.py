"""A store on the node that reads it: copied there once, under a lock, where it lies on a file system of the network.

Every trial of a node then maps the same file, through the page cache. VISIONTUNE_NODE_CACHE names the node's folder; it also
makes copies of what lies on a local disk. Without it, copies go into the folder for temporary files, and only of what lies on the network.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from visiontune.data.mapped import Store
from visiontune.data.store import locked
from visiontune.spec.errors import UserError

_REMOTE = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "gluster", "fuse.", "9p", "afs", "pvfs", "orangefs", "wekafs", "vast")
_SPARE = 1.1


def on_this_node(path: Path) -> Path:
    """The store's own path, or that of the node's copy. Where there is no room for one, the original is read."""
    named = os.environ.get("VISIONTUNE_NODE_CACHE")
    if named is None and not is_remote(path):
        return path
    folder = Path(named).expanduser() if named else Path(tempfile.gettempdir()) / f"visiontune-{os.getuid()}"
    copy = folder / path.name
    try:
        if named is None and is_remote(folder.parent):
            return path
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            return path  # somebody else's: what lies there may be anything
        if _is_same(copy, path):
            return copy
        with locked(folder / f"{path.stem}.lock"):
            if not _is_same(copy, path):
                _copy(path, copy)
        return copy
    except OSError:
        return path


def is_remote(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether the file system there is one of the network, by its type; False where that can't be known."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return False
    where, best, kind = path.resolve(), Path("/"), ""
    for line in lines:
        before, _, after = line.partition(" - ")
        place = Path(before.split()[4].encode().decode("unicode_escape"))
        # A later mount at the same place lies above the earlier one.
        if where.is_relative_to(place) and len(place.parts) >= len(best.parts):
            best, kind = place, after.split()[0]
    return kind.startswith(_REMOTE) and "overlay" not in kind


def _is_same(copy: Path, path: Path) -> bool:
    """Whole and of the same content: a digest names both, and it is opened as any store is."""
    try:
        return copy.stat().st_size == path.stat().st_size and Store.open(copy).digest == Store.open(path).digest
    except (OSError, UserError):
        return False


def _copy(path: Path, copy: Path) -> None:
    """Whole or not at all. Raises OSError, also where too little would be left on the disk."""
    if shutil.disk_usage(copy.parent).free < _SPARE * path.stat().st_size:
        raise OSError(28, "no room for a copy of the store")
    for leftover in copy.parent.glob(f".{copy.name}.*.tmp"):
        leftover.unlink(missing_ok=True)
    part = copy.with_name(f".{copy.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(path, part)
        if any(Store.open(part).damaged()):
            raise OSError(5, "the copy of the store is damaged")
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)
