"""Which tool wrote an annotation file, by its content, and of how many pictures it tells."""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from typing import Any

from visiontune.data.file_tree import Root
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.cvat import MAX_CVAT_BYTES
from visiontune.data.readers.annotations.label_studio_tasks import areas_of, choices_of, tasks_of
from visiontune.data.readers.annotations.voc import parse
from visiontune.data.readers.annotations.yolo_files import NAME_LISTS, OTHER_MARKS, numbers_of
from visiontune.filesystem.decoded_text import decoded

_SPACED = str.maketrans(dict.fromkeys(OTHER_MARKS, " "))
"""For labels whose numbers are not parted as YOLO's are: its reader says so, file by file."""


@dataclass(frozen=True)
class Document:
    """A file of one `kind` of source. `has_objects` is false where it has labels of whole pictures only."""

    kind: str
    num_annotated: int = 1
    has_objects: bool = True


def document_in(root: Root, name: str) -> Document | None:
    """What an XML or JSON file is; None for what is no annotation."""
    try:
        content = root.read(name)
        return _of_xml(content) if name.lower().endswith(".xml") else _of_json(json.loads(content))
    except (BadPicture, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def is_yolo(root: Root, name: str) -> bool:
    """Whether a text file has lines, all of a class and four numbers or more."""
    if posixpath.basename(name) in NAME_LISTS:
        return False
    try:
        lines = [numbers_of(line.translate(_SPACED)) for line in decoded(root.read(name)).splitlines() if line.strip()]
    except (BadPicture, ValueError):
        return False
    return bool(lines) and all(len(line) >= 5 and line[0].is_integer() for line in lines)


def _of_xml(content: bytes) -> Document | None:
    document = parse(content, MAX_CVAT_BYTES)
    if document.tag == "annotation":
        return Document("voc")
    images = document.findall("image") if document.tag == "annotations" else []
    if not images:
        return None
    tags = [{shape.tag for shape in image} for image in images]
    return Document("cvat", sum(map(bool, tags)), any(found - {"tag"} for found in tags))


def _of_json(document: Any) -> Document | None:
    if isinstance(document, dict):
        if {"images", "annotations", "categories"} <= document.keys():  # captions have no categories
            return Document("coco", len({one["image_id"] for one in document["annotations"]}))
        return Document("labelme") if isinstance(document.get("shapes"), list) else None
    tasks = tasks_of(document)
    if tasks is None:
        return None
    results = [[one for found in given for one in found] for _, given in tasks]
    num = sum(bool(choices_of(found) or areas_of(found)) for found in results)
    return Document("label_studio", num, any(map(areas_of, results)))
