"""Pictures by the folders that they lie in: a class is the first folder below a part, the first few, or the whole way down."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from visiontune.data.file_names import as_utf8, identity, is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.readers.exclude import exclude_of
from visiontune.data.readers.foreign_formats import foreign_of
from visiontune.data.readers.item import Item
from visiontune.data.readers.listing import note_odd, pictures_in
from visiontune.data.source import SetAside
from visiontune.errors import Problem, UserError, plural

LEAF = "leaf"
_MAX_SHOWN = 5


class ClassFolders:
    """`depth` is the number of folders that make a class, joined by "/"; or "leaf", for all of them."""

    def __init__(self, root: Root, depth: int | str, set_aside: list[SetAside]) -> None:
        self._root, self._depth, self._set_aside = root, depth, set_aside
        self._levels: Counter[int] = Counter()
        self._classes: defaultdict[int | str, set[str]] = defaultdict(set)
        self._direct: set[str] = set()

    def items(self, part: str, top: str) -> list[Item]:
        """The pictures of one part, below the folder `top`. Raises UserError for classes whose files are no pictures."""
        items: list[Item] = []
        files: dict[str, Counter[str]] = {}
        has_classes = bool(self._root.scan(top).folders)
        for folder, found in self._root.walk(top):
            path = posixpath.relpath(folder, top or ".").split("/") if folder != top else []
            note_odd(folder, found.odd, found.folders, self._root, self._set_aside)
            pictures = pictures_in(folder, found.files, self._root, self._set_aside)
            if (label := self._label(path)) is not None:
                items += [Item(f"{folder}/{name}", label) for name in pictures]
            else:
                reason = self._reason(path, part, has_classes)
                names = (posixpath.join(folder, name) for name in pictures)
                self._set_aside += [SetAside(self._root.show(name), reason, is_bad=False) for name in names]
            suffixes = _suffixes(found.files, pictures)
            for level in self._class_levels(path):
                files.setdefault("/".join(path[:level]), Counter()).update(suffixes)
            if path and pictures and part == "train":
                self._count(path, len(pictures))
        self._refuse_without_pictures(top, files)
        return items

    def notes(self) -> Iterator[str]:
        """How deep pictures lie, where another depth would make other classes."""
        deepest = max(self._levels, default=1)
        if len(self._levels) < 2 and self._depth in (deepest, LEAF):
            return
        lie = ", ".join(f"{level} folder{'s'[: level > 1]} deep ({num:,})" for level, num in sorted(self._levels.items()))
        others = [level for level in (*range(1, min(deepest, 3) + 1), LEAF) if level != self._depth and self._classes[level]]
        ways = ", ".join(f"class_depth: {level} makes {len(self._classes[level]):,}" for level in others)
        how = {1: "the first folder", LEAF: "the whole path of folders"}.get(self._depth, f"the first {self._depth} folders")
        yield f"{plural(len(self._classes[self._depth]), 'class')} by {how}, but training pictures lie {lie}: {ways}{self._mixed()}"

    def _mixed(self) -> str:
        """The tail of a note: classes that hold only folders, where others hold pictures."""
        names = sorted(self._classes[self._depth] - self._direct)
        if not names or not self._direct or self._depth == LEAF:
            return ""
        shown = ", ".join(repr(as_utf8(name)) for name in names[:_MAX_SHOWN]) + ", ..." * (len(names) > _MAX_SHOWN)
        return f"; {plural(len(names), 'class')} hold pictures in folders only: {shown}"

    def _label(self, path: Sequence[str]) -> str | None:
        """The class of a folder; None above those of classes."""
        if not path or (self._depth != LEAF and len(path) < int(self._depth)):
            return None
        return as_utf8("/".join(path if self._depth == LEAF else path[: int(self._depth)]))

    def _class_levels(self, path: Sequence[str]) -> range:
        """Lengths of the beginnings of a path that are classes or hold some."""
        return range(1, 1 + (len(path) if self._depth == LEAF else min(len(path), int(self._depth))))

    def _reason(self, path: Sequence[str], part: str, has_classes: bool) -> str:
        if not has_classes:
            ways = "label_from: name takes labels from names of files, label_from: text from a.txt beside a.jpg"
            hint = f" ({ways})" if part == "train" else ""
            return f"has no label: there are no folders of classes{hint}"
        return f"has no label: it lies {'above' if path else 'beside'} the folders of the classes"

    def _count(self, path: Sequence[str], num: int) -> None:
        self._levels[len(path)] += num
        self._classes[LEAF].add("/".join(path))
        self._direct |= {"/".join(path)} if len(path) == self._depth else set()
        for level in range(1, min(len(path), 9) + 1):
            self._classes[level].add("/".join(path[:level]))

    def _refuse_without_pictures(self, top: str, files: dict[str, Counter[str]]) -> None:
        empty = [name for name, counts in files.items() if not counts[""] and (files.get(posixpath.dirname(name)) or {"": 1})[""]]
        self._set_aside += [
            SetAside(self._root.show(posixpath.join(top, name)), "is a class without pictures", is_bad=False)
            for name in empty
            if not files[name].total()
        ]
        problems = [self._problem(posixpath.join(top, name), files[name]) for name in empty if files[name].total()]
        if problems:
            raise UserError(*problems[:_MAX_SHOWN])

    def _problem(self, name: str, counts: Counter[str]) -> Problem:
        held = ", ".join(f"{num:,} {suffix}" for suffix, num in counts.most_common(_MAX_SHOWN))
        hint = next((f"; {foreign.way}" for suffix, _ in counts.most_common() if (foreign := foreign_of(suffix))), "")
        rule = f"the folder of a class must hold pictures that can be read, but this one holds {held}{hint}"
        return Problem(self._root.show(name), 0, "", f"{rule}; {exclude_of([name])} leaves it out")


def _suffixes(files: Sequence[str], pictures: Sequence[str]) -> Counter[str]:
    """Number of files by suffix, hidden ones left out; that of pictures under ""."""
    known = {*pictures}
    others = (identity(name) for name in files if name not in known and not is_hidden(name))
    counts = Counter(posixpath.splitext(name)[1].lower() or "files without a suffix" for name in others)
    return counts + Counter({"": len(pictures)})
