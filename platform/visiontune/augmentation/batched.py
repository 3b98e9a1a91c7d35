"""Ops done for many pictures at once, where Python and not pixels is the cost; bit-equal to the transform's own call.

Each takes the albumentations transform, from which it reads the ranges, draws the same numbers in the same order as the
transform does, and changes the given rows of pictures_NHWC (uint8) in place. K counts the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.keyed import FloatArray, Stream

Pictures = NDArray[np.uint8]
IntArray = NDArray[np.int64]
Batched = Callable[[Any, Stream, Pictures, IntArray, IntArray], None]


def horizontal_flip(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    for row in rows_K.tolist():
        picture_HWC = pictures_NHWC[row]
        pictures_NHWC[row] = cv2.flip(picture_HWC, 1).reshape(picture_HWC.shape)


def affine(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Matrices of all pictures in one go, then one warp for each."""
    _, height, width, channels = pictures_NHWC.shape
    percent, shear, scale = transform.translate_percent, transform.shear, transform.scale
    ranges = (percent["x"], percent["y"], shear["x"], shear["y"], scale["x"], scale["y"], transform.rotate)
    drawn_K7 = _between(stream.uniforms(index_K, len(ranges)), ranges)
    shift_x, shift_y, shear_x, shear_y, scale_x, scale_y, degrees = drawn_K7.T
    matrix_K33 = affine_matrices(
        np.trunc(shift_x * width), np.trunc(shift_y * height), -shear_x, -shear_y, scale_x, scale_y, degrees, (height, width)
    )
    fill = (float(transform.fill),) * channels
    for row, matrix_33 in zip(rows_K.tolist(), matrix_K33, strict=True):
        warped = cv2.warpAffine(
            pictures_NHWC[row],
            matrix_33[:2],
            (width, height),
            flags=transform.interpolation,
            borderMode=transform.border_mode,
            borderValue=fill,
        )
        pictures_NHWC[row] = warped.reshape(height, width, channels)


def affine_matrices(
    shift_x: FloatArray,
    shift_y: FloatArray,
    shear_x: FloatArray,
    shear_y: FloatArray,
    scale_x: FloatArray,
    scale_y: FloatArray,
    degrees: FloatArray,
    size: tuple[int, int],
) -> FloatArray:
    """(K, 3, 3): scale, rotate, shear and shift about the centre. Shifts in pixels, shears and rotation in degrees."""
    num = len(degrees)
    center_x, center_y = size[1] / 2 - 0.5, size[0] / 2 - 0.5
    angle = np.deg2rad(degrees % 360)
    to_corner, scaled, rotated, sheared, shifted, to_center = (np.tile(np.eye(3), (num, 1, 1)) for _ in range(6))
    to_corner[:, 0, 2], to_corner[:, 1, 2] = -center_x, -center_y
    scaled[:, 0, 0], scaled[:, 1, 1] = scale_x, scale_y
    rotated[:, 0, 0], rotated[:, 0, 1] = np.cos(angle), np.sin(angle)
    rotated[:, 1, 0], rotated[:, 1, 1] = -np.sin(angle), np.cos(angle)
    sheared[:, 0, 1], sheared[:, 1, 0] = np.tan(np.deg2rad(shear_x)), np.tan(np.deg2rad(shear_y))
    shifted[:, 0, 2], shifted[:, 1, 2] = shift_x, shift_y
    to_center[:, 0, 2], to_center[:, 1, 2] = center_x, center_y
    return to_center @ shifted @ sheared @ rotated @ scaled @ to_corner


def random_brightness_contrast(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A table of 256 values for each picture."""
    ranges = (transform.contrast_limit, transform.brightness_limit)
    contrast_K, brightness_K = _between(stream.uniforms(index_K, 2), ranges).T
    factor_K1 = (1.0 + contrast_K).astype(np.float32)[:, np.newaxis]
    offset_K1 = (brightness_K * 255).astype(np.float32)[:, np.newaxis]
    table_KV = np.clip(np.arange(256, dtype=np.float32) * factor_K1 + offset_K1, 0, 255).astype(np.uint8)
    for row, table_V in zip(rows_K.tolist(), table_KV, strict=True):
        pictures_NHWC[row] = table_V[pictures_NHWC[row]]


def coarse_dropout(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Holes whose sides are fractions of the picture's, as our builder makes them."""
    _, height, width, _ = pictures_NHWC.shape
    generator = stream.generator
    for row, index in zip(rows_K.tolist(), index_K.tolist(), strict=True):
        stream.seek(index)
        num = (stream.py_random.randint(*transform.num_holes_range),)
        low, high = transform.hole_height_range
        heights = (height * generator.uniform(low, high, num)).astype(int)
        low, high = transform.hole_width_range
        widths = (width * generator.uniform(low, high, num)).astype(int)
        tops = generator.integers(0, height - heights + 1, size=num)
        lefts = generator.integers(0, width - widths + 1, size=num)
        for top, left, hole_height, hole_width in zip(tops, lefts, heights, widths, strict=True):
            pictures_NHWC[row, top : top + hole_height, left : left + hole_width] = transform.fill


BATCHED: Mapping[str, Batched] = {
    "HorizontalFlip": horizontal_flip,
    "Affine": affine,
    "RandomBrightnessContrast": random_brightness_contrast,
    "CoarseDropout": coarse_dropout,
}


def _between(u_KU: FloatArray, ranges: tuple[tuple[float, float], ...]) -> FloatArray:
    low_U, high_U = np.array(ranges, np.float64).T
    return low_U + (high_U - low_U) * u_KU  # type: ignore[no-any-return]
