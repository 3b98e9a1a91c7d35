"""Pictures whose names say their class, such as cat.0.jpg: a regular expression with one group, the class, is searched for in each name."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator

from visiontune.data.file_names import identity, printable
from visiontune.data.file_tree import Root
from visiontune.data.readers.item import Item
from visiontune.data.readers.listing import note_odd, pictures_in
from visiontune.data.source import SetAside
from visiontune.errors import Problem, UserError, plural

_WHERE = "data.label_pattern"
_MAX_SHOWN = 3


class LabelsInNames:
    """`pattern` is searched for in the name of each file, folders left out."""

    def __init__(self, root: Root, pattern: str, set_aside: list[SetAside]) -> None:
        self._root, self._pattern, self._set_aside = root, re.compile(pattern), set_aside
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._folders: Counter[str] = Counter()

    def items(self, part: str, top: str) -> list[Item]:
        """The pictures of one part, in all folders below `top`. Raises UserError where the training pictures are not of two classes."""
        items: list[Item] = []
        unnamed: list[str] = []
        for folder, found in self._root.walk(top):
            note_odd(folder, found.odd, found.folders, self._root, self._set_aside)
            for name in pictures_in(folder, found.files, self._root, self._set_aside):
                label, path = self._label(name), posixpath.join(folder, name)
                if label:
                    items.append(Item(path, label))
                else:
                    unnamed.append(path)
        if part == "train":
            self._count(items, unnamed)
        # Tests often have no labels at all; single names without one among others are pictures that are lost.
        reason = "has no label: data.label_pattern finds none in its name"
        self._set_aside += [SetAside(self._root.show(path), reason, is_bad=bool(items)) for path in unnamed]
        return items

    def notes(self) -> Iterator[str]:
        """What the classes are, each with an example."""
        shown = ", ".join(f"{label!r} in {self._first[label]}" for label, _ in self._counts.most_common(_MAX_SHOWN))
        yield f"{plural(len(self._counts), 'class')} by names of files: {shown}{', ...' if len(self._counts) > _MAX_SHOWN else ''}"
        if len(self._folders) > 1:
            held = ", ".join(f"{folder or '.'} ({num:,})" for folder, num in self._folders.most_common(_MAX_SHOWN))
            more = ", ..." if len(self._folders) > _MAX_SHOWN else ""
            yield f"training pictures are those of {len(self._folders):,} folders: {printable(held)}{more}"

    def _label(self, name: str) -> str:
        found = self._pattern.search(identity(name))
        return (found[1] or "").strip() if found else ""

    def _count(self, items: list[Item], unnamed: list[str]) -> None:
        self._counts.update(item.label for item in items)
        self._folders.update(posixpath.dirname(item.path) for item in items)
        for item in items:
            self._first.setdefault(item.label, posixpath.basename(item.path))
        if len(self._counts) < 2 and (items or unnamed):
            names = [posixpath.basename(path) for path in (*(item.path for item in items), *unnamed)][:_MAX_SHOWN]
            given = ", ".join(f"{self._label(name)!r} of {name}" if self._label(name) else f"nothing of {name}" for name in names)
            rule = f"must find two classes or more in names of files, but {self._pattern.pattern} makes {given}"
            raise UserError(Problem("", 0, _WHERE, rule))
