"""Mean and standard deviation of pictures' values, exactly: out of sums of whole numbers, or of histograms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.digest import Bytes
from visiontune.data.split import IntArray

_LARGE_BYTES = 64 << 10


def sums_of_each(images_BHWC: Bytes) -> IntArray:
    """(B, 2, C) int64: of each picture the sum of its values, and that of their squares."""
    import cv2

    num, height, width, channels = images_BHWC.shape
    if images_BHWC[0].nbytes > _LARGE_BYTES:  # OpenCV's sums over a whole picture are faster than those over rows
        sums: Any = [[cv2.sumElems(one)[:channels], [cv2.norm(plane, cv2.NORM_L2SQR) for plane in cv2.split(one)]] for one in images_BHWC]
    else:
        flat = images_BHWC.reshape(num, height * width, channels)
        ways = (cv2.REDUCE_SUM, cv2.REDUCE_SUM2)
        sums = np.stack([cv2.reduce(flat, 1, way, dtype=cv2.CV_64F).reshape(num, channels) for way in ways], 1)
    # Whole numbers, which a double holds exactly.
    sum_B2C: IntArray = np.rint(sums).astype(np.int64)
    return sum_B2C


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
