"""The bytes of an archive's file, read from any place without a position that threads or forked processes would share."""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol


class Volume(Protocol):
    """`stamp()` is (bytes, time of change in ns) of the file as it is now; `is_local`: forked processes may read it too."""

    is_local: bool

    def read_at(self, offset: int, num_bytes: int, /) -> bytes:
        """So many bytes, fewer only at the end of the file. Raises OSError."""

    def stamp(self) -> tuple[int, int]:
        """Raises OSError."""


def stamp_of(path: str) -> tuple[int, int]:
    """Bytes and time of change of a local file: ctime where it is later, for that can't be set back. Raises OSError."""
    status = os.stat(path)  # noqa: PTH116  also for odd bytes
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


class LocalVolume:
    """A file of this machine, open until nobody holds this object."""

    is_local = True

    def __init__(self, path: str) -> None:
        self._path, self._handle = path, os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._handle)

    def read_at(self, offset: int, num_bytes: int, /) -> bytes:
        """See `Volume`."""
        content = os.pread(self._handle, num_bytes, offset)
        while len(content) < num_bytes and (more := os.pread(self._handle, num_bytes - len(content), offset + len(content))):
            content += more
        return content

    def stamp(self) -> tuple[int, int]:
        """See `Volume`."""
        return stamp_of(self._path)


class RemoteVolume:
    """A file of one of pyarrow's file systems."""

    is_local = False

    def __init__(self, filesystem: Any, path: str) -> None:
        self._filesystem, self._path = filesystem, path
        self._file = filesystem.open_input_file(path)

    def read_at(self, offset: int, num_bytes: int, /) -> bytes:
        """See `Volume`."""
        return bytes(self._file.read_at(num_bytes, offset))

    def stamp(self) -> tuple[int, int]:
        """As the store has it."""
        info = self._filesystem.get_file_info(self._path)
        return info.size or 0, info.mtime_ns or 0
