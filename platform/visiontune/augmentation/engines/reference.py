"""The reference engine: an op picture by picture, by the albumentations transform's own call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.keyed_random import Stream

Pictures = NDArray[np.uint8]
IntArray = NDArray[np.int64]
Batched = Callable[[Any, Stream, Pictures, IntArray, IntArray], None]


def apply_each(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Call the transform on each of the rows, at the start of its index's stream."""
    for row, index in zip(rows_K.tolist(), index_K.tolist(), strict=True):
        stream.seek(index)
        pictures_NHWC[row] = transform(image=pictures_NHWC[row])["image"]
