"""YOLO's text files: a line for each object, its class by number and its box as centre and size, in shares of the picture.

`images/train/x.jpg` has `labels/train/x.txt` (the last folder `images` is `labels`), or x.txt lies beside it. A line of more numbers is the
outline of an object (YOLO-seg, or the corners of a turned box) and counts as the smallest box around it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from visiontune.data.file_names import identity
from visiontune.data.file_tree import Root
from visiontune.data.open_files import kind_at, open_file, open_folder, open_root, places_inside
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.annotated import CROP_MARGIN, Annotated, annotated_source
from visiontune.data.readers.annotations.picture_finder import Pictures, part_in
from visiontune.data.readers.annotations.yolo_files import NAME_LISTS, Description, description_in, end_below, numbers_of, read_yaml
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.item import Shares
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError
from visiontune.filesystem.decoded_text import decoded
from visiontune.spec.tables.several_labels import ONE

_SLACK = 0.01
"""By which boxes may pass the picture's edge: tools round."""


def yolo(*, path: str, use_crops: bool = True, crop_margin: float = CROP_MARGIN, labels: str = ONE, exclude: Sequence[str] = ()) -> Source:
    """Read data.yaml and every text file of labels, no picture. Raises UserError."""
    root, said = _opened(path)
    excluded = Excluded(root, exclude)
    root = excluded.root
    pictures = Pictures(root, [], ".txt")
    lists = [name for name in pictures.annotations if posixpath.basename(name) in NAME_LISTS]
    said = said or description_in(root, [*lists, *root.scan().files])
    if said is None:
        rule = f"must hold data.yaml with `names`, or {NAME_LISTS[0]}: without it nothing says what YOLO's numbers of classes mean"
        raise UserError(Problem(root.shown, 0, "", rule))
    set_aside, notes = pictures.set_aside, [*excluded.notes()]
    set_aside[:] = [one for one in set_aside if one.name != root.show(said.file)]
    by_file = _Labels(pictures, said, {*lists, *_part_lists(pictures, said)})
    parts = _parts(pictures, said, notes)
    found = {part: [*by_file.of(names, part)] for part, names in parts.items()}
    by_file.set_rest_aside()
    return annotated_source("yolo", pictures, found, use_crops=use_crops, margin=crop_margin, labels=labels, notes=notes)


def _opened(path: str) -> tuple[Root, Description | None]:
    """The folder of the pictures, and what describes them where that is a file of its own. Raises UserError."""
    if kind_at(open_root(path, "data.path")) == "folder":
        return open_folder(path, "data.path"), None
    root, name = open_file(path, "data.path")
    said = read_yaml(root, name)
    if said is None:
        raise UserError(Problem(root.show(name), 0, "", "must be YOLO's data.yaml, but has no `names`"))
    base = posixpath.join(posixpath.dirname(path), said.base)
    return (open_folder(base, "data.path") if said.base and kind_at(open_root(base, "data.path")) == "folder" else root), said


class _Labels:
    """The label files by the pictures that they are of."""

    def __init__(self, pictures: Pictures, said: Description, others: set[str]) -> None:
        self._pictures, self._said = pictures, said
        self._by_stem = {identity(posixpath.splitext(name)[0]): name for name in pictures.annotations if name not in others}
        self._used: set[str] = set()

    def of(self, names: Sequence[str], part: str) -> Iterator[Annotated]:
        """What the label files say of these pictures; one that cannot be read is set aside, with its picture."""
        root = self._pictures.root
        for name in names:
            label_file = self._file_of(name)
            if label_file is None:
                continue
            self._used.add(label_file)
            try:
                objects = _objects(root.read(label_file), self._said)
            except (BadPicture, ValueError) as error:
                self._pictures.find([name], "", part)
                self._pictures.set_aside.append(SetAside(root.show(label_file), str(error)))
            else:
                yield Annotated(root.show(label_file), objects, [name], posixpath.basename(name), part=part)

    def set_rest_aside(self) -> None:
        """Label files without a picture; other text files are nobody's loss."""
        root, folders = self._pictures.root, {posixpath.dirname(name) for name in self._used}
        for name in self._by_stem.values():
            if name not in self._used:
                is_label = posixpath.dirname(name) in folders or "labels" in name.split("/")
                reason = "is an annotation without a picture" if is_label else "is no label file: no picture has its name"
                self._pictures.set_aside.append(SetAside(root.show(name), reason, is_bad=is_label))

    def _file_of(self, picture: str) -> str | None:
        stem = identity(posixpath.splitext(picture)[0])
        head, images, tail = f"/{stem}".rpartition("/images/")
        return (self._by_stem.get(f"{head}/labels/{tail}".strip("/")) if images else None) or self._by_stem.get(stem)


def _objects(content: bytes, said: Description) -> list[tuple[str, Shares]]:
    """Raises ValueError for a line that is none of YOLO's."""
    objects = []
    for number, line in enumerate(decoded(content).splitlines(), 1):
        if line.strip():
            try:
                objects.append(_object(numbers_of(line), said))
            except ValueError as error:
                raise ValueError(f"has a line {number} that is none of YOLO's: {error}") from None
    return objects


def _object(numbers: Sequence[float], said: Description) -> tuple[str, Shares]:
    label = said.names.get(int(numbers[0])) if numbers[0].is_integer() else None
    if label is None:
        several = next((name for name in said.names.values() if len(said.names) == 1 and "," in name), "")
        one_a_line = f": a name stands on a line of its own, but {several!r} on one" if several else ""
        raise ValueError(f"{numbers[0]:g} is no class of the {len(said.names)} that {posixpath.basename(said.file)} names{one_a_line}")
    values = numbers[1:5] if said.has_keypoints else numbers[1:]
    if len(values) == 4:
        x, y, width, height = values
        box = Shares(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(values) >= 6 and len(values) % 2 == 0:
        box = Shares(min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    else:
        raise ValueError(f"a class is followed by 4 numbers or by 3 points and more, not by {len(values)} numbers")
    if not all(-_SLACK <= value <= 1 + _SLACK for value in values):
        raise ValueError("positions must be shares of the picture, from 0 to 1")
    return label, box


def _parts(pictures: Pictures, said: Description, notes: list[str]) -> Mapping[str, Sequence[str]]:
    """Pictures by part, as the description says, else by their folders. Raises UserError."""
    root, names = pictures.root, sorted(pictures.names.values())
    if not said.folders.get("train"):
        return pictures.divided({name: part_in(name.split("/")[:-1]) for name in names})
    part_by_name: dict[str, tuple[int, str]] = {}
    for part, written in said.folders.items():
        for one in written:
            members, shown = _members(pictures, one)
            _note(members, part, one, shown, said, root, notes)
            for name in members:
                # The narrower folder or list counts where one holds the other, and the earlier part where they are the same.
                if name not in part_by_name or len(members) < part_by_name[name][0]:
                    part_by_name[name] = (len(members), part)
    found: dict[str, list[str]] = {part: [] for part in said.folders}
    for name, (_, part) in sorted(part_by_name.items()):
        found[part].append(name)
    notes += [
        f"{posixpath.basename(said.file)} names the same pictures for {part} as for another part, which has them"
        for part, written in said.folders.items()
        if written and not found[part] and any(_members(pictures, one)[0] for one in written)
    ]
    for name in names:
        if name not in part_by_name:
            pictures.find([name], "", None)
            pictures.set_aside.append(SetAside(root.show(name), f"is in no part that {posixpath.basename(said.file)} names", is_bad=False))
    return found


def _part_lists(pictures: Pictures, said: Description) -> list[str]:
    """The files that list pictures of a part."""
    written = [one for found in said.folders.values() for one in found if one.endswith(".txt")]
    return [file for one in written if (file := end_below(one, {*pictures.annotations}.__contains__)) is not None]


def _members(pictures: Pictures, written: str) -> tuple[list[str], str]:
    """The pictures in a folder or a list of paths, and where that lies below the root."""
    if written.endswith(".txt"):
        lists = {*pictures.annotations}
        file = end_below(written, lists.__contains__)
        return ([], written) if file is None else (_listed_in(pictures, file), file)
    folder = end_below(written, lambda end: any(name.startswith(f"{end}/") for name in pictures.names.values()))
    if folder is None:
        return [], written
    return [name for name in pictures.names.values() if not folder or name.startswith(f"{folder}/")], folder


def _listed_in(pictures: Pictures, file: str) -> list[str]:
    try:
        lines = decoded(pictures.root.read(file)).split("\n")
    except (BadPicture, UnicodeDecodeError) as error:
        raise UserError(Problem(pictures.root.show(file), 0, "", f"must be a list of pictures, but: {error}")) from error
    known = pictures.names
    found = (end_below(line.strip(), lambda end: identity(end) in known) for line in lines if line.strip())
    return [known[identity(one)] for one in found if one]


def _note(members: Sequence[str], part: str, written: str, shown: str, said: Description, root: Root, notes: list[str]) -> None:
    """Say where a part was found elsewhere than is written, or not at all. Raises UserError for no training pictures."""
    where = f"{posixpath.basename(said.file)} names {part}: {written}"
    if members:
        plain = places_inside(written, root)
        if (plain and shown not in plain) or written.startswith("/"):
            notes.append(f"{where}, which is read as {root.show(shown)}")
    elif part == "train":
        rule = f"must be a folder of pictures, or a list of them, below {root.shown}, but there is none at {written}"
        raise UserError(Problem(root.show(said.file), 0, "train", rule))
    else:
        notes.append(f"{where}, where no picture lies")
