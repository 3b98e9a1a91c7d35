"""A `Source` out of picture files with labels, or of boxes in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import attrgetter

import numpy as np

from visiontune.data.class_names import PARTS, class_order, composed, encode
from visiontune.data.file_names import identity
from visiontune.data.file_tree import Root
from visiontune.data.label_sets import Sets, count_classes, numbered
from visiontune.data.picture.bad_picture import BadPicture, Values
from visiontune.data.picture.decode import decode_values, shape_of
from visiontune.data.readers.crop import crop_of, square_around
from visiontune.data.readers.file_digests import content_of, digests_of_files, listing_of, paths_of, stamps_of
from visiontune.data.readers.item import Item, joined, parted
from visiontune.data.reads_at_once import contents
from visiontune.data.source import SetAside, Source
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, plural

_PEEK = 64
_MAX_LISTED = 5


def file_source(
    kind: str,
    root: Root,
    parts: Mapping[str, Sequence[Item]],
    set_aside: Sequence[SetAside],
    *,
    margin: float = 0.0,
    load: Callable[[str], bytes] | None = None,
    notes: Sequence[str] = (),
    has_many: bool = False,
) -> Source:
    """The source of these items, sorted by path, their labels in NFC. `load` reads a file by its name, by default from the root.

    With `has_many` the label of an item is several, joined.

    Raises UserError for no pictures in train, fewer than two classes, classes that differ only in case, and labels that train lacks.
    """
    names, said = composed(dict.fromkeys(label for found in parts.values() for label in _each(found, has_many=has_many)))
    named = {part: _named(parts[part], names, has_many=has_many) for part in PARTS if parts.get(part)}
    items = {part: sorted(found, key=attrgetter("path", "number")) for part, found in named.items()}
    if "train" not in items:
        raise UserError(Problem(root.shown, 0, "", f"must hold training pictures with labels, but has none{_why(set_aside)}"))
    if not {*_each(items["train"], has_many=has_many)}:
        raise UserError(
            Problem(root.shown, 0, "", f"one picture at least must have a class, but none of its {len(items['train']):,} has one")
        )
    class_names = class_order({*_each(items["train"], has_many=has_many)}, root.shown, _why([one for one in set_aside if one.is_bad]))
    labels, sets = _numbered(items, class_names, root, has_many=has_many)
    read = load or root.read
    listing = cache(lambda: listing_of(kind, root, items, set_aside, margin))
    paths = paths_of(items)
    is_file_each = len(paths) == sum(map(len, items.values()))
    has_boxes = any(item.box is not None for found in items.values() for item in found)
    return Source(
        class_names=class_names,
        counts_C=count_classes(labels["train"], sets, len(class_names)),
        has_test="test" in items,
        has_val="val" in items,
        label_sets=sets,
        content=lambda tell=float: content_of(listing(), digests_of_files(root, paths, read, tell)),
        stamps=lambda: stamps_of(root, items, listing()),
        listing=listing,
        content_of=(lambda digests: content_of(listing(), digests)) if is_file_each and not has_boxes else None,
        can_fork=root.can_fork,
        first=cache(lambda: _first(items["train"], read, margin, root)),
        labels=lambda: labels,
        pictures=lambda part, rows: _pictures(items[part], read, margin, rows, is_remote=root.is_remote),
        encoded=None if has_boxes else lambda part, rows: _encoded(items[part], read, rows, is_remote=root.is_remote),
        names=lambda part: [root.show(item.path) + (f" object {item.number}" if item.box else "") for item in items[part]],
        keys=lambda part: [identity(item.path) + (f"#{item.number}" if item.box else "") for item in items[part]],
        groups=lambda part: _groups(items[part]),
        set_aside=tuple(set_aside),
        notes=(*notes, *root.notes(), *said),
    )


def _each(items: Iterable[Item], *, has_many: bool) -> Iterator[str]:
    """All labels, as often as they stand there."""
    return (label for item in items for label in (parted(item.label) if has_many else (item.label,)))


def _named(items: Sequence[Item], names: Mapping[str, str], *, has_many: bool) -> Sequence[Item]:
    if all(name == label for label, name in names.items()):
        return items
    if has_many:
        return [item._replace(label=joined(names[label] for label in parted(item.label))) for item in items]
    return [item._replace(label=names[item.label]) for item in items]


def _numbered(
    items: Mapping[str, Sequence[Item]], class_names: Sequence[str], root: Root, *, has_many: bool
) -> tuple[dict[str, IntArray], Sets | None]:
    """Labels by part, and the sets that they number. Raises UserError for classes that train lacks."""
    num = {part: [len(parted(item.label)) if has_many else 1 for item in found] for part, found in items.items()}
    ends = {part: np.cumsum(nums) for part, nums in num.items()}

    def encoded(part: str, found: Sequence[Item]) -> IntArray:
        def shown(at: int) -> str:
            return root.show(found[int(np.searchsorted(ends[part], at, "right"))].path)

        return encode([*_each(found, has_many=has_many)], class_names, root.shown, part, shown)

    each = {part: encoded(part, found) for part, found in items.items()}
    if not has_many:
        return each, None
    return numbered({part: [one.tolist() for one in np.split(each[part], end[:-1])] for part, end in ends.items()})


def _pictures(
    items: Sequence[Item], read: Callable[[str], bytes], margin: float, rows: IntArray, *, is_remote: bool
) -> Iterator[Values | BadPicture]:
    # Objects of one picture follow each other.
    runs = [(path, [*run]) for path, run in groupby((items[row] for row in rows.tolist()), attrgetter("path"))]
    found = contents(read, (path for path, _ in runs), is_remote=is_remote)
    for (_, run), content in zip(runs, found, strict=True):
        whole = _decoded(content)
        for item in run:
            if item.box is None or isinstance(whole, BadPicture):
                yield whole
                continue
            try:
                yield crop_of(whole, item, margin)
            except BadPicture as error:
                yield error


def _decoded(content: bytes | BadPicture) -> Values | BadPicture:
    try:
        return content if isinstance(content, BadPicture) else decode_values(content)
    except BadPicture as error:
        return error


def _encoded(items: Sequence[Item], read: Callable[[str], bytes], rows: IntArray, *, is_remote: bool) -> Iterator[bytes | BadPicture]:
    return contents(read, (items[row].path for row in rows.tolist()), is_remote=is_remote)


def _first(items: Sequence[Item], read: Callable[[str], bytes], margin: float, root: Root) -> tuple[int, int, int]:
    """Size of the first good picture; most channels of 64 that are spread over the whole, for a folder may mix grey and colour."""
    shapes, bad = [], []
    rows = np.unique(np.linspace(0, len(items) - 1, _PEEK).astype(np.int64))
    for row, content in zip(rows.tolist(), _encoded(items, read, rows, is_remote=root.is_remote), strict=True):
        item = items[row]
        try:
            height, width, channels = shape_of(_good(content))
            if item.box is not None:
                height = width = square_around((height, width), item, margin).side
            shapes.append((height, width, channels))
        except BadPicture as error:
            bad.append(Problem(root.show(item.path), 0, "", f"picture {error}"))
    if not shapes:
        rule = f"none of {plural(len(bad), 'picture')}, taken evenly from the {len(items):,} for training, can be used"
        raise UserError(*bad[:_MAX_LISTED], Problem(root.shown, 0, "", rule))
    return shapes[0][0], shapes[0][1], max(channels for _, _, channels in shapes)


def _good(content: bytes | BadPicture) -> bytes:
    """Raises BadPicture."""
    if isinstance(content, BadPicture):
        raise content
    return content


def _groups(items: Sequence[Item]) -> Sequence[str] | None:
    """Objects of one picture belong together, as do pictures with the same name of a group."""
    if all(item.group is None and item.box is None for item in items):
        return None
    return [identity(item.path) if item.group is None else f"group {item.group}" for item in items]


def _why(set_aside: Sequence[SetAside]) -> str:
    """What was set aside: the first of each reason, so that many of one hide no other."""
    by_reason: dict[str, list[SetAside]] = {}
    for one in set_aside:
        by_reason.setdefault(one.reason.partition(":")[0], []).append(one)
    told = [f"{ones[0].name}{f' (and {len(ones) - 1:,} more)' * (len(ones) > 1)} {ones[0].reason}" for ones in by_reason.values()]
    shown = "; ".join(told[:_MAX_LISTED]) + ("; ..." if len(told) > _MAX_LISTED else "")
    return f"; {len(set_aside):,} {'was' if len(set_aside) == 1 else 'were'} set aside: {shown}" if set_aside else ""
