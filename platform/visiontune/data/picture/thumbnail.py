"""Thumbnails by which pictures are found that are the same to the eye. Letters: B pictures of a block."""

from __future__ import annotations

import numpy as np

from visiontune.data.picture.digest import Bytes

THUMB = 8
"""Areas along each side."""


def thumbs_of(images_BHWC: Bytes) -> Bytes:
    """(B, 64): green, or grey, in 8 x 8 areas; of large pictures over 64 x 64 of their pixels."""
    import cv2

    num, height, width, channels = images_BHWC.shape
    rows, columns = (np.arange(8 * THUMB) * side // (8 * THUMB) if side > 8 * THUMB else slice(None) for side in (height, width))
    plane_BHW = images_BHWC[:, rows][:, :, columns, channels // 2]
    # A block of pictures is one tall picture: an area never crosses from one to the next.
    tall = np.ascontiguousarray(plane_BHW).reshape(-1, plane_BHW.shape[2])
    small: Bytes = cv2.resize(tall, (THUMB, THUMB * num), interpolation=cv2.INTER_AREA)
    return small.reshape(num, THUMB * THUMB)
