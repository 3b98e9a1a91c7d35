"""An archive as a file system: what `Root` asks of those of pyarrow, `get_file_info` and `open_input_file`.

Threads and forked processes may read at once. Names are relative; a leading "/" is left out.
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from visiontune.data.archives.index import Index
from visiontune.data.archives.member import Member, open_member, read_member
from visiontune.data.archives.volume import Volume


class Archive:
    """`volumes` by folder: what is in one archive lies in the folder of its name, "" for the only one."""

    def __init__(self, volumes: Mapping[str, tuple[Volume, Index]]) -> None:
        self._volumes = {folder: volume for folder, (volume, _) in volumes.items()}
        self._members: dict[str, tuple[Volume, Member]] = {}
        self._below: dict[str, set[str]] = {"": set()}
        self._odd: set[str] = set()
        self._repeated: list[str] = []
        for folder, (volume, index) in volumes.items():
            for name, member in index.members.items():
                self._members[self._placed(folder, name)] = volume, member
            self._repeated += [self._placed(folder, name) for name in sorted(index.repeated)]
            self._odd |= {self._placed(folder, name) for name in index.odd}
            for name in index.folders:
                self._below.setdefault(self._placed(folder, name), set())
        self.can_fork = all(volume.is_local for volume in self._volumes.values())

    def repeated(self, folder: str) -> list[str]:
        """Names in a folder and below it that stand there several times with other contents, of which the last counts; from the folder."""
        start = f"{_plain(folder)}/".lstrip("/")
        return [name.removeprefix(start) for name in self._repeated if name.startswith(start)]

    def open_input_file(self, name: str) -> Any:
        """The file, as pyarrow's object. Raises OSError."""
        return open_member(*self._found(name))

    def read(self, name: str, refuse_long: Callable[[int], object]) -> bytes:
        """The whole file, checked; `refuse_long` is called with its length before. Raises OSError."""
        volume, member = self._found(name)
        refuse_long(member.num_bytes)
        return read_member(volume, member)

    def get_file_info(self, asked: Any) -> Any:
        """pyarrow's FileInfo of a name, of each of a list, or of all in the folder of a FileSelector. Times are those of the archive."""
        from pyarrow.fs import FileSelector

        times = self._times()
        if isinstance(asked, str):
            return self._info(_plain(asked), times)
        if isinstance(asked, FileSelector):
            folder = _plain(asked.base_dir)
            if folder not in self._below:
                raise FileNotFoundError(errno.ENOENT, "No such folder in the archive")
            return [self._info(posixpath.join(folder, name), times) for name in sorted(self._below[folder])]
        return [self._info(_plain(name), times) for name in asked]

    def _found(self, name: str) -> tuple[Volume, Member]:
        """Raises OSError."""
        try:
            return self._members[_plain(name)]
        except KeyError:
            if _plain(name) in self._below:
                raise IsADirectoryError(errno.EISDIR, "Is a folder") from None
            raise FileNotFoundError(errno.ENOENT, "No such file in the archive") from None

    def _info(self, name: str, times: Mapping[int, int]) -> Any:
        from pyarrow.fs import FileInfo, FileType

        if name in self._members:
            volume, member = self._members[name]
            return FileInfo(name, FileType.File, size=member.num_bytes, mtime_ns=times[id(volume)])
        kind = FileType.Directory if name in self._below else FileType.Unknown if name in self._odd else FileType.NotFound
        return FileInfo(name, kind)

    def _times(self) -> dict[int, int]:
        """Of change, by volume: as they are now."""
        return {id(volume): volume.stamp()[1] for volume in self._volumes.values()}

    def _placed(self, folder: str, name: str) -> str:
        """The full name, which all folders above it know of now."""
        path = posixpath.join(folder, name) if name else folder
        above, inner = posixpath.dirname(path), path
        while inner and inner != above:
            known = self._below.setdefault(above, set())
            if (last := posixpath.basename(inner)) in known:
                break
            known.add(last)
            inner, above = above, posixpath.dirname(above)
        return path


def _plain(name: str) -> str:
    return name.strip("/")
