"""The reference engine: an op picture by picture, by the albumentations transform's own call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.keyed_random import Stream

Pictures = NDArray[np.uint8]
IntArray = NDArray[np.int64]
Batched = Callable[[Any, Stream, Pictures, IntArray, IntArray], None]


class Together:
    """Transforms of one op at several magnitudes, as one of which picture k has the which_K[k]-th.

    Arguments in which they differ are arrays with an entry for each picture: of a range, its ends.
    """

    def __init__(self, transforms: Sequence[Any], which_K: IntArray) -> None:
        self._transforms, self._which_K = transforms, which_K

    def __getattr__(self, name: str) -> Any:
        return _side_by_side([getattr(one, name) for one in self._transforms], self._which_K)

    def part(self, rows: NDArray[Any]) -> Together:
        """Those of some of the pictures."""
        return Together(self._transforms, self._which_K[rows])

    def each(self) -> list[Any]:
        """One after another."""
        return [self._transforms[which] for which in self._which_K.tolist()]


def part_of(transform: Any, rows: NDArray[Any]) -> Any:
    """The transform for some of its pictures."""
    return transform.part(rows) if isinstance(transform, Together) else transform


def apply_each(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Call the transform on each of the rows, at the start of its index's stream."""
    each = transform.each() if isinstance(transform, Together) else [transform] * len(rows_K)
    for one, row, index in zip(each, rows_K.tolist(), index_K.tolist(), strict=True):
        stream.seek(index)
        pictures_NHWC[row] = one(image=pictures_NHWC[row])["image"]


def _side_by_side(values: Sequence[Any], which_K: IntArray) -> Any:
    first = values[0]
    if all(value == first for value in values):
        return first
    if isinstance(first, dict):
        return {key: _side_by_side([value[key] for value in values], which_K) for key in first}
    if isinstance(first, tuple | list):
        return tuple(_side_by_side(ends, which_K) for ends in zip(*values, strict=True))
    return np.array(values)[which_K]
