"""A folder for each class, with or without folders train, val and test above them; or pictures whose names, or texts beside, say it.

The class is the first folder, at any depth below, or the first few. What lies there and is not used (hidden files, names that no picture
has, pictures beside the class folders) is set aside; a class that holds files and gives no picture is refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_folder
from visiontune.data.readers.class_folders import ClassFolders
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.folder_layout import Layout, find_layout
from visiontune.data.readers.labels_beside import labels_beside
from visiontune.data.readers.labels_in_names import LabelsInNames
from visiontune.data.readers.listing import note_odd, pictures_in
from visiontune.data.readers.picture_files import file_source
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError
from visiontune.spec.declarations.label_pattern import LABEL_PATTERN
from visiontune.spec.tables.several_labels import MANY, ONE

FOLDER, NAME, TEXT = "folder", "name", "text"


def folder(
    *,
    path: str,
    class_depth: int | str | None = None,
    label_from: str = FOLDER,
    label_pattern: str | None = None,
    labels: str = ONE,
    exclude: Sequence[str] = (),
) -> Source:
    """List the folder, read no picture. Raises UserError for one without pictures or with classes that are not plain."""
    _refuse_ignored(class_depth, label_from, label_pattern, labels)
    excluded = Excluded(open_folder(path, "data.path"), exclude)
    root, is_flat, has_many = excluded.root, label_from != FOLDER, labels == MANY
    set_aside: list[SetAside] = []
    layout = find_layout(root, is_flat=is_flat, is_depth_given=class_depth is not None)
    _set_beside_aside(root, layout, set_aside)
    if label_from == TEXT:
        parts, said = labels_beside(root, layout.parts, set_aside, has_many=has_many)
    else:
        is_named, pattern = label_from == NAME, label_pattern or LABEL_PATTERN
        reader = LabelsInNames(root, pattern, set_aside) if is_named else ClassFolders(root, class_depth or 1, set_aside)
        parts = {part: reader.items(part, top) for part, top in layout.parts.items()}
        said = [*reader.notes()]
    notes = [*layout.notes, *excluded.notes(), *said]
    if not any(parts.values()) and not set_aside:
        raise UserError(Problem("", 0, "data.path", f"must hold a folder of pictures for each class, but {root.shown} is empty"))
    return file_source("folder", root, parts, set_aside, notes=notes, has_many=has_many)


def _refuse_ignored(class_depth: int | str | None, label_from: str, label_pattern: str | None, labels: str) -> None:
    """Raise UserError for what says how to read a class from where it isn't read, and for several where only one can stand."""
    if label_from != FOLDER and class_depth is not None:
        where = f"is for classes that are folders, but label_from: {label_from} takes them from files"
        raise UserError(Problem("", 0, "data.class_depth", where))
    if label_from != NAME and label_pattern is not None:
        taken = "folders" if label_from == FOLDER else "texts"
        raise UserError(Problem("", 0, "data.label_pattern", f"is for label_from: name, but classes are taken from {taken}"))
    if labels == MANY and label_from != TEXT:
        rule = f"many are read from a text beside each picture (label_from: {TEXT}: a.jpg and a.txt, a class in each line) or from a table"
        told = "a folder" if label_from == FOLDER else "a file's name"
        raise UserError(Problem("", 0, "data.labels", f"{rule} (source: manifest), but {told} says one class; nearest is {ONE}"))


def _set_beside_aside(root: Root, layout: Layout, set_aside: list[SetAside]) -> None:
    """What lies in the folders above those of the parts."""
    for above in layout.above:
        found = root.scan(above)
        note_odd(above, found.odd, found.folders, root, set_aside)
        reason = "has no label: it lies beside the folders of the parts"
        names = pictures_in(above, found.files, root, set_aside)
        set_aside += [SetAside(root.show(posixpath.join(above, name)), reason, is_bad=False) for name in names]
