"""Annotated objects to items: a crop for each object, or one label for each picture. What all readers of annotations share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from visiontune.data.class_names import PARTS
from visiontune.data.readers.annotations.picture_finder import Pictures
from visiontune.data.readers.item import Box, Item, Shares, joined
from visiontune.data.readers.picture_files import file_source
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError
from visiontune.spec.tables.several_labels import MANY, ONE

CROP_MARGIN = 0.1
"""Share of a box's longer side that is kept around it."""

_MAX_SHOWN = 5


@dataclass(frozen=True)
class Annotated:
    """A picture's annotation, called `where` in messages. `size` is the (width, height) that it claims, `objects` names with their boxes.

    The picture is the first of `near`, paths below the root, or else what is called as `written`; where neither is found, `within`.
    """

    where: str
    objects: Sequence[tuple[str, Box | Shares]]
    near: Sequence[str]
    written: str
    size: tuple[int, int] | None = None
    labels: Sequence[str] = ()
    """Those of the whole picture, where the annotation has any."""
    part: str | None = None
    """Of which part the annotation's folder or name says that it is."""
    within: str | None = None
    """The annotation's own file, where it holds the picture."""


def annotated_source(
    kind: str,
    pictures: Pictures,
    parts: Mapping[str, Iterable[Annotated]],
    *,
    use_crops: bool,
    margin: float,
    labels: str = ONE,
    load: Callable[[str], bytes] | None = None,
    notes: Sequence[str] = (),
) -> Source:
    """The source of these annotations by part: a crop for each object, or each picture whose objects are all of one class.

    With `labels` many each picture has the classes of its objects. Raises UserError for crops of many, and what `file_source` does.
    """
    if labels == MANY and use_crops:
        rule = "many are those of a whole picture, but use_crops cuts out objects, which have one each; nearest is use_crops: false"
        raise UserError(Problem("", 0, "data.labels", rule))
    set_aside, how = pictures.set_aside, _How(use_crops, labels == MANY)
    taken: dict[str, str] = {}
    items = {part: _items(parts[part], part, taken, pictures, how) for part in PARTS if part in parts}
    pictures.finish()
    # Until crops became squares, the kind was followed by True. An older store of crops is another one, as its pictures are.
    made = f"{kind} squares" if use_crops else f"{kind} False"
    said = [*notes, *pictures.notes(), *_note(items, margin)]
    return file_source(made, pictures.root, items, set_aside, margin=margin, load=load, notes=said, has_many=how.has_many)


class _How(NamedTuple):
    use_crops: bool
    has_many: bool


def _note(items: Mapping[str, Sequence[Item]], margin: float) -> list[str]:
    """What is made of the pictures, where it is not they themselves."""
    crops = [item for found in items.values() for item in found if item.box is not None]
    if not crops:
        return []
    what = f"{len(crops):,} annotated objects of {len({item.path for item in crops}):,} pictures are cut out as squares"
    return [f"{what} with {margin:g} of the longer side around them; data.use_crops = false reads whole pictures"]


def _items(annotated: Iterable[Annotated], part: str, taken: dict[str, str], pictures: Pictures, how: _How) -> list[Item]:
    """Of one part. `taken`: the part of each picture so far; one of an earlier part is in no later one, whatever objects are named."""
    items: list[Item] = []
    root, set_aside = pictures.root, pictures.set_aside
    for one in annotated:
        path = pictures.find(one.near, one.written, one.part)
        if path is None and pictures.is_excluded(one.near):
            set_aside.append(SetAside(one.where, "is an annotation of a picture that data.exclude leaves out", is_bad=False))
        elif (path := path or one.within) is None:
            set_aside.append(SetAside(one.where, pictures.missing(one.written)))
        elif path in taken:
            where = "twice, and the first counts" if taken[path] == part else f"for {part} too, but is of {taken[path]} already"
            set_aside.append(SetAside(root.show(path), f"is annotated {where}"))
        else:
            taken[path] = part
            items += _items_of(one, path, root.show(path), set_aside, how)
    return items


def _items_of(one: Annotated, path: str, shown: str, set_aside: list[SetAside], how: _How) -> list[Item]:
    labels = sorted({label for label, _ in one.objects}) or ([] if how.use_crops else sorted({*one.labels}))
    if how.has_many:
        return [Item(path, joined([*labels, *one.labels]))]
    if not labels:
        more = f"; its own label {one.labels[0]!r} is used by data.use_crops = false" if one.labels else ""
        set_aside.append(SetAside(shown, f"has no annotated object{more}", is_bad=False))
        return []
    if how.use_crops:
        return [Item(path, label, None, box, number, one.size) for number, (label, box) in enumerate(one.objects)]
    if len(labels) == 1:
        return [Item(path, labels[0])]
    listed = ", ".join(labels[:_MAX_SHOWN]) + (", ..." if len(labels) > _MAX_SHOWN else "")
    reason = f"has {len(labels)} labels ({listed}), of which none counts"
    if one.objects:
        reason = f"has objects of {len(labels)} classes ({listed}), so no label; use_crops takes them apart, labels: many counts all"
    set_aside.append(SetAside(shown, reason, is_bad=False))
    return []


def box_of(values: Sequence[Any]) -> Box:
    """Four numbers as a box. Raises ValueError or TypeError for anything else."""
    left, top, right, bottom = (float(value) for value in values)
    return left, top, right, bottom


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """(width, height); None where an annotation lacks them, or has 0 as some tools write. Raises ValueError for no number."""
    try:
        size = int(float(width or 0)), int(float(height or 0))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"has a width and height that are no numbers: {width!r}, {height!r}") from None
    return size if min(size) > 0 else None
