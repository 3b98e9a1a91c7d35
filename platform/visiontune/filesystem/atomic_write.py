"""Files that are whole or not there: written under another name beside it, synced to the disk, then renamed.

A kill leaves the old file or the new one, and at most a hidden `.NAME.*.tmp` beside it.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, *, use_fsync: bool = True) -> Iterator[Path]:
    """A path to write at; what lies there when the block ends replaces `path`. Nothing is left of a block that raises.

    `use_fsync` False does not wait for the disk: for what can be made again, and is checked when it is read. Raises OSError.
    """
    temporary = _beside(path)
    try:
        yield temporary
        if use_fsync:
            sync(temporary)
        temporary.replace(path)
        if use_fsync:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str, *, use_fsync: bool = True) -> None:
    """Write a file, and the folders above it. Texts are UTF-8. Raises OSError, and then what was there stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, use_fsync=use_fsync) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def try_out(path: Path) -> None:
    """Raise OSError where `write_whole` would not get as far as to write; makes the folders above, leaves no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.touch()
    temporary.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def sync(path: Path) -> None:
    """Wait until the disk has a file's bytes, or a folder's names. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def leftovers_of(path: Path) -> Iterator[Path]:
    """Temporary files that a killed process left of attempts to write this file."""
    return path.parent.glob(f".{path.name}.*.tmp")
