"""Batched ops that move pixels or hide them; batched.py says how all of them work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.keyed import FloatArray, Stream, as_uniforms, below, bounded, halves
from visiontune.augmentation.reference import IntArray, Pictures, apply_each

_MOST_TRIES = 10
_D4 = ("e", "r90", "r180", "r270", "v", "hvt", "h", "t")


def horizontal_flip(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """All rows of all pictures as one tall picture."""
    taken = pictures_NHWC[rows_K]
    num, height, width, channels = taken.shape
    pictures_NHWC[rows_K] = cv2.flip(taken.reshape(num * height, width, channels), 1).reshape(taken.shape)


def vertical_flip(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    pictures_NHWC[rows_K] = pictures_NHWC[rows_K, ::-1]


def transpose(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    pictures_NHWC[rows_K] = pictures_NHWC[rows_K].swapaxes(1, 2)


def random_rotate_90(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Pictures with the same angle together."""
    factor_K = below(stream.uniforms(index_K, 1)[:, 0], 4)
    for factor in (1, 2, 3):
        rows = rows_K[factor_K == factor]
        pictures_NHWC[rows] = np.rot90(pictures_NHWC[rows], factor, axes=(1, 2))


def d4(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Pictures with the same symmetry together."""
    which_K, _ = bounded(halves(stream.words(index_K, 1))[:, 0], len(_D4))
    for number, name in enumerate(_D4[1:], start=1):
        rows = rows_K[which_K == number]
        taken = pictures_NHWC[rows]
        if name in ("v", "h"):
            pictures_NHWC[rows] = np.flip(taken, 1 if name == "v" else 2)
        elif name in ("t", "hvt"):
            pictures_NHWC[rows] = (taken if name == "t" else np.rot90(taken, 2, axes=(1, 2))).swapaxes(1, 2)
        else:
            pictures_NHWC[rows] = np.rot90(taken, int(name[1:]) // 90, axes=(1, 2))


def affine(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Matrices of all pictures in one go, then one warp for each."""
    _, height, width, _ = pictures_NHWC.shape
    shear, scale = transform.shear, transform.scale
    # Without a shift in percent there is one of 0 pixels, for which two numbers are drawn as well.
    shift = transform.translate_percent or {"x": (0.0, 0.0), "y": (0.0, 0.0)}
    ranges = (shift["x"], shift["y"], shear["x"], shear["y"], scale["x"], scale["y"], transform.rotate)
    shift_x, shift_y, shear_x, shear_y, scale_x, scale_y, degrees = between(stream.uniforms(index_K, len(ranges)), ranges).T
    matrix_K33 = affine_matrices(
        np.trunc(shift_x * width), np.trunc(shift_y * height), -shear_x, -shear_y, scale_x, scale_y, degrees, (height, width)
    )
    _warp(transform, pictures_NHWC, rows_K, matrix_K33)


def rotate(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """As an affine op with nothing else."""
    (degrees_K,) = between(stream.uniforms(index_K, 1), (transform.limit,)).T
    zero_K, one_K = np.zeros_like(degrees_K), np.ones_like(degrees_K)
    size = (pictures_NHWC.shape[1], pictures_NHWC.shape[2])
    _warp(transform, pictures_NHWC, rows_K, affine_matrices(zero_K, zero_K, zero_K, zero_K, one_K, one_K, degrees_K, size))


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


def pad_and_crop(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One gather out of all crops of all padded pictures."""
    pad = transform.transforms[0].padding
    # The first number is the coin that Sequential throws.
    top_K, left_K = below(stream.uniforms(index_K, 3)[:, 1:], 2 * pad + 1).T
    num, (height, width, channels) = len(rows_K), pictures_NHWC.shape[1:]
    padded = np.zeros((num, height + 2 * pad, width + 2 * pad, channels), np.uint8)
    padded[:, pad : pad + height, pad : pad + width] = pictures_NHWC[rows_K]
    step_k, step_y, step_x, step_c = padded.strides
    crops = np.lib.stride_tricks.as_strided(
        padded, (num, 2 * pad + 1, 2 * pad + 1, height, width * channels), (step_k, step_y, step_x, step_y, step_c), writeable=False
    )
    pictures_NHWC[rows_K] = crops[np.arange(num), top_K, left_K].reshape(num, height, width, channels)


def random_resized_crop(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Area and shape are drawn anew where they don't fit, up to ten times."""
    _, height, width, _ = pictures_NHWC.shape
    low_scale, high_scale = (scale * (height * width) for scale in transform.scale)
    low_ratio, high_ratio = np.log(transform.ratio)
    waiting = np.arange(len(rows_K))
    for number in range(_MOST_TRIES):
        u_K4 = stream.uniforms(index_K[waiting], 2 * number + 4)[:, -4:]
        area_K, ratio_K = low_scale + (high_scale - low_scale) * u_K4[:, 0], np.exp(low_ratio + (high_ratio - low_ratio) * u_K4[:, 1])
        width_K, height_K = (np.rint(np.sqrt(side_K)).astype(np.int64) for side_K in (area_K * ratio_K, area_K / ratio_K))
        fits = (width_K > 0) & (width_K <= width) & (height_K > 0) & (height_K <= height)
        rows = rows_K[waiting[fits]]
        _crop_and_resize(transform, pictures_NHWC, rows, height_K[fits], width_K[fits], u_K4[fits, 2:])
        waiting = waiting[~fits]
        if len(waiting) == 0:
            return
    apply_each(transform, stream, pictures_NHWC, rows_K[waiting], index_K[waiting])


def random_sized_crop(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Square crops."""
    low, high = transform.min_max_height
    u_K3 = stream.uniforms(index_K, 3)
    side_K = low + below(u_K3[:, 0], high - low + 1)
    _crop_and_resize(transform, pictures_NHWC, rows_K, side_K, side_K, u_K3[:, 1:])


def coarse_dropout(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One hole whose sides are fractions of the picture's, as our builder makes it."""
    _, height, width, _ = pictures_NHWC.shape
    # The first word gives the number of holes; the two halves of the fourth one give the place.
    word_K4 = stream.words(index_K, 4)
    heights, widths = between(as_uniforms(word_K4[:, 1:3]), (transform.hole_height_range, transform.hole_width_range)).T
    height_K, width_K = (height * heights).astype(np.int64), (width * widths).astype(np.int64)
    half_K2 = halves(word_K4[:, 3:])
    top_K, is_sure_top = bounded(half_K2[:, 0], height - height_K + 1)
    left_K, is_sure_left = bounded(half_K2[:, 1], width - width_K + 1)
    is_sure = is_sure_top & is_sure_left
    holes = (rows_K, top_K, top_K + height_K, left_K, left_K + width_K)
    for row, top, bottom, left, right in zip(*(column[is_sure].tolist() for column in holes), strict=True):
        pictures_NHWC[row, top:bottom, left:right] = transform.fill
    apply_each(transform, stream, pictures_NHWC, rows_K[~is_sure], index_K[~is_sure])


def between(u_KU: FloatArray, ranges: Sequence[tuple[float, float]]) -> FloatArray:
    """Numbers in [0, 1) as numbers in their columns' ranges."""
    low_U, high_U = np.array(ranges, np.float64).T
    return low_U + (high_U - low_U) * u_KU  # type: ignore[no-any-return]


def _warp(transform: Any, pictures_NHWC: Pictures, rows_K: IntArray, matrix_K33: FloatArray) -> None:
    _, height, width, channels = pictures_NHWC.shape
    flags, border, fill = transform.interpolation, transform.border_mode, (float(transform.fill),) * channels
    is_moved = ~np.isclose(matrix_K33, np.eye(3)).all((1, 2))
    rows = rows_K[is_moved]
    for row, picture_HWC, matrix_23 in zip(rows.tolist(), pictures_NHWC[rows], matrix_K33[is_moved, :2], strict=True):
        cv2.warpAffine(picture_HWC, matrix_23, (width, height), pictures_NHWC[row], flags, border, fill)


def _crop_and_resize(
    transform: Any, pictures_NHWC: Pictures, rows_K: IntArray, height_K: IntArray, width_K: IntArray, u_K2: NDArray[np.float64]
) -> None:
    """Crops of these sides at the places that u says, as large as the picture again."""
    _, height, width, _ = pictures_NHWC.shape
    top_K, left_K = below(u_K2[:, 0], height - height_K + 1), below(u_K2[:, 1], width - width_K + 1)
    is_cut = (height_K < height) | (width_K < width)
    places = (rows_K, top_K, top_K + height_K, left_K, left_K + width_K)
    for row, top, bottom, left, right in zip(*(column[is_cut].tolist() for column in places), strict=True):
        crop = pictures_NHWC[row, top:bottom, left:right].copy()
        cv2.resize(crop, (width, height), pictures_NHWC[row], interpolation=transform.interpolation)
