"""COCO's JSON: one file with images, categories and annotations whose bbox is (left, top, width, height) from 0."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from visiontune.data.file_tree import Root
from visiontune.data.open_files import inside, open_file, open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.annotated import CROP_MARGIN, Annotated, Pictures, box_of, items_of, size_of
from visiontune.data.readers.item import Box
from visiontune.data.readers.picture_files import file_source
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError, first_line


def coco(*, annotations: str, images: str | None = None, use_crops: bool = True, crop_margin: float = CROP_MARGIN) -> Source:
    """Read the JSON file and list the pictures' folder, by default its own. Raises UserError."""
    folder, name = open_file(annotations, "data.annotations")
    where = folder.show(name)
    root = folder if images is None else open_folder(images, "data.images")
    document = _document(folder, name, where)
    set_aside: list[SetAside] = []
    pictures = Pictures(root, set_aside, ".json")
    try:
        annotated = list(_annotated(document, pictures, where))
    except (KeyError, TypeError, AttributeError) as error:
        rule = f"must be COCO's JSON with images, categories and annotations, but an entry lacks what it should have ({error!r})"
        raise UserError(Problem(where, 0, "", rule)) from error
    items = items_of(annotated, root, set_aside, use_crops=use_crops)
    pictures.finish()
    return file_source(f"coco {use_crops}", root, {"train": items}, set_aside, margin=crop_margin)


def _document(root: Root, name: str, where: str) -> Mapping[str, Any]:
    try:
        document = json.loads(root.read(name))
    except (BadPicture, ValueError, RecursionError) as error:
        raise UserError(Problem(where, 0, "", f"must be COCO's JSON, but cannot be read ({first_line(error)})")) from error
    missing = [key for key in ("images", "categories", "annotations") if not isinstance(document, dict) or key not in document]
    if missing:
        raise UserError(
            Problem(where, 0, "", f"must be COCO's JSON with images, categories and annotations, but lacks {', '.join(missing)}")
        )
    return document  # type: ignore[no-any-return]


def _annotated(document: Mapping[str, Any], pictures: Pictures, where: str) -> Iterator[Annotated]:
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
        _refuse_outside(written, pictures.root, where)
        found = pictures.find([written], posixpath.basename(written))
        if found is None:
            shown = f"is annotated, but there is no such picture in {pictures.root.shown}"
            pictures.set_aside.append(SetAside(f"{where}: {written}", shown))
        else:
            yield Annotated(found, objects[image["id"]], _size(image, where, written))


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
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"has a bbox that is not four numbers: {one.get('bbox')!r}") from None
    return labels[one["category_id"]], (left, top, left + width, top + height)


def _refuse_outside(written: str, root: Root, where: str) -> None:
    if inside(written, root) is None:
        rule = f"pictures must lie inside {root.shown}, but {written!r} does not; data.images names the folder that holds them all"
        raise UserError(Problem(where, 0, "", rule))
