"""Label Studio's JSON and JSON-MIN: tasks with boxes and outlines, in percent, and choices for whole pictures.

A picture's address is the server's. Uploaded ones are looked for by their file's name, also without the eight digits that the server put
before it where that is still one picture's only.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_file, open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.annotated import CROP_MARGIN, Annotated, annotated_source, size_of
from visiontune.data.readers.annotations.label_studio_tasks import (
    Json,
    Tasks,
    address_of,
    areas_of,
    choices_of,
    labels_of,
    path_of,
    tasks_of,
)
from visiontune.data.readers.annotations.outlines import around, around_ellipse, around_turned
from visiontune.data.readers.annotations.picture_finder import Pictures, near_folders
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.item import Box, Shares
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError, first_line, nearest
from visiontune.spec.tables.several_labels import ONE

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")


def label_studio(
    *,
    annotations: str,
    images: str | None = None,
    control: str | None = None,
    use_crops: bool = True,
    crop_margin: float = CROP_MARGIN,
    labels: str = ONE,
    exclude: Sequence[str] = (),
) -> Source:
    """Read the JSON file and list the pictures' folder, by default its own. Raises UserError."""
    folder, name = open_file(annotations, "data.annotations")
    excluded = Excluded(folder if images is None else open_folder(images, "data.images"), exclude)
    pictures = Pictures(excluded.root, [], ".json")
    where, document = folder.show(name), _document(folder, name)
    try:
        tasks = tasks_of(document)
        if tasks is None:
            raise UserError(Problem(where, 0, "", "must be Label Studio's JSON or JSON-MIN: a list of tasks with pictures"))
        _refuse_control(tasks, control, where, use_crops=use_crops)
        found = list(_annotated(tasks, pictures, control, where, near_folders(folder, name, pictures.root), use_crops=use_crops))
    except (KeyError, TypeError, AttributeError) as error:
        rule = f"must be Label Studio's JSON or JSON-MIN, but a task lacks what it should have ({error!r})"
        raise UserError(Problem(where, 0, "", rule)) from error
    parts, notes = {"train": found}, [*excluded.notes(), *_notes(tasks)]
    return annotated_source("label_studio", pictures, parts, use_crops=use_crops, margin=crop_margin, labels=labels, notes=notes)


def _document(root: Root, name: str) -> Any:
    try:
        return json.loads(root.read(name))
    except (BadPicture, ValueError, RecursionError) as error:
        raise UserError(
            Problem(root.show(name), 0, "", f"must be Label Studio's JSON, but cannot be read ({first_line(error)})")
        ) from error


def _refuse_control(tasks: Tasks, control: str | None, where: str, *, use_crops: bool) -> None:
    """Raise UserError for a control that has no labels, and where several have choices and none is said."""
    wanted = areas_of if use_crops else lambda results: [one for one in results if choices_of([one]) or areas_of([one])]
    names = sorted({str(one.get("from_name")) for _, given in tasks for results in given for one in wanted(results)})
    if control is not None and control not in names:
        raise UserError(
            Problem(where, 0, "data.control", f"must be a control that gave labels, but {control!r} gave none; {nearest(control, names)}")
        )
    if control is None and not use_crops and len(names) > 1:
        rule = f"must say which control gives the label where several do: {', '.join(names)}"
        raise UserError(Problem(where, 0, "data.control", rule))


def _annotated(
    tasks: Tasks, pictures: Pictures, control: str | None, file: str, folders: Sequence[str], *, use_crops: bool
) -> Iterator[Annotated]:
    files = Counter(_plain_file(address_of(task)) for task, _ in tasks)
    for task, given in tasks:
        address = address_of(task)
        near = list(_near(address, folders, pictures.root, is_plain_unique=files[_plain_file(address)] == 1))
        where = f"{file}: {address or 'a task'}"
        try:
            yield _of_task(given, control, where, near, path_of(address), use_crops=use_crops)
        except ValueError as error:
            pictures.set_aside.append(SetAside(where, str(error)))


def _of_task(given: list[list[Json]], control: str | None, where: str, near: list[str], path: str, *, use_crops: bool) -> Annotated:
    """Boxes of the first annotator, choices of all. Raises ValueError for a result that can't be used."""
    counted = [[one for one in results if control in (None, one.get("from_name"))] for results in given]
    areas = areas_of(counted[0]) if counted else []
    labels = tuple(choice for results in counted for choice in choices_of(results))
    objects = [_object(one) for one in areas] if use_crops or not labels else []
    sizes = {size_of(one.get("original_width"), one.get("original_height")) for one in areas} - {None}
    return Annotated(where, objects, near, path, sizes.pop() if len(sizes) == 1 else None, labels)


def _object(result: Json) -> tuple[str, Shares]:
    value, labels = result["value"], labels_of(result["value"])
    if len(labels) != 1:
        raise ValueError(f"has one place with {len(labels)} labels ({', '.join(labels)})")
    if result.get("image_rotation"):
        raise ValueError(f"was turned by {result['image_rotation']} degrees while it was annotated, which is not read")
    try:
        left, top, right, bottom = _around(value, result)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        raise ValueError(f"has a place {labels[0]!r} whose position is no numbers") from None
    return labels[0], Shares(left / 100, top / 100, right / 100, bottom / 100)


def _around(value: Json, result: Json) -> Box:
    """In percent of width and height."""
    if "points" in value:
        return around((float(x), float(y)) for x, y in value["points"])
    x, y = float(value["x"]), float(value["y"])
    if "radiusX" in value:
        return around_ellipse(x, y, float(value["radiusX"]), float(value["radiusY"]))
    box = (x, y, x + float(value["width"]), y + float(value["height"]))
    if not value.get("rotation"):
        return box
    # Turned about the upper left corner, in pixels.
    high, wide = float(result["original_height"]), float(result["original_width"])
    left, top, right, bottom = around_turned(
        (x * wide, y * high, box[2] * wide, box[3] * high), float(value["rotation"]), (x * wide, y * high)
    )
    return left / wide, top / high, right / wide, bottom / high


def _plain_file(address: str) -> str:
    file = posixpath.basename(path_of(address))
    match = _UPLOADED.fullmatch(file)
    return match.group(1) if match else file


def _near(address: str, folders: Sequence[str], root: Root, *, is_plain_unique: bool) -> Iterator[str]:
    """Where the picture may lie: at each end of its path that has a folder, or as a file in the folders and their images/."""
    *above, file = path_of(address).split("/")
    for start in range(len(above)):
        yield from (posixpath.join(folder, *above[start:], file) for folder in folders)
    if above and above[-1] == posixpath.basename(root.path):
        yield file
    if not above:
        for one in [file, *([_plain_file(address)] if is_plain_unique else [])]:
            yield from (posixpath.join(folder, inner, one) for folder in folders for inner in ("", "images"))


def _notes(tasks: Tasks) -> list[str]:
    several = sum(len(given) > 1 for _, given in tasks)
    if not several:
        return []
    what = f"of {several:,} tasks with several annotations the places are those of the first, or of the one marked as truth"
    return [f"{what}; choices count where all agree"]
