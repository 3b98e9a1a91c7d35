"""What the batched ops draw for each picture, whichever engine then changes the pixels: numbers in the transform's own order.

Each takes the albumentations transform, from which it reads the ranges, or several (`Together`); the stream, index_K and the pictures'
shape NHWC; and gives arrays with K rows. A mask beside them is True where the numbers are surely the transform's: elsewhere it may draw
again, with a chance of about 2^-32, or a crop did not fit in ten tries. Here are the ops that move or hide pixels; random_colour.py has
the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.engines.reference import IntArray
from visiontune.augmentation.keyed_random import FloatArray, Stream, as_uniforms, below, bounded, halves

Shape = tuple[int, ...]
Mask = NDArray[np.bool_]

SYMMETRIES = ("e", "r90", "r180", "r270", "v", "hvt", "h", "t")
"""Of the square, as albumentations orders them: none, counter-clockwise turns, upside down, at the other diagonal, mirrored, transposed."""
_MOST_TRIES = 10


def quarter_turns(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> IntArray:
    """(K,) quarter turns counter-clockwise, 0 to 3, which are indices into SYMMETRIES too."""
    return below(stream.uniforms(index_K, 1)[:, 0], 4)


def symmetries(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> IntArray:
    """(K,) indices into SYMMETRIES."""
    return bounded(halves(stream.words(index_K, 1))[:, 0], len(SYMMETRIES))[0]


def affine_moves(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> FloatArray:
    """(K, 3, 3) matrices from a pixel (x, y, 1) to where it goes."""
    _, height, width, _ = shape
    shear, scale = transform.shear, transform.scale
    # Without a shift in percent there is one of 0 pixels, for which two numbers are drawn as well.
    shift = transform.translate_percent or {"x": (0.0, 0.0), "y": (0.0, 0.0)}
    ranges = (shift["x"], shift["y"], shear["x"], shear["y"], scale["x"], scale["y"], transform.rotate)
    shift_x, shift_y, shear_x, shear_y, scale_x, scale_y, degrees = between(stream.uniforms(index_K, len(ranges)), ranges).T
    return affine_matrices(
        np.trunc(shift_x * width), np.trunc(shift_y * height), -shear_x, -shear_y, scale_x, scale_y, degrees, (height, width)
    )


def rotations(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> FloatArray:
    """(K, 3, 3), as an affine op with nothing else."""
    (degrees_K,) = between(stream.uniforms(index_K, 1), (transform.limit,)).T
    zero_K, one_K = np.zeros_like(degrees_K), np.ones_like(degrees_K)
    return affine_matrices(zero_K, zero_K, zero_K, zero_K, one_K, one_K, degrees_K, (shape[1], shape[2]))


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


def crop_corners(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> tuple[tuple[int, int], IntArray]:
    """Pixels of padding above and below, and left and right; and (K, 2) top and left of the crop in the padded picture."""
    padding: int | tuple[int, int] = transform.transforms[0].padding
    pad_x, pad_y = (padding, padding) if isinstance(padding, int) else padding
    # By the first number Sequential decides whether it applies at all; its probability is 1.
    return (pad_y, pad_x), below(stream.uniforms(index_K, 3)[:, 1:], np.array([2 * pad_y + 1, 2 * pad_x + 1]))


def resized_boxes(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> tuple[IntArray, Mask]:
    """(K, 4) of top, left, bottom, right, and where one fits. Area and aspect ratio are drawn up to ten times until they fit."""
    _, height, width, _ = shape
    low_scale, high_scale = (scale * (height * width) for scale in transform.scale)
    low_ratio, high_ratio = np.log(transform.ratio)
    box_K4, waiting = np.zeros((len(index_K), 4), np.int64), np.arange(len(index_K))
    for number in range(_MOST_TRIES):
        u_K4 = stream.uniforms(index_K[waiting], 2 * number + 4)[:, -4:]
        area_K, ratio_K = low_scale + (high_scale - low_scale) * u_K4[:, 0], np.exp(low_ratio + (high_ratio - low_ratio) * u_K4[:, 1])
        width_K, height_K = (np.rint(np.sqrt(side_K)).astype(np.int64) for side_K in (area_K * ratio_K, area_K / ratio_K))
        fits = (width_K > 0) & (width_K <= width) & (height_K > 0) & (height_K <= height)
        box_K4[waiting[fits]] = _boxes(height_K[fits], width_K[fits], u_K4[fits, 2:], shape)
        waiting = waiting[~fits]
        if len(waiting) == 0:
            break
    return box_K4, ~np.isin(np.arange(len(index_K)), waiting)


def shaped_boxes(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> tuple[IntArray, Mask]:
    """(K, 4) of top, left, bottom, right of boxes of the picture's shape, and a mask that is True: they always fit."""
    low, high = transform.min_max_height
    u_K3 = stream.uniforms(index_K, 3)
    height_K = low + below(u_K3[:, 0], high - low + 1)
    width_K = (height_K * transform.w2h_ratio).astype(np.int64)
    return _boxes(height_K, width_K, u_K3[:, 1:], shape), np.ones(len(index_K), np.bool_)


def holes(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> tuple[IntArray, Mask]:
    """(K, 4) of top, left, bottom, right of one hole, its sides fractions of the picture's (op_builders/geometry.py); and where sure."""
    _, height, width, _ = shape
    # The first word decides the number of holes, which is one; the two halves of the fourth one give the corner.
    word_K4 = stream.words(index_K, 4)
    heights, widths = between(as_uniforms(word_K4[:, 1:3]), (transform.hole_height_range, transform.hole_width_range)).T
    height_K, width_K = (height * heights).astype(np.int64), (width * widths).astype(np.int64)
    half_K2 = halves(word_K4[:, 3:])
    top_K, is_sure_top = bounded(half_K2[:, 0], height - height_K + 1)
    left_K, is_sure_left = bounded(half_K2[:, 1], width - width_K + 1)
    return np.stack([top_K, left_K, top_K + height_K, left_K + width_K], axis=1), is_sure_top & is_sure_left


def erased(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> IntArray:
    """(K, 4) of top, left, bottom, right of one hole, of such an area that it fits at any of the ratios of width to height."""
    _, height, width, _ = shape
    low_ratio, high_ratio = transform.ratio
    low_area, high_area = (scale * height * width for scale in transform.scale)
    high_area = min(high_area, low_ratio * height * height, width * width / high_ratio)
    if high_area < low_area:
        return np.zeros((len(index_K), 4), np.int64)
    u_K4 = stream.uniforms(index_K, 4)
    area_K, ratio_K = between(u_K4[:, :2], ((low_area, high_area), (low_ratio, high_ratio))).T
    height_K, width_K = (np.rint(np.sqrt(side_K)).astype(np.int64) for side_K in (area_K / ratio_K, area_K * ratio_K))
    return _boxes(height_K, width_K, u_K4[:, 2:], shape)


def between(u_KU: FloatArray, ranges: Sequence[tuple[float | FloatArray, float | FloatArray]]) -> FloatArray:
    """Numbers in [0, 1) as numbers in their columns' ranges, whose ends are the same for all pictures or one for each."""
    low, high = (np.stack(np.broadcast_arrays(*ends), axis=-1) for ends in zip(*ranges, strict=True))
    return low + (high - low) * u_KU  # type: ignore[no-any-return]


def _boxes(height_K: IntArray, width_K: IntArray, u_K2: FloatArray, shape: Shape) -> IntArray:
    """(K, 4) of boxes with these sides, their corners drawn by u."""
    top_K, left_K = below(u_K2[:, 0], shape[1] - height_K + 1), below(u_K2[:, 1], shape[2] - width_K + 1)
    return np.stack([top_K, left_K, top_K + height_K, left_K + width_K], axis=1)
