"""A folder for each class, with or without folders train, val and test above them; the class is the first folder, at any depth below.

What lies there and is not used (hidden files, names that no picture has, pictures beside the class folders) is set aside.
"""

from __future__ import annotations

import posixpath

from visiontune.data.class_names import part_of
from visiontune.data.file_names import is_hidden, printable
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_folder
from visiontune.data.readers.item import Item
from visiontune.data.readers.listing import is_picture, note_odd
from visiontune.data.readers.picture_files import file_source
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError


def folder(*, path: str) -> Source:
    """List the folder, read no picture. Raises UserError for one without pictures, and for links in a circle."""
    root = open_folder(path, "data.path")
    set_aside: list[SetAside] = []
    folders = part_folders(root)
    parts = {part: _classes(root, folder, set_aside) for part, folder in folders.items()}
    if folders["train"]:
        _beside(root, "", "has no label: it lies beside the folders of the parts", set_aside)
    if not any(parts.values()) and not set_aside:
        raise UserError(Problem("", 0, "data.path", f"must hold a folder of pictures for each class, but {root.shown} is empty"))
    return file_source("folder", root, parts, set_aside)


def part_folders(root: Root) -> dict[str, str]:
    """The folder of each part; {"train": ""} where the root is not divided. Raises UserError where only some folders are parts."""
    names = [name for name in root.scan().folders if not is_hidden(name)]
    # A class may be called "train"; its folder holds pictures, that of a part holds folders.
    found = [name for name in names if part_of(name) and root.scan(name).folders]
    if not any(part_of(name) == "train" for name in found):
        return {"train": ""}
    others = [name for name in names if part_of(name) is None]
    if others:
        rule = f"must hold either parts (train, val, test) or classes, but {found[0]!r} is a part and {others[0]!r} is not"
        raise UserError(Problem(root.shown, 0, "", rule))
    # A test without labels still is a part, of which nothing can be used.
    folders: dict[str, str] = {}
    for name in names:
        part = part_of(name)
        assert part is not None
        if part in folders:
            raise UserError(Problem(root.shown, 0, "", f"must hold one folder for {part}, but has {folders[part]!r} and {name!r}"))
        folders[part] = name
    return folders


def _classes(root: Root, folder: str, set_aside: list[SetAside]) -> list[Item]:
    """The pictures of one part."""
    _beside(root, folder, "has no label: it lies beside the folders of the classes", set_aside)
    items: list[Item] = []
    for label in root.scan(folder).folders:
        if is_hidden(label):
            continue
        top, before = posixpath.join(folder, label), len(items)
        for inner, found in root.walk(top):
            note_odd(inner, found.odd, found.folders, root, set_aside)
            items += [Item(f"{inner}/{name}", printable(label)) for name in found.files if is_picture(inner, name, root, set_aside)]
        if len(items) == before:
            set_aside.append(SetAside(root.show(top), "is a class without pictures", is_bad=False))
    return items


def _beside(root: Root, folder: str, reason: str, set_aside: list[SetAside]) -> None:
    found = root.scan(folder)
    note_odd(folder, found.odd, found.folders, root, set_aside)
    for name in found.files:
        if is_picture(folder, name, root, set_aside):
            set_aside.append(SetAside(root.show(posixpath.join(folder, name)), reason, is_bad=False))
