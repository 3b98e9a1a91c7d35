"""Files on this machine or on any file system of pyarrow (s3://, gs://, file://): found, listed, read. Names are relative, with "/".

Folders are listed by `os.scandir`, without a call for each file, so that a million of them are found in seconds.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from visiontune.data.picture.decode import BadPicture
from visiontune.errors import Problem, UserError, first_line, nearest

MAX_FILE_BYTES = 2**31
_MOST_READ = 64 << 20
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Folder:
    """One folder's names, sorted. `odd` are names with the reason why nothing can be read there."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    odd: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Root:
    """A folder; `path` is absolute, `shown` is as the user wrote it without credentials; `filesystem` is None for local ones."""

    path: str
    shown: str
    filesystem: Any = None

    def read(self, name: str) -> bytes:
        """The whole file. Raises BadPicture where there is none to be read, UserError where disk or network fail."""
        try:
            if self.filesystem is not None:
                with self.filesystem.open_input_file(self._at(name)) as remote:
                    self._refuse_long(remote.size())
                    return bytes(remote.read())
            return self._read(self._at(name))
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
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

    def open(self, name: str) -> Any:
        """For reading, as pyarrow's file. Raises OSError."""
        import pyarrow as pa

        return pa.OSFile(self._at(name)) if self.filesystem is None else self.filesystem.open_input_file(self._at(name))

    def scan(self, folder: str = "") -> Folder:
        """What lies in that folder, links followed. Raises UserError where it can't be listed."""
        try:
            found = self._scan_remote(folder) if self.filesystem is not None else self._scan(folder)
        except OSError as error:
            raise UserError(Problem(self.show(folder), 0, "", f"cannot be listed ({error.strerror or first_line(error)})")) from error
        return Folder(sorted(found.files), sorted(found.folders), sorted(found.odd))

    def walk(self, folder: str = "") -> Iterator[tuple[str, Folder]]:
        """(name, content) of the folder and of all below it that are not hidden. Raises UserError for links in a circle."""
        waiting = [(folder, self._identities(folder))]
        while waiting:
            name, above = waiting.pop()
            found = self.scan(name)
            yield name, found
            for inner in reversed(found.folders):
                if not is_hidden(inner):
                    below = posixpath.join(name, inner)
                    waiting.append((below, self._with_identity(below, above)))

    def stamps(self, names: Sequence[str]) -> Iterator[str]:
        """Size and times of change of each file, and which one it is on a local disk; -1 for one that is gone.

        The time of the last change to the file itself can't be set back, as archives do with that of its content.
        """
        if self.filesystem is not None:
            for info in self.filesystem.get_file_info([self._at(name) for name in names]):
                yield f"{info.size} {info.mtime_ns};"
            return
        for name in names:
            try:
                status = os.stat(self._at(name))  # noqa: PTH116  as above
                yield f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino};"
            except OSError:
                yield "-1;"

    def show(self, name: str) -> str:
        """Where it lies, printable whatever bytes its name has."""
        return printable(posixpath.join(self.shown, name) if name else self.shown)

    def _at(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}" if name else self.path

    def _scan(self, folder: str) -> Folder:
        found = Folder()
        with os.scandir(self._at(folder)) as entries:
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

    def _scan_remote(self, folder: str) -> Folder:
        from pyarrow.fs import FileSelector, FileType

        found = Folder()
        for info in self.filesystem.get_file_info(FileSelector(self._at(folder))):
            if info.base_name:  # some stores keep an empty file in place of a folder
                (found.folders if info.type == FileType.Directory else found.files).append(info.base_name)
        return found

    def _identities(self, folder: str) -> tuple[tuple[int, int], ...]:
        """Of the folder and all that it lies in, also above the root: a link to any of them would not end."""
        if self.filesystem is not None:
            return ()
        path = Path(self._at(folder))
        return tuple((status.st_dev, status.st_ino) for status in (one.stat() for one in (*path.parents, path)))

    def _with_identity(self, folder: str, above: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """The folders above and this one. Raises UserError where it is one of them."""
        if self.filesystem is not None:
            return ()
        status = Path(self._at(folder)).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            raise UserError(
                Problem(self.show(folder), 0, "", "links must not run in a circle, but this one leads to a folder that it lies in")
            )
        return (*above, identity)

    def _refuse_long(self, num_bytes: int) -> None:
        if num_bytes > MAX_FILE_BYTES:
            raise BadPicture(f"has {num_bytes:,} bytes, more than {MAX_FILE_BYTES:,}")


def is_uri(text: str) -> bool:
    """Rather than a path."""
    return _URI.match(text) is not None


def open_root(text: str, where: str) -> Root:
    """A path or URI, whether anything lies there or not. Raises UserError for a URI that nothing opens."""
    if not is_uri(text):
        return Root(os.path.abspath(os.path.expanduser(text)), text.rstrip("/") or "/")  # noqa: PTH100, PTH111  also for odd bytes
    from pyarrow.fs import FileSystem, LocalFileSystem

    # Keys of S3 may stand in a URI.
    shown = re.sub(r"(?<=://)[^/@]*@", "", text).partition("?")[0].rstrip("/")
    try:
        filesystem, path = FileSystem.from_uri(text)
    except (OSError, ValueError) as error:
        rule = f"must be a path or a URI that pyarrow opens (file://, s3://, gs://), but {shown} is not: {first_line(error)}"
        raise UserError(Problem("", 0, where, rule)) from error
    return Root(path.rstrip("/") or "/", shown, None if isinstance(filesystem, LocalFileSystem) else filesystem)


def open_folder(text: str, where: str) -> Root:
    """The folder at a path or URI. Raises UserError, with the nearest name, where there is none."""
    root = open_root(text, where)
    kind = _kind(root)
    if kind == "folder":
        return root
    if kind == "file":
        raise UserError(Problem("", 0, where, f"must be a folder, but {root.shown} is a file"))
    raise UserError(Problem("", 0, where, f"must be a folder, but there is no {root.shown}{_beside(root)}"))


def open_file(text: str, where: str) -> tuple[Root, str]:
    """The folder of the file at a path or URI, and its name there. Raises UserError, with the nearest name, where there is none."""
    root = open_root(text, where)
    kind = _kind(root)
    if kind == "folder":
        raise UserError(Problem("", 0, where, f"must be a file, but {root.shown} is a folder"))
    if kind is None:
        raise UserError(Problem("", 0, where, f"must be a file, but there is no {root.shown}{_beside(root)}"))
    parent, name = posixpath.split(root.path)
    return Root(parent, posixpath.dirname(root.shown) or ".", root.filesystem), name


def open_files(text: str, where: str, suffix: str) -> tuple[Root, list[str]]:
    """A file; or of a folder all files with that suffix; or what matches a pattern such as `data/train-*.parquet`. Sorted.

    Raises UserError, with the nearest name, where there is none.
    """
    root = open_root(text, where)
    kind = _kind(root)
    pattern = posixpath.basename(root.path)
    if kind == "folder":
        folder, pattern = root, f"*{suffix}"
    elif kind is None and "*" in pattern:
        folder = open_folder(posixpath.dirname(text) or ".", where)
    else:
        folder, name = open_file(text, where)
        return folder, [name]
    names = [name for name in folder.scan().files if fnmatchcase(name, pattern) and not is_hidden(name)]
    if not names:
        beside = _beside(replace(folder, path=f"{folder.path}/{pattern}"))
        raise UserError(Problem("", 0, where, f"must hold files, but in {folder.shown} none is named {pattern}{beside}"))
    return folder, names


def inside(name: str, root: Root) -> str | None:
    """A path out of a manifest or annotation, relative to the root; None where it climbs out. Windows' separators are read too."""
    name = name.strip().replace("\\", "/").removeprefix(f"{root.shown}/")
    if name.startswith("/") and root.filesystem is None:
        name = posixpath.relpath(name, root.path)
    name = posixpath.normpath(name)
    return None if name.startswith(("../", "/")) or name in ("..", ".") or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", name) else name


def printable(name: str) -> str:
    """A name that can be written as UTF-8: bytes of a foreign encoding as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def identity(name: str) -> str:
    """A name that is the same on all systems, however they write composed letters."""
    return name if name.isascii() else unicodedata.normalize("NFC", printable(name))


def is_hidden(name: str) -> bool:
    """Housekeeping of systems and tools."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _kind(root: Root) -> str | None:
    if root.filesystem is None:
        path = Path(root.path)
        return "folder" if path.is_dir() else "file" if path.is_file() else None
    from pyarrow.fs import FileType

    try:
        found = root.filesystem.get_file_info(root.path).type
    except OSError as error:
        raise UserError(Problem(root.shown, 0, "", f"cannot be read ({first_line(error)})")) from error
    return {FileType.Directory: "folder", FileType.File: "file"}.get(found)


def _beside(root: Root) -> str:
    """The tail of a rule: what lies there under a similar name."""
    parent, name = posixpath.split(root.path)
    try:
        found = Root(parent, "", root.filesystem).scan()
    except UserError:
        return ""
    names = [other for other in (*found.folders, *found.files) if not is_hidden(other)]
    said = nearest(name, map(printable, names))
    return f"; {said}" if len(names) <= 10 else f"; {said.partition(';')[0]}" if said.startswith("nearest") else ""
