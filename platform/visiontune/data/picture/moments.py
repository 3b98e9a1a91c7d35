"""Mean and standard deviation of pictures' values, exactly: out of sums of whole numbers, or of histograms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.digest import Bytes
from visiontune.data.split import IntArray

_PIECE_BYTES = 256 << 10
"""Planes of that size are split in memory that is there. Of a block of 1 MiB it takes ten times as long, 9 us a picture of 32 px."""


def sums_of_each(images_BHWC: Bytes) -> IntArray:
    """(B, 2, C) int64: of each picture as `sums_of`; of small ones it costs ten times as much as of all together."""
    return np.stack([sums_of(one[np.newaxis], np.ones(1, np.bool_)) for one in images_BHWC])


def sums_of(images_BHWC: Bytes, is_asked_B: NDArray[np.bool_]) -> IntArray:
    """(2, C) int64: sums of the values of the asked pictures, and of their squares."""
    import cv2

    *_, width, channels = images_BHWC.shape
    step = max(1, _PIECE_BYTES // images_BHWC[0].nbytes)
    rows = np.flatnonzero(is_asked_B)
    sum_2C = np.zeros((2, channels), np.int64)
    for low in range(0, len(rows), step):
        # A single one is not copied.
        some = images_BHWC[rows[low : low + step]] if step > 1 else images_BHWC[rows[low]]
        tall = some.reshape(-1, width, channels)
        # Whole numbers, which a double holds exactly.
        squares = [cv2.norm(plane, cv2.NORM_L2SQR) for plane in cv2.split(tall)]
        sum_2C += np.rint([cv2.sumElems(tall)[:channels], squares]).astype(np.int64)
    return sum_2C


def moments_of_sums(sum_2C: IntArray, num: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel as `moments` has them, of `num` values in all, out of added `sums_of_each`."""
    pairs = [(int(first), int(second)) for first, second in sum_2C.T]
    deviations = [(num * second - first**2) ** 0.5 / (255 * num) for first, second in pairs]
    return [first / (255 * num) for first, _ in pairs], [max(one, 1 / 255) for one in deviations]


def moments(histogram_CV: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, values divided by 255; a constant channel counts as one level wide."""
    share_CV = histogram_CV / histogram_CV.sum(axis=1, keepdims=True)
    value_V = np.arange(256) / 255
    mean_C = share_CV @ value_V
    std_C = np.sqrt(np.maximum((share_CV * (value_V - mean_C[:, np.newaxis]) ** 2).sum(axis=1), 0.0))
    return mean_C.tolist(), np.maximum(std_C, 1 / 255).tolist()
