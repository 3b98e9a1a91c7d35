"""Annotated objects to items: a crop for each object, or one label for each picture. What VOC, COCO and LabelMe readers share."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from visiontune.data.class_names import PARTS, part_of
from visiontune.data.file_names import identity, is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import inside
from visiontune.data.readers.item import Box, Item
from visiontune.data.readers.listing import is_picture, note_odd
from visiontune.data.source import SetAside

CROP_MARGIN = 0.1
"""Share of a box's longer side that is kept around it."""

_MAX_SHOWN = 5


@dataclass(frozen=True)
class Annotated:
    """A picture's annotation. `size` is the (width, height) that it claims; `objects` are names with their boxes."""

    path: str
    objects: Sequence[tuple[str, Box]]
    size: tuple[int, int] | None = None
    label: str | None = None
    """The label of the whole picture, where the annotation has one."""


def items_of(annotated: Iterable[Annotated], root: Root, set_aside: list[SetAside], *, use_crops: bool) -> list[Item]:
    """One item for each object (`use_crops`) or for each picture whose objects are all of one class; others are set aside."""
    items: list[Item] = []
    seen: set[str] = set()
    for one in annotated:
        if one.path in seen:
            set_aside.append(SetAside(root.show(one.path), "is annotated twice, and the first counts"))
            continue
        seen.add(one.path)
        labels = sorted({label for label, _ in one.objects}) or ([one.label] if one.label and not use_crops else [])
        if not labels:
            set_aside.append(SetAside(root.show(one.path), "has no annotated object", is_bad=False))
        elif use_crops:
            items += [Item(one.path, label, None, box, number, one.size) for number, (label, box) in enumerate(one.objects)]
        elif len(labels) == 1:
            items.append(Item(one.path, labels[0]))
        else:
            shown = ", ".join(labels[:_MAX_SHOWN]) + (", ..." if len(labels) > _MAX_SHOWN else "")
            reason = f"has objects of {len(labels)} classes ({shown}), so no label; data.use_crops takes them apart"
            set_aside.append(SetAside(root.show(one.path), reason, is_bad=False))
    return items


class Pictures:
    """All picture files below a root, by name; those that no annotation names are set aside at the end."""

    def __init__(self, root: Root, set_aside: list[SetAside], suffix: str = "", lists: str = "") -> None:
        """`suffix` is that of annotation files, collected in `annotations`; files below a folder `lists` are collected in `lists`."""
        self.root, self.set_aside = root, set_aside
        self.annotations: list[str] = []
        self.lists: list[str] = []
        self.names: dict[str, str] = {}
        self.used: set[str] = set()
        for folder, found in root.walk():
            note_odd(folder, found.odd, found.folders, root, set_aside)
            is_list = bool(lists) and lists in folder.split("/")
            for file in found.files:
                name = posixpath.join(folder, file)
                if is_list:
                    self.lists.append(name)
                elif suffix and file.lower().endswith(suffix) and not is_hidden(file):
                    self.annotations.append(name)
                elif is_picture(folder, file, root, set_aside):
                    self.names[identity(name)] = name
        self.by_file: dict[str, list[str]] = {}
        for name in self.names.values():
            self.by_file.setdefault(identity(posixpath.basename(name)), []).append(name)

    def find(self, paths: Iterable[str], file: str) -> str | None:
        """The first of these paths that is a picture inside the root, else the only one anywhere of that name, if there is one."""
        inner = (inside(path, self.root) for path in paths)
        found = next((self.names[identity(path)] for path in inner if path and identity(path) in self.names), None)
        if found is None:
            alike = self.by_file.get(identity(posixpath.basename(file.replace("\\", "/"))), [])
            found = alike[0] if len(alike) == 1 else None
        if found is not None:
            self.used.add(found)
        return found

    def finish(self) -> None:
        """Set aside the pictures that were never found."""
        unused = [name for name in self.names.values() if name not in self.used]
        self.set_aside += [SetAside(self.root.show(name), "is a picture without an annotation", is_bad=False) for name in sorted(unused)]

    def parts(self) -> dict[str, list[str]]:
        """Annotation files by the folder train, val or test in their path; all are train where none is in such a folder."""
        part_by_name = {name: next(filter(None, map(part_of, name.split("/")[:-1])), None) for name in self.annotations}
        if "train" not in part_by_name.values():
            return {"train": self.annotations}
        found: dict[str, list[str]] = {part: [] for part in PARTS}
        for name, part in part_by_name.items():
            if part is None:
                self.set_aside.append(SetAside(self.root.show(name), "lies in no folder train, val or test, as others do", is_bad=False))
            else:
                found[part].append(name)
        return found


def box_of(values: Sequence[Any]) -> Box:
    """Four numbers as a box. Raises ValueError or TypeError for anything else."""
    left, top, right, bottom = (float(value) for value in values)
    return left, top, right, bottom


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """(width, height); None where an annotation lacks them, or has 0 as some tools write. Raises ValueError for no number."""
    try:
        size = int(float(width or 0)), int(float(height or 0))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"has a width and height that are no numbers: {width!r}, {height!r}") from None
    return size if min(size) > 0 else None
