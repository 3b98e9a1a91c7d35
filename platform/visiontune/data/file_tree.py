"""Files on this machine, in archives or on any file system of pyarrow (s3://, gs://, file://): found, listed, read.

Names are relative, with "/". Folders are listed by `os.scandir`, without a call for each file, so that a million of them are found in
seconds.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from visiontune.data.archives.archive import Archive
from visiontune.data.archives.member import DamagedMember
from visiontune.data.file_names import is_hidden, printable
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.reads_at_once import AT_ONCE, submit
from visiontune.errors import Problem, UserError, first_line
from visiontune.filesystem.mounts import is_remote

MAX_FILE_BYTES = 2**31
_MOST_READ = 64 << 20
_MAX_SHOWN = 3


@dataclass(frozen=True)
class Listing:
    """The names in one folder, sorted. `odd` are (name, reason why nothing can be read there)."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    odd: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Root:
    """A folder; `path` is absolute, `shown` is as the user wrote it without credentials; `filesystem` is None for local ones.

    Listings are without the files and folders that `leaves_out(name, kind)`, kind "file" or "folder", is true of.
    """

    path: str
    shown: str
    filesystem: Any = None
    leaves_out: Callable[[str, str], bool] | None = None

    @cached_property
    def is_remote(self) -> bool:
        """Whether every call travels: to object storage, or over a mount of the network (NFS, Lustre, FUSE)."""
        if isinstance(self.filesystem, Archive):
            return not self.filesystem.can_fork
        return self.filesystem is not None or is_remote(Path(self.path))

    @property
    def can_fork(self) -> bool:
        """Whether forked processes may read here too."""
        return self.filesystem is None or (isinstance(self.filesystem, Archive) and self.filesystem.can_fork)

    def read(self, name: str) -> bytes:
        """The whole file. Raises BadPicture where none can be read or it has over 2 GiB, UserError where disk or network fail."""
        try:
            if isinstance(self.filesystem, Archive):
                return self.filesystem.read(self.at(name), self._refuse_long)
            if self.filesystem is not None:
                with self.filesystem.open_input_file(self.at(name)) as remote:
                    self._refuse_long(remote.size())
                    return bytes(remote.read())
            return self._read(self.at(name))
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, DamagedMember) as error:
            raise BadPicture(f"cannot be read ({error.strerror or first_line(error)})") from error
        except OSError as error:
            raise UserError(Problem(self.show(name), 0, "", f"cannot be read ({error.strerror or first_line(error)})")) from error

    def _read(self, path: str) -> bytes:
        # Python's file objects cost twice the four calls, which is a third of decoding a small picture.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            num_bytes = os.fstat(handle).st_size
            self._refuse_long(num_bytes)
            content = os.read(handle, num_bytes + 1)
            while more := os.read(handle, _MOST_READ) if len(content) != num_bytes else b"":
                content += more
            return content
        finally:
            os.close(handle)

    def start(self, name: str, num_bytes: int) -> bytes:
        """The first bytes of a file, fewer of a shorter one; none of one that can't be read."""
        try:
            with self.open(name) as file:
                return bytes(file.read(num_bytes))
        except OSError:
            return b""

    def open(self, name: str) -> Any:
        """The file, opened for reading, as pyarrow's object. Raises OSError."""
        import pyarrow as pa

        return pa.OSFile(self.at(name)) if self.filesystem is None else self.filesystem.open_input_file(self.at(name))

    def scan(self, folder: str = "") -> Listing:
        """What lies in that folder, symbolic links followed. Raises UserError where it can't be listed."""
        try:
            found = self._scan_remote(folder) if self.filesystem is not None else self._scan(folder)
        except OSError as error:
            raise UserError(Problem(self.show(folder), 0, "", f"cannot be listed ({error.strerror or first_line(error)})")) from error
        files, folders = self._left(folder, found.files, "file"), self._left(folder, found.folders, "folder")
        odd = [one for one in found.odd if self._left(folder, [one[0]], "file")]
        return Listing(sorted(files), sorted(folders), sorted(odd))

    def walk(self, folder: str = "") -> Iterator[tuple[str, Listing]]:
        """(name, listing) of the folder and of all below it that are not hidden. Raises UserError for symbolic links in a circle."""
        waiting = [(folder, self._identities(folder))]
        started: dict[str, Future[Listing]] = {}
        while waiting:
            if self.is_remote:
                started |= {inner: submit(self.scan, inner) for inner, _ in waiting[-AT_ONCE:] if inner not in started}
            name, above = waiting.pop()
            found = started.pop(name).result() if name in started else self.scan(name)
            yield name, found
            for inner in reversed(found.folders):
                if not is_hidden(inner):
                    below = posixpath.join(name, inner)
                    waiting.append((below, self._with_identity(below, above)))

    def notes(self) -> Iterator[str]:
        """What an archive has that no folder can have: a name of several files."""
        found = self.filesystem.repeated(self.path) if isinstance(self.filesystem, Archive) else []
        if names := [name for name in found if not any(map(is_hidden, name.split("/")))]:
            shown = ", ".join(map(printable, names[:_MAX_SHOWN])) + (", ..." if len(names) > _MAX_SHOWN else "")
            many = f"{len(names):,} {'name stands' if len(names) == 1 else 'names stand'} several times in {self.shown} with other contents"
            yield f"{many}, and the last counts, as when it is unpacked: {shown}"

    def show(self, name: str) -> str:
        """The full name as users see it, printable whatever bytes it has."""
        return printable(posixpath.join(self.shown, name) if name else self.shown)

    def at(self, name: str) -> str:
        """Its path in the file system. Raises FileNotFoundError for a name that no file has."""
        if "\0" in name:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return f"{self.path.rstrip('/')}/{name}" if name else self.path

    def _left(self, folder: str, names: list[str], kind: str) -> list[str]:
        leaves_out = self.leaves_out
        return names if leaves_out is None else [name for name in names if not leaves_out(posixpath.join(folder, name), kind)]

    def _scan(self, folder: str) -> Listing:
        found = Listing()
        with os.scandir(self.at(folder)) as entries:
            for entry in entries:
                try:
                    if entry.is_file():
                        found.files.append(entry.name)
                    elif entry.is_dir():
                        found.folders.append(entry.name)
                    else:
                        found.odd.append((entry.name, "is a link to nothing" if entry.is_symlink() else "is neither a file nor a folder"))
                except OSError as error:  # a link to itself
                    found.odd.append((entry.name, f"cannot be read ({error.strerror or first_line(error)})"))
        return found

    def _scan_remote(self, folder: str) -> Listing:
        from pyarrow.fs import FileSelector, FileType

        found = Listing()
        for info in self.filesystem.get_file_info(FileSelector(self.at(folder))):
            if info.type == FileType.Unknown:
                found.odd.append((info.base_name, "is neither a file nor a folder"))
            elif info.base_name:  # some stores keep an empty file in place of a folder
                (found.folders if info.type == FileType.Directory else found.files).append(info.base_name)
        return found

    def _identities(self, folder: str) -> tuple[tuple[int, int], ...]:
        """(device, inode) of the folder and of all that it lies in, also above the root: a walk into a link to one of them never ends."""
        if self.filesystem is not None:
            return ()
        path = Path(self.at(folder))
        return tuple((status.st_dev, status.st_ino) for status in (one.stat() for one in (*path.parents, path)))

    def _with_identity(self, folder: str, above: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """The folders above and this one. Raises UserError where it is one of them."""
        if self.filesystem is not None:
            return ()
        try:
            status = os.stat(self.at(folder))  # noqa: PTH116  as above
        except OSError as error:  # in a folder that may be listed and not entered
            raise UserError(Problem(self.show(folder), 0, "", f"cannot be read ({error.strerror})")) from error
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            raise UserError(
                Problem(self.show(folder), 0, "", "links must not run in a circle, but this one leads to a folder that it lies in")
            )
        return (*above, identity)

    def _refuse_long(self, num_bytes: int) -> None:
        if num_bytes > MAX_FILE_BYTES:
            raise BadPicture(f"has {num_bytes:,} bytes, more than {MAX_FILE_BYTES:,}")
