"""Which file systems are mounted over the network, by the type that the kernel gives in /proc/self/mountinfo."""

from __future__ import annotations

import re
from pathlib import Path

_REMOTE = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "gluster", "fuse.", "9p", "afs", "pvfs", "orangefs", "wekafs", "vast")


def is_remote(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether the file system there is one of the network, by its type; False where that can't be known."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return False
    where, best, kind = path.resolve(), Path("/"), ""
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), before.split()[4]))
        # A later mount at the same point lies above the earlier one.
        if where.is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, after.split()[0]
    return (kind.startswith(_REMOTE) or kind == "fuse") and "overlay" not in kind  # fuseblk is a local disk
