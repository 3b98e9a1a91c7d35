"""A box of an annotation to a crop: a square around it, so that an object is neither squashed nor cut when it becomes a network's input.

The square is the box's longer side and the margin long. It is moved into the picture where it fits there; where the picture is too small it
is padded with black, as MegaDetector's tools do for the classifiers of camera traps (`square_crop`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from visiontune.data.picture.bad_picture import BadPicture, Values, refuse_huge
from visiontune.data.readers.item import Box, Item, Shares


class Square(NamedTuple):
    """Where a crop begins, negative where it begins with padding, and how long its sides are, in pixels of the upright picture."""

    top: int
    left: int
    side: int


def crop_of(picture: Values, item: Item, margin: float) -> Values:
    """(S, S, C), an array of its own: the item's box in its picture, of 8 bits or more. Raises BadPicture for a box that can't be used."""
    top, left, side = square_around(picture.shape, item, margin)
    inner = picture[max(top, 0) : top + side, max(left, 0) : left + side]
    if inner.shape[:2] == (side, side):
        return inner.copy()  # a view would keep the whole picture in memory
    darkest = 0 if picture.dtype.kind == "u" else min(0, float(picture.min()))  # 0 of a CT is water, not black
    crop = np.full((side, side, picture.shape[2]), darkest, picture.dtype)
    row, column = max(-top, 0), max(-left, 0)
    crop[row : row + inner.shape[0], column : column + inner.shape[1]] = inner
    return crop


def square_around(shape: tuple[int, ...], item: Item, margin: float) -> Square:
    """The square of an item's box in a picture of that shape. `margin` is a share of the box's longer side. Raises BadPicture."""
    height, width = shape[:2]
    left, top, right, bottom = _inside(height, width, item)
    around = margin * max(right - left, bottom - top)
    # To a hundredth of a pixel: 20.0000001, out of shares with six digits, is no 21 rows.
    first_row, first_column = math.floor(round(top - around, 2)), math.floor(round(left - around, 2))
    num_rows, num_columns = math.ceil(round(bottom + around, 2)) - first_row, math.ceil(round(right + around, 2)) - first_column
    side = min(max(num_rows, num_columns), max(height, width))
    refuse_huge(side, side)
    return Square(_placed(first_row, num_rows, side, height), _placed(first_column, num_columns, side, width), side)


def _placed(first: int, num: int, side: int, length: int) -> int:
    """Where the square begins along one axis: centred on the box, moved so that as little as can be lies outside the picture."""
    return min(max(first - (side - num) // 2, min(0, length - side)), max(0, length - side))


def _inside(height: int, width: int, item: Item) -> Box:
    """The part of the box that lies in the picture, in pixels."""
    assert item.box is not None
    if item.size is not None and item.size != (width, height):
        raise BadPicture(f"is {width} x {height}, but its annotation says {item.size[0]} x {item.size[1]}")
    left, top, right, bottom = item.box
    if isinstance(item.box, Shares):
        left, right, top, bottom = left * width, right * width, top * height, bottom * height
    box = (left, top, right, bottom)
    shown = f"the box ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
    if not all(map(math.isfinite, box)) or right <= left or bottom <= top:
        raise BadPicture(f"has an annotation without area: {shown}")
    seen = max(min(right, width) - max(left, 0), 0) * max(min(bottom, height) - max(top, 0), 0)
    if seen < (right - left) * (bottom - top) / 2:
        raise BadPicture(f"is {width} x {height}, and {shown} lies {'outside' if seen == 0 else 'more than half outside'}")
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)
