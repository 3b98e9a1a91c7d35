"""LabelMe's JSON: one file for each picture, with shapes; a shape counts as the smallest box around it.

The picture is `imagePath`, beside the file or in it (`imageData`). Where crops are not asked for, the one flag that is set is a label too.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.annotated import CROP_MARGIN, Annotated, annotated_source, size_of
from visiontune.data.readers.annotations.picture_finder import Pictures, part_in
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.item import Box
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError, first_line
from visiontune.spec.tables.several_labels import ONE


def labelme(
    *, path: str, use_crops: bool = True, crop_margin: float = CROP_MARGIN, labels: str = ONE, exclude: Sequence[str] = ()
) -> Source:
    """Read every JSON file, no picture that lies beside one. Raises UserError."""
    excluded = Excluded(open_folder(path, "data.path"), exclude)
    root = excluded.root
    set_aside: list[SetAside] = []
    pictures = Pictures(root, set_aside, ".json")
    if not pictures.annotations:
        raise UserError(Problem("", 0, "data.path", f"must hold LabelMe files (*.json), but {root.shown} has none"))
    parts = {part: _annotated(names, pictures) for part, names in pictures.parts().items()}
    return annotated_source(
        "labelme",
        pictures,
        parts,
        use_crops=use_crops,
        margin=crop_margin,
        labels=labels,
        notes=[*excluded.notes()],
        load=lambda name: _read(root, name),
    )


def _annotated(names: list[str], pictures: Pictures) -> Iterator[Annotated]:
    root = pictures.root
    for name in names:
        try:
            document = _document(root, name)
            objects = [_object(shape) for shape in document["shapes"]]
            size = size_of(document.get("imageWidth"), document.get("imageHeight"))
            flags = sorted(str(flag) for flag, is_set in (document.get("flags") or {}).items() if is_set)
            written = str(document.get("imagePath") or "").replace("\\", "/")
        except (BadPicture, ValueError, TypeError, KeyError, AttributeError, RecursionError, ArithmeticError) as error:
            pictures.set_aside.append(SetAside(root.show(name), _reason(error)))
            continue
        # A file that was moved with its picture still names the old folder, and its picture is the one of its own name.
        stem, suffix = posixpath.splitext(name)[0], posixpath.splitext(written)[1]
        near = [posixpath.join(posixpath.dirname(name), written), f"{stem}{suffix}"] if written else []
        near = near[::-1] if pictures.was_renamed(name, written) else near
        within, part = name if document.get("imageData") else None, part_in(name.split("/")[:-1])
        yield Annotated(root.show(name), objects, near, written, size, flags, part, within)


def _document(root: Root, name: str) -> Mapping[str, Any]:
    document = json.loads(root.read(name))
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        raise ValueError("is no LabelMe file: it has no list of shapes")
    return document


def _object(shape: Mapping[str, Any]) -> tuple[str, Box]:
    label, points = str(shape["label"]).strip(), [(float(x), float(y)) for x, y in shape["points"]]
    if not label or not points:
        raise ValueError("has a shape without a label or without points")
    if shape.get("shape_type") == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return label, (x - radius, y - radius, x + radius, y + radius)
    columns, rows = zip(*points, strict=True)
    return label, (min(columns), min(rows), max(columns), max(rows))


def _read(root: Root, name: str) -> bytes:
    """A picture's file, or the picture in an annotation."""
    if not name.lower().endswith(".json"):
        return root.read(name)
    try:
        return base64.b64decode(_document(root, name)["imageData"])
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise BadPicture(f"cannot be read ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is no JSON ({first_line(error)})"
    return first_line(error) if isinstance(error, BadPicture | ValueError) else f"is no LabelMe file ({error!r})"
