"""Which values of files with more than 8 bits become 0 and 255: `data.depth`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from visiontune.data.picture.bad_picture import Picture, Values

Depth = tuple[float, float]
"""What becomes 0 and what 255; all between in proportion, rounded, and all beyond cut off."""

DEEP: Depth = (0, 65535)
"""All 16 bits, which is what files with 16 bits were taken to have before there was the key."""

_BITS = (8, 10, 12, 14, 16)
_NUM_OF_16_BITS = 1 << 16
_BLOCK = 1 << 20


def eight_bits(values: Values, depth: Depth = DEEP) -> Picture:
    """A picture as it is; other values mapped."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16 and values.size > _NUM_OF_16_BITS:  # of a table, 8 times faster for a photograph
        return np.asarray(_mapped(np.arange(_NUM_OF_16_BITS), depth)[values])
    picture = np.empty(values.shape, np.uint8)
    for rows in row_blocks(values.shape):
        picture[rows] = _mapped(values[rows], depth)
    return picture


def row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of a picture, so many at a time that their float64 values are some megabytes: of 179 megapixels they would be 4.3 GB."""
    num = max(1, _BLOCK * shape[0] // max(1, math.prod(shape)))
    return (slice(begin, begin + num) for begin in range(0, shape[0], num))


def _mapped(values: Values, depth: Depth) -> Picture:
    low, high = depth
    return np.rint((np.clip(values, low, high) - low) * (255 / (high - low))).astype(np.uint8)


def asked_depth(asked: Any) -> Depth | None:
    """Of a value of the key; None for auto. Its rule holds (`problem_of_depth`)."""
    if asked == "auto":
        return None
    return (0, 2**asked - 1) if isinstance(asked, int) else (asked[0], asked[1])


def depth_around(least: float, greatest: float) -> Depth:
    """The range of an instrument whose values these are: to 8, 10, 12, 14 or 16 bits, and from 0 or minus a power of two."""
    bits = next((bits for bits in _BITS if greatest < 2**bits), None)
    high = 2 ** int(np.ceil(np.log2(greatest + 1))) - 1 if bits is None else 2**bits - 1
    return (0 if least >= 0 else -(2 ** int(np.ceil(np.log2(-least))))), high
