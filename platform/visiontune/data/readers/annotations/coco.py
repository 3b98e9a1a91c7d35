"""COCO's JSON: images, categories and annotations whose bbox is (left, top, width, height) from 0.

One file, or a folder of several: those in folders train, val and test (Roboflow), or named after them (instances_train2017.json), are
the parts.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from visiontune.data.file_tree import Root
from visiontune.data.open_files import inside, kind_at, open_file, open_folder, open_root
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.annotated import CROP_MARGIN, Annotated, annotated_source, box_of, size_of
from visiontune.data.readers.annotations.picture_finder import Pictures, near_folders, part_of_file
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.item import Box
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError, first_line
from visiontune.spec.tables.several_labels import ONE

_KEYS = ("images", "categories", "annotations")


def coco(
    *,
    annotations: str,
    images: str | None = None,
    use_crops: bool = True,
    crop_margin: float = CROP_MARGIN,
    labels: str = ONE,
    exclude: Sequence[str] = (),
) -> Source:
    """Read the JSON files and list the pictures' folder, by default their own. Raises UserError."""
    is_folder = kind_at(open_root(annotations, "data.annotations")) == "folder"
    folder, name = (open_folder(annotations, "data.annotations"), "") if is_folder else open_file(annotations, "data.annotations")
    excluded = Excluded(folder if images is None else open_folder(images, "data.images"), exclude)
    pictures = Pictures(excluded.root, [], ".json")
    if is_folder:
        documents = _documents(excluded.root if images is None else folder, pictures.set_aside)
        parts = pictures.divided({name: part_of_file(name) for name in documents})
    else:
        documents, parts = {name: _document(folder, name)}, {"train": [name]}
    found = {
        part: [one for name in names for one in _read(documents[name], folder, name, pictures, part if is_folder else None)]
        for part, names in parts.items()
    }
    return annotated_source("coco", pictures, found, use_crops=use_crops, margin=crop_margin, labels=labels, notes=[*excluded.notes()])


def _documents(folder: Root, set_aside: list[SetAside]) -> dict[str, Mapping[str, Any]]:
    """All files of COCO's below the folder; where some are called instances, as COCO itself has them, those alone. Raises UserError."""
    names = [posixpath.join(inner, file) for inner, found in folder.walk() for file in found.files if file.lower().endswith(".json")]
    named = [name for name in names if posixpath.basename(name).startswith("instances")]
    documents: dict[str, Mapping[str, Any]] = {}
    for name in names:
        try:
            if named and name not in named:
                raise UserError("is not read beside files that are called instances")
            documents[name] = _document(folder, name)
        except UserError as error:
            set_aside.append(SetAside(folder.show(name), error.problems[0].rule, is_bad=name in named))
    if not documents:
        raise UserError(Problem("", 0, "data.annotations", f"must hold files of COCO's (*.json), but {folder.shown} has none"))
    return documents


def _document(root: Root, name: str) -> Mapping[str, Any]:
    try:
        document = json.loads(root.read(name))
    except (BadPicture, ValueError, RecursionError) as error:
        raise UserError(Problem(root.show(name), 0, "", f"must be COCO's JSON, but cannot be read ({first_line(error)})")) from error
    missing = [key for key in _KEYS if not isinstance(document, dict) or key not in document]
    if missing:
        rule = f"must be COCO's JSON with images, categories and annotations, but lacks {', '.join(missing)}"
        raise UserError(Problem(root.show(name), 0, "", rule))
    return document  # type: ignore[no-any-return]


def _read(document: Mapping[str, Any], folder: Root, name: str, pictures: Pictures, part: str | None) -> list[Annotated]:
    where = folder.show(name)
    try:
        return [*_annotated(document, pictures, where, near_folders(folder, name, pictures.root), part)]
    except (KeyError, TypeError, AttributeError) as error:
        rule = f"must be COCO's JSON with images, categories and annotations, but an entry lacks what it should have ({error!r})"
        raise UserError(Problem(where, 0, "", rule)) from error


def _annotated(
    document: Mapping[str, Any], pictures: Pictures, where: str, folders: Sequence[str], part: str | None
) -> Iterator[Annotated]:
    labels = {one["id"]: str(one["name"]).strip() for one in document["categories"]}
    objects: dict[Any, list[tuple[str, Box]]] = {image["id"]: [] for image in document["images"]}
    for one in document["annotations"]:
        try:
            objects[one["image_id"]].append(_object(one, labels))
        except KeyError:
            reason = f"belongs to no picture of the file: its image_id is {one['image_id']!r}"
            pictures.set_aside.append(SetAside(f"{where}: annotation {one.get('id')!r}", reason))
        except ValueError as error:
            pictures.set_aside.append(SetAside(f"{where}: annotation {one.get('id')!r}", str(error), is_bad=not one.get("iscrowd")))
    for image in document["images"]:
        written = str(image["file_name"])
        near = [posixpath.join(folder, written.replace("\\", "/")) for folder in folders]
        if all(inside(path, pictures.root) is None for path in near):
            rule = f"pictures must lie inside {pictures.root.shown}, but {written!r} does not"
            raise UserError(Problem(where, 0, "", f"{rule}; data.images names the folder that holds them all"))
        yield Annotated(f"{where}: {written}", objects[image["id"]], near, written, _size(image, where, written), part=part)


def _size(image: Mapping[str, Any], where: str, written: str) -> tuple[int, int] | None:
    try:
        return size_of(image.get("width"), image.get("height"))
    except ValueError as error:
        raise UserError(Problem(where, 0, "", f"the entry of {written} {error}")) from None


def _object(one: Mapping[str, Any], labels: Mapping[Any, str]) -> tuple[str, Box]:
    """Raises ValueError for one that is no object."""
    if one.get("iscrowd"):
        raise ValueError("marks a crowd, not one object")
    if one["category_id"] not in labels:
        raise ValueError(f"has category_id {one['category_id']!r}, which categories lacks")
    try:
        left, top, width, height = box_of(one["bbox"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        raise ValueError(f"has a bbox that is not four numbers: {one.get('bbox')!r}") from None
    return labels[one["category_id"]], (left, top, left + width, top + height)
