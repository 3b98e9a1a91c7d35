"""CVAT's XML, "CVAT for images 1.1": one file of images with boxes, outlines, masks, and tags of whole pictures.

Positions are pixels from 0. The subset of an image (in a project's export) is its part. Tracks of "CVAT for video" are not read.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

from visiontune.data.class_names import PARTS, part_of
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_file, open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.annotated import CROP_MARGIN, Annotated, annotated_source, box_of, size_of
from visiontune.data.readers.annotations.outlines import around, around_ellipse, around_turned
from visiontune.data.readers.annotations.picture_finder import Pictures, near_folders
from visiontune.data.readers.annotations.voc import parse
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.item import Box
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError
from visiontune.spec.tables.several_labels import ONE

MAX_CVAT_BYTES = 2**28
_AREAS = ("box", "polygon", "ellipse", "mask")
_OTHERS = ("polyline", "points", "cuboid", "skeleton")


def cvat(
    *,
    annotations: str,
    images: str | None = None,
    use_crops: bool = True,
    crop_margin: float = CROP_MARGIN,
    labels: str = ONE,
    exclude: Sequence[str] = (),
) -> Source:
    """Read the XML file and list the pictures' folder, by default its own. Raises UserError."""
    folder, name = open_file(annotations, "data.annotations")
    excluded = Excluded(folder if images is None else open_folder(images, "data.images"), exclude)
    pictures = Pictures(excluded.root, [], ".xml")
    document = _document(folder, name)
    elements = document.findall("image")
    part_by_image = _parts(elements)
    found: dict[str, list[Annotated]] = {part: [] for part in PARTS}
    is_divided = len({*part_by_image.values()}) > 1
    for element in elements:
        part = part_by_image[element] if is_divided else None
        try:
            one = _annotated(element, folder.show(name), near_folders(folder, name, pictures.root), part, use_crops=use_crops)
        except ValueError as error:
            pictures.set_aside.append(SetAside(f"{folder.show(name)}: {element.get('name')}", str(error)))
        else:
            found[part_by_image[element]].append(one)
    return annotated_source(
        "cvat", pictures, found, use_crops=use_crops, margin=crop_margin, labels=labels, notes=[*excluded.notes(), *_notes(elements)]
    )


def _document(folder: Root, name: str) -> ElementTree.Element:
    where = folder.show(name)
    try:
        document = parse(folder.read(name), MAX_CVAT_BYTES)
    except (BadPicture, ValueError) as error:
        raise UserError(Problem(where, 0, "", f"must be CVAT's XML, but {error}")) from error
    if document.tag != "annotations" or document.find("image") is None:
        hint = "; it has tracks of a video: export it as `CVAT for images 1.1`" if document.find("track") is not None else ""
        raise UserError(Problem(where, 0, "", f"must be CVAT's XML with <image> in <annotations>, but has none{hint}"))
    return document


def _parts(elements: list[ElementTree.Element]) -> Mapping[ElementTree.Element, str]:
    """Of each image, by its subset; all are train where none is of train."""
    parts = {element: part_of(element.get("subset") or "") for element in elements}
    return {element: (part or "train") if "train" in parts.values() else "train" for element, part in parts.items()}


def _annotated(element: ElementTree.Element, where: str, folders: list[str], part: str | None, *, use_crops: bool) -> Annotated:
    """Raises ValueError for an image with a shape that can't be used."""
    written = element.get("name") or ""
    objects = [(_label(shape), _box(shape)) for kind in _AREAS for shape in element.findall(kind)]
    labels = tuple(_label(tag) for tag in element.findall("tag"))
    # Where images are exported too they lie in images/, of a project in images/SUBSET/.
    inner = ("", "images", f"images/{element.get('subset')}")
    near = [posixpath.join(folder, one, written.replace("\\", "/")) for folder in folders for one in inner]
    size = size_of(element.get("width"), element.get("height"))
    return Annotated(f"{where}: {written}", objects if use_crops or not labels else [], near, written, size, labels, part)


def _label(element: ElementTree.Element) -> str:
    label = (element.get("label") or "").strip()
    if not label:
        raise ValueError(f"has a {element.tag} without a label")
    return label


def _box(shape: ElementTree.Element) -> Box:
    try:
        return _around(shape)
    except (TypeError, ValueError, KeyError):
        raise ValueError(f"has a {shape.tag} {_label(shape)!r} whose position is no numbers: {dict(shape.attrib)}") from None


def _around(shape: ElementTree.Element) -> Box:
    value = shape.attrib
    turn = float(value.get("rotation") or 0)
    if shape.tag == "polygon":
        return around((float(x), float(y)) for x, y in (point.split(",") for point in value["points"].split(";")))
    if shape.tag == "mask":
        left, top, width, height = box_of([value[key] for key in ("left", "top", "width", "height")])
        return left, top, left + width, top + height
    if shape.tag == "ellipse":
        box = around_ellipse(*box_of([value[key] for key in ("cx", "cy", "rx", "ry")]))
    else:
        box = box_of([value[key] for key in ("xtl", "ytl", "xbr", "ybr")])
    return around_turned(box, turn, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)) if turn else box


def _notes(elements: list[ElementTree.Element]) -> Iterator[str]:
    """What of the file is not read."""
    left_out = Counter(shape.tag for element in elements for kind in _OTHERS for shape in element.findall(kind))
    if left_out:
        yield f"shapes without an area are not read: {', '.join(f'{num:,} of {tag}' for tag, num in left_out.items())}"
    subsets = Counter(element.get("subset") or "" for element in elements)
    parts = {part for name in subsets if (part := part_of(name))}
    if parts and "train" not in parts:
        yield f"no subset is of train, so all are read as train: {', '.join(sorted(filter(None, subsets)))}"
    elif other := {name: num for name, num in subsets.items() if name and part_of(name) is None}:
        yield f"subsets that are no part are read as train: {', '.join(f'{name} ({num:,})' for name, num in other.items())}"
