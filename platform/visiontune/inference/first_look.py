"""The first pictures of a run against those that a network was trained on: bits, colours and sizes that it never met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from visiontune.data.picture.bad_picture import BadPicture, Values
from visiontune.data.picture.decode import decode_values, is_deep_file, shape_of
from visiontune.data.picture.depth import DEEP, Depth, depth_around
from visiontune.data.picture.frame import ENLARGED
from visiontune.errors import UserError, plural
from visiontune.inference.find_pictures import Given
from visiontune.spec.declarations.image_size import both_sides
from visiontune.training.weights_metadata import WeightsMetadata

NUM_LOOKED_AT = 64
_FAR = 4.0
"""Times the sides of any training picture."""


@dataclass(frozen=True)
class _Look:
    """`shape` is (height, width, channels); `ends` the least and greatest value where there are more than 8 bits."""

    shape: tuple[int, ...]
    ends: tuple[float, float] | None


def look_first(given: Sequence[Given], metadata: WeightsMetadata) -> tuple[WeightsMetadata, tuple[str, ...]]:
    """What a network does with such pictures, and sentences on what differs. Raises UserError for a range of values that it never met."""
    looks = [look for one in given if (look := _look_at(one)) is not None]
    if not looks:
        return metadata, ()
    metadata, notes = _depth_of(looks, metadata)
    return metadata, (*notes, *_colours(looks, metadata), *_sizes(looks, metadata))


def held(given: Given) -> Given:
    """The same with what it gave, so that it is read once only."""
    try:
        return Given(given.name, partial(_same, given.load()))
    except (BadPicture, UserError) as error:
        return Given(given.name, partial(_raise, error))


def _same(content: bytes | Values) -> bytes | Values:
    return content


def _raise(error: Exception) -> bytes:
    raise error


def _look_at(given: Given) -> _Look | None:
    """None for what can't be used, which is said in its place."""
    try:
        content = given.load()
        if isinstance(content, bytes) and not is_deep_file(content):
            return _Look(shape_of(content), None)
        values = content if isinstance(content, np.ndarray) else decode_values(content)
    except (BadPicture, UserError):
        return None
    return _Look(values.shape, None if values.dtype == np.uint8 else (float(values.min()), float(values.max())))


def _depth_of(looks: Sequence[_Look], metadata: WeightsMetadata) -> tuple[WeightsMetadata, list[str]]:
    ends = [look.ends for look in looks if look.ends is not None]
    depth = metadata.depth
    if not ends:
        return metadata, list(_shallow_notes(looks, metadata))
    low, high = min(least for least, _ in ends), max(greatest for _, greatest in ends)
    found = depth_around(low, high)
    verb = "has" if len(ends) == 1 else "have"
    have = f"{len(ends):,} of the {_first(looks)} {verb} more than 8 bits, with values from {low:,.0f} to {high:,.0f}"
    way = f"`depth=({found[0]:.0f}, {found[1]:.0f})` maps them from the range that they seem to have"
    if metadata.asked_depth is not None or metadata.is_depth_chosen:
        return metadata, []
    if depth is None and found == DEEP:
        said = f"{have}, and the network's pictures had 8 bits: 0 to 65,535 become 0 to 255"
        return replace(metadata, asked_depth=DEEP), [said]
    if depth is None:
        raise UserError(f"values must be in a range that the network knows, but {have}, and its own pictures had 8 bits; {way}")
    if all(greatest > depth[1] for _, greatest in ends):
        rule = f"values must be in the range of the training pictures, {depth[0]:,.0f} to {depth[1]:,.0f}"
        raise UserError(f"{rule}, but {have}; {way}, `depth=({depth[0]:.0f}, {depth[1]:.0f})` cuts them off")
    return metadata, list(_range_notes(have, way, (low, high), depth))


def _shallow_notes(looks: Sequence[_Look], metadata: WeightsMetadata) -> Iterator[str]:
    if metadata.asked_depth is not None:
        yield f"none of the {_first(looks)} has more than 8 bits, so the depth that was asked for does nothing to them"
    elif metadata.form.depth != DEEP:
        low, high = metadata.form.depth
        yield f"the {_first(looks)} have 8 bits, taken as they are; of the network's own {low:,.0f} to {high:,.0f} became 0 to 255"


def _range_notes(have: str, way: str, ends: Depth, depth: Depth) -> Iterator[str]:
    used = f"{depth[0]:,.0f} to {depth[1]:,.0f} become 0 to 255"
    if ends[0] < depth[0] or ends[1] > depth[1]:
        yield f"{have}; {used} as in training, what lies beyond is cut off"
    elif ends[1] - depth[0] < (depth[1] - depth[0]) / 4:
        yield f"{have}; {used} as in training, which makes them dark: {way}"


def _colours(looks: Sequence[_Look], metadata: WeightsMetadata) -> Iterator[str]:
    num = sum(look.shape[2] == 3 for look in looks)
    if metadata.form.channels == 1 and num:
        yield f"{num:,} of the {_first(looks)} {_are(num)} in colour, and become grey as the network's pictures were"
    elif metadata.form.channels == 3 and not num:
        yield f"all of the {_first(looks)} are grey, and the network was trained on pictures in colour"


def _sizes(looks: Sequence[_Look], metadata: WeightsMetadata) -> Iterator[str]:
    form, theirs = metadata.form, metadata.originals
    if theirs is not None:
        low, high = ((theirs.heights[end], theirs.widths[end]) for end in ("min", "max"))
        far = [look for look in looks if any(_is_far(*one) for one in zip(look.shape, low, high, strict=False))]
        if far:
            known = f"{both_sides(low)} to {both_sides(high)} pixels" if low != high else f"{both_sides(low)} pixels"
            those = f"{len(far):,} of the {_first(looks)} {_are(len(far))}"
            yield f"{those} far from the size of the training pictures ({known}), such as {_size(far[0])}"
            return
    num = [look for look in looks if min(form.image_size) > ENLARGED * min(look.shape[:2])]
    if num and (theirs is None or min(low) * ENLARGED >= min(form.image_size)):
        yield f"{len(num):,} of the {_first(looks)} {_are(len(num))} enlarged to {both_sides(form.image_size)}, such as {_size(num[0])}"


def _is_far(side: int, low: int, high: int) -> bool:
    return side * _FAR < low or side > high * _FAR


def _size(look: _Look) -> str:
    return both_sides(look.shape[:2])


def _first(looks: Sequence[_Look]) -> str:
    return f"first {len(looks):,} pictures" if len(looks) >= NUM_LOOKED_AT else plural(len(looks), "picture")


def _are(num: int) -> str:
    return "is" if num == 1 else "are"
