"""Which files the paths of a table mean: as they stand, or where that is one file only without its suffix or in another case."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from visiontune.data.file_names import identity
from visiontune.data.file_tree import Root
from visiontune.data.open_files import places_inside
from visiontune.data.readers.listing import is_picture
from visiontune.data.source import SetAside
from visiontune.errors import Problem, UserError

_ABSOLUTE = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*:/")


def places(path: str, base: str, root: Root, suffix: str) -> list[str]:
    """The names below `root` that a path may mean as seen from the folder `base` there; none where it climbs out."""
    path = path.strip().replace("\\", "/")
    path = path if path.lower().endswith(suffix.lower()) else path + suffix
    if base and not _ABSOLUTE.match(path):
        path = f"{base}/{path}"
    if ".." in path and not _ABSOLUTE.match(path):
        # One that leaves the root and comes back is inside.
        top = f"/{root.path.lstrip('/')}"
        path = posixpath.relpath(posixpath.join(top, path), top)
    return places_inside(path, root)


def base_of(folder: Root, root: Root) -> str | None:
    """A folder as seen from the root; None where they are on different file systems."""
    if folder.filesystem != root.filesystem:
        return None
    base = posixpath.relpath(f"/{folder.path.lstrip('/')}", f"/{root.path.lstrip('/')}")
    return "" if base == "." else base


def common_root(roots: Sequence[Root]) -> Root:
    """The folder that holds all of these. Raises UserError for several file systems."""
    first = roots[0]
    if any(root.filesystem != first.filesystem for root in roots):
        raise UserError(Problem("", 0, "data.path", "all tables must be on one file system; data.images says where their pictures are"))
    path = posixpath.commonpath([root.path for root in roots])
    are_of_one_kind = len({root.shown.startswith("/") for root in roots}) == 1
    shown = posixpath.commonpath([root.shown for root in roots]) if are_of_one_kind else ""
    levels = len(PurePosixPath(first.path).parts) - len(PurePosixPath(path).parts)
    is_alike = len(PurePosixPath(first.shown).parts) - len(PurePosixPath(shown).parts) == levels
    return first if levels == 0 else Root(path, shown if is_alike and shown else path, first.filesystem)


class Pictures:
    """What lies in the folders that a table names, found under any way of composing letters."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.odd: dict[str, list[SetAside]] = {}
        self._exact: dict[str, str] = {}
        self._loose: dict[str, list[str]] | None = None

    def scan(self, folders: Iterable[str]) -> None:
        """List these folders, each once; one that is not there has no files."""
        for folder in sorted({*folders} - self.odd.keys()):
            self.odd[folder] = []
            try:
                found = self.root.scan(folder)
            except UserError:
                continue  # its rows are set aside one by one
            self.odd[folder] = [SetAside(self.root.show(posixpath.join(folder, name)), reason) for name, reason in found.odd]
            self._exact |= {identity(name): name for name in (posixpath.join(folder, file) for file in found.files)}
            self._loose = None

    def exact(self, name: str) -> str | None:
        return self._exact.get(identity(name))

    def loose(self, name: str) -> list[str]:
        """Pictures that are called so but for case, or for a suffix that the name lacks."""
        if self._loose is None:
            self._loose = {}
            for real in filter(self._is_picture, self._exact.values()):
                for loose in {identity(real).casefold(), posixpath.splitext(identity(real).casefold())[0]}:
                    self._loose.setdefault(loose, []).append(real)
        return self._loose.get(identity(name).casefold(), [])

    def rest(self, used: Iterable[str], folders: Iterable[str]) -> Iterator[SetAside]:
        """Pictures without a row in these folders; files that are none, such as the table, are nobody's loss."""
        used, folders = {*used}, {*folders}
        for folder in sorted(folders):
            yield from self.odd.get(folder, ())
        for name in self._exact.values():
            if name not in used and posixpath.dirname(name) in folders and self._is_picture(name):
                yield SetAside(self.root.show(name), "is a picture without a label: no row names it", is_bad=False)

    def _is_picture(self, name: str) -> bool:
        return is_picture(*posixpath.split(name), self.root, [])
