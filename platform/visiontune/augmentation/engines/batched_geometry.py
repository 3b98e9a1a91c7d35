"""Batched ops that move pixels or hide them; batched.py says how all of them work."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from visiontune.augmentation.engines import random_geometry
from visiontune.augmentation.engines.reference import IntArray, Pictures, apply_each
from visiontune.augmentation.keyed_random import FloatArray, Stream


def horizontal_flip(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """All pictures are flipped as one tall picture, row after row."""
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
    """Turned by 0, 90, 180 or 270 degrees: a quarter of the pictures each."""
    _move(pictures_NHWC, rows_K, random_geometry.quarter_turns(transform, stream, index_K, pictures_NHWC.shape))


def d4(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One of the eight symmetries: an eighth of the pictures each."""
    _move(pictures_NHWC, rows_K, random_geometry.symmetries(transform, stream, index_K, pictures_NHWC.shape))


def symmetric(pictures_KHWC: Pictures, name: str) -> Pictures:
    """A view of the pictures after one of SYMMETRIES."""
    if name in ("v", "h"):
        return np.flip(pictures_KHWC, 1 if name == "v" else 2)
    if name in ("t", "hvt"):
        turned: Pictures = (pictures_KHWC if name == "t" else np.rot90(pictures_KHWC, 2, axes=(1, 2))).swapaxes(1, 2)
        return turned
    return np.rot90(pictures_KHWC, int(name[1:] or 0) // 90, axes=(1, 2))


def affine(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Matrices of all pictures in one go, then one warp for each."""
    _warp(transform, pictures_NHWC, rows_K, random_geometry.affine_moves(transform, stream, index_K, pictures_NHWC.shape))


def rotate(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """An affine op with a rotation alone."""
    _warp(transform, pictures_NHWC, rows_K, random_geometry.rotations(transform, stream, index_K, pictures_NHWC.shape))


def pad_and_crop(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One gather out of all crops of all padded pictures."""
    (pad_y, pad_x), corner_K2 = random_geometry.crop_corners(transform, stream, index_K, pictures_NHWC.shape)
    num, (height, width, channels) = len(rows_K), pictures_NHWC.shape[1:]
    padded = np.zeros((num, height + 2 * pad_y, width + 2 * pad_x, channels), np.uint8)
    padded[:, pad_y : pad_y + height, pad_x : pad_x + width] = pictures_NHWC[rows_K]
    step_k, step_y, step_x, step_c = padded.strides
    crops = np.lib.stride_tricks.as_strided(
        padded, (num, 2 * pad_y + 1, 2 * pad_x + 1, height, width * channels), (step_k, step_y, step_x, step_y, step_c), writeable=False
    )
    pictures_NHWC[rows_K] = crops[np.arange(num), corner_K2[:, 0], corner_K2[:, 1]].reshape(num, height, width, channels)


def random_resized_crop(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Crops of other shapes."""
    box_K4, fits = random_geometry.resized_boxes(transform, stream, index_K, pictures_NHWC.shape)
    _crop_and_resize(transform, pictures_NHWC, rows_K[fits], box_K4[fits])
    apply_each(transform, stream, pictures_NHWC, rows_K[~fits], index_K[~fits])


def random_sized_crop(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Crops of the picture's shape."""
    box_K4, _ = random_geometry.shaped_boxes(transform, stream, index_K, pictures_NHWC.shape)
    _crop_and_resize(transform, pictures_NHWC, rows_K, box_K4)


def coarse_dropout(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One hole in each picture."""
    box_K4, is_sure = random_geometry.holes(transform, stream, index_K, pictures_NHWC.shape)
    for row, (top, left, bottom, right) in zip(rows_K[is_sure].tolist(), box_K4[is_sure].tolist(), strict=True):
        pictures_NHWC[row, top:bottom, left:right] = transform.fill
    apply_each(transform, stream, pictures_NHWC, rows_K[~is_sure], index_K[~is_sure])


def erasing(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One hole in each picture."""
    box_K4 = random_geometry.erased(transform, stream, index_K, pictures_NHWC.shape)
    for row, (top, left, bottom, right) in zip(rows_K.tolist(), box_K4.tolist(), strict=True):
        pictures_NHWC[row, top:bottom, left:right] = transform.fill


def _move(pictures_NHWC: Pictures, rows_K: IntArray, which_K: IntArray) -> None:
    """Pictures with the same symmetry together."""
    for number, name in enumerate(random_geometry.SYMMETRIES[1:], start=1):
        rows = rows_K[which_K == number]
        pictures_NHWC[rows] = symmetric(pictures_NHWC[rows], name)


def _warp(transform: Any, pictures_NHWC: Pictures, rows_K: IntArray, matrix_K33: FloatArray) -> None:
    _, height, width, channels = pictures_NHWC.shape
    flags, border, fill = transform.interpolation, transform.border_mode, (float(transform.fill),) * channels
    is_moved = ~np.isclose(matrix_K33, np.eye(3)).all((1, 2))
    rows = rows_K[is_moved]
    for row, picture_HWC, matrix_23 in zip(rows.tolist(), pictures_NHWC[rows], matrix_K33[is_moved, :2], strict=True):
        cv2.warpAffine(picture_HWC, matrix_23, (width, height), pictures_NHWC[row], flags, border, fill)


def _crop_and_resize(transform: Any, pictures_NHWC: Pictures, rows_K: IntArray, box_K4: IntArray) -> None:
    """Each picture's box (top, left, bottom, right), resized to the size of the picture."""
    _, height, width, _ = pictures_NHWC.shape
    is_cut = (box_K4[:, 2] - box_K4[:, 0] < height) | (box_K4[:, 3] - box_K4[:, 1] < width)
    for row, (top, left, bottom, right) in zip(rows_K[is_cut].tolist(), box_K4[is_cut].tolist(), strict=True):
        crop = pictures_NHWC[row, top:bottom, left:right].copy()
        cv2.resize(crop, (width, height), pictures_NHWC[row], interpolation=transform.interpolation)
