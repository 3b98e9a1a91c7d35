"""The picture files below a root, and which of them an annotation means."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from visiontune.data.class_names import PARTS, part_of
from visiontune.data.file_names import identity, is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import inside, places_inside
from visiontune.data.readers.listing import is_picture, note_odd
from visiontune.data.source import SetAside


def part_in(names: Iterable[str]) -> str | None:
    """The first of these words that is a part's, as train, test2017 (COCO) and obj_train_data (YOLO of CVAT) are."""
    return next(filter(None, (part_of(name.removeprefix("obj_")) for name in names)), None)


def part_of_file(name: str) -> str | None:
    """The part that a file's folders say, else a word of its own name (instances_train2017.json)."""
    *folders, file = name.split("/")
    return part_in(folders) or part_in(re.split(r"[-_. ]+", posixpath.splitext(file)[0]))


def near_folders(folder: Root, name: str, root: Root) -> list[str]:
    """Where the pictures of the file `name` of `folder` may lie below `root`: beside it, where that is inside, and at the top."""
    beside = posixpath.dirname(f"{folder.path}/{name}")
    is_inside = f"{beside}/".startswith(f"{root.path.rstrip('/')}/")
    return list(dict.fromkeys([*([beside.removeprefix(root.path).strip("/")] if is_inside else []), ""]))


class Pictures:
    """All picture files below a root, by name; those that no annotation means are set aside at the end."""

    def __init__(self, root: Root, set_aside: list[SetAside], suffix: str = "", lists: str = "") -> None:
        """`suffix` is that of annotation files, collected in `annotations`; files below a folder `lists` are collected in `lists`."""
        self.root, self.set_aside = root, set_aside
        self.annotations: list[str] = []
        self.lists: list[str] = []
        self.names: dict[str, str] = {}
        self._used: set[str] = set()
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
        self._folders = {posixpath.dirname(name) for name in self.names}
        self._annotated_beside = {identity(posixpath.splitext(name)[0]) for name in self.annotations}
        self._stems = {identity(posixpath.splitext(posixpath.basename(name))[0]) for name in self.names}
        self._renamed: list[str] = []
        self._undivided: set[str] = set()
        self._by_file: dict[str, list[str]] = {}
        for name in self.names:
            self._by_file.setdefault(posixpath.basename(name), []).append(name)

    def find(self, near: Sequence[str], written: str, part: str | None) -> str | None:
        """The first of the paths `near` that is a picture inside the root, else the only one that is called what is `written`.

        The latter only where annotations are kept apart from pictures (no folder of `near` holds any), where all folders that are
        `written` agree, where it lies in no other part than `part`, and where no annotation of its own lies beside it: or an annotation
        whose picture was deleted would give its label to another picture of that name.
        """
        inner = [identity(path) for written in near for path in places_inside(written, self.root)]
        found = next((path for path in inner if path in self.names), None)
        if found is None and not any(posixpath.dirname(path) in self._folders for path in inner):
            alike = [name for name in self._called(written) if self._may_be(name, part)]
            found = alike[0] if len(alike) == 1 else None
        if found is not None:
            self._used.add(found)
        return self.names.get(found or "")

    def was_renamed(self, annotation: str, written: str) -> bool:
        """Whether the picture that an annotation names is that of another one beside it, and there is one of its own name.

        Then they were renamed together, as numbers are shifted, and what is `written` is of before: it would be a neighbour's label.
        """
        own, other = (identity(posixpath.splitext(name)[0]) for name in (annotation, posixpath.basename(written)))
        other = posixpath.join(posixpath.dirname(own), other)
        if other == own or other not in self._annotated_beside or posixpath.basename(own) not in self._stems:
            return False
        self._renamed.append(f"{self.root.show(annotation)}: {written}")
        return True

    def notes(self) -> Iterator[str]:
        """What was taken for granted."""
        if self._undivided:
            yield f"nothing is of train by its name, so all is read as train, what is of {' and '.join(sorted(self._undivided))} too"
        if self._renamed:
            what = f"{len(self._renamed):,} annotations name the picture of another one, and are read for that of their own name"
            yield f"{what}, such as {self._renamed[0]}"

    def missing(self, written: str) -> str:
        """Why an annotation that `find` found nothing for is set aside."""
        if not written:
            return "is an annotation without a picture: it names none"
        others = [self.root.show(self.names[name]) for name in self._called(posixpath.basename(written.replace("\\", "/")))]
        elsewhere = f"; {others[0]} has that name, but lies elsewhere" if others else ""
        return f"is an annotation without a picture: there is no {written!r} near it{elsewhere}"

    def is_excluded(self, near: Iterable[str]) -> bool:
        """Whether the picture would lie at one of these paths in a file or folder that the user leaves out."""
        leaves_out = self.root.leaves_out
        paths = [path.split("/") for written in near if leaves_out and (path := inside(written, self.root))]
        return any(
            leaves_out("/".join(path[:num]), "file" if num == len(path) else "folder")
            for path in paths
            if leaves_out
            for num in range(1, len(path) + 1)
        )

    def finish(self) -> None:
        """Set aside the pictures that were never found."""
        unused = sorted(name for key, name in self.names.items() if key not in self._used)
        self.set_aside += [SetAside(self.root.show(name), "is a picture without an annotation", is_bad=False) for name in unused]

    def parts(self) -> dict[str, list[str]]:
        """Annotation files by the folder train, val or test in their path; all are train where none is in such a folder."""
        return self.divided({name: part_in(name.split("/")[:-1]) for name in self.annotations})

    def divided(self, part_by_name: dict[str, str | None]) -> dict[str, list[str]]:
        """Names by part; all are train where none is of train, else those without a part are set aside."""
        if "train" not in part_by_name.values():
            self._undivided = {*filter(None, part_by_name.values())}
            return {"train": [*part_by_name]}
        found: dict[str, list[str]] = {part: [] for part in PARTS}
        for name, part in part_by_name.items():
            if part is None:
                self.set_aside.append(SetAside(self.root.show(name), "lies in no folder train, val or test, as others do", is_bad=False))
            else:
                found[part].append(name)
        return found

    def _called(self, written: str) -> list[str]:
        """Pictures whose path ends with what is written, folders and all."""
        tail = identity(posixpath.normpath(written.strip().replace("\\", "/")))
        return [name for name in self._by_file.get(posixpath.basename(tail), []) if f"/{name}".endswith(f"/{tail}")]

    def _may_be(self, name: str, part: str | None) -> bool:
        its_part = part_in(name.split("/")[:-1])
        return (part is None or its_part in (None, part)) and posixpath.splitext(name)[0] not in self._annotated_beside
