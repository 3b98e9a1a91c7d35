"""Batched ops that change colours and tones; batched.py says how all of them work.

Where OpenCV does the same to every picture, it does it to all of them as one tall picture, row after row.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.engines import random_colour as draws
from visiontune.augmentation.engines.reference import IntArray, Pictures, apply_each, part_of
from visiontune.augmentation.keyed_random import FloatArray, Stream


def hue_saturation_value(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A table of 256 values for each picture and channel of HSV. Saturation 0 stays 0."""
    table_KVC, is_changed = draws.hsv_tables(transform, stream, index_K, pictures_NHWC.shape)
    if is_changed.any():
        _in_hsv(pictures_NHWC, rows_K[is_changed], table_KVC[is_changed])


def random_brightness_contrast(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A table of 256 values for each picture."""
    _look_up(pictures_NHWC, rows_K, draws.tone_tables(transform, stream, index_K, pictures_NHWC.shape))


def color_jitter(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Up to four rounds, in each of them those pictures together that get the same kind of change."""
    factor_K4, order_K4, is_sure = draws.jitters(transform, stream, index_K, pictures_NHWC.shape)
    changes = (_brightness, _contrast, _saturation, _hue)
    for kind, mine in draws.jitter_rounds(factor_K4, order_K4, pictures_NHWC.shape[3]):
        mine &= is_sure
        changes[kind](pictures_NHWC, rows_K[mine], factor_K4[mine, kind])
    apply_each(part_of(transform, ~is_sure), stream, pictures_NHWC, rows_K[~is_sure], index_K[~is_sure])


def random_gamma(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A table for each picture."""
    _look_up(pictures_NHWC, rows_K, draws.gamma_tables(transform, stream, index_K, pictures_NHWC.shape))


def rgb_shift(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A table for each picture and channel."""
    _look_up(pictures_NHWC, rows_K, draws.shift_tables(transform, stream, index_K, pictures_NHWC.shape))


def channel_shuffle(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Pictures with the same order together."""
    order_K3 = draws.channel_orders(transform, stream, index_K, pictures_NHWC.shape)
    for order in list(permutations(range(3)))[1:]:
        rows = rows_K[(order_K3 == order).all(1)]
        pictures_NHWC[rows] = pictures_NHWC[rows][..., order]


def channel_dropout(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One channel of each picture is filled."""
    pictures_NHWC[rows_K, :, :, draws.dropped_channels(transform, stream, index_K, pictures_NHWC.shape)] = transform.fill


def to_gray(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    pictures_NHWC[rows_K] = _converted(_grey(pictures_NHWC[rows_K])[..., np.newaxis], cv2.COLOR_GRAY2RGB)


def invert_img(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    pictures_NHWC[rows_K] = 255 - pictures_NHWC[rows_K]


def equalize(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    _, height, width, channels = pictures_NHWC.shape
    for row in rows_K.tolist():
        planes = [cv2.equalizeHist(plane_HW) for plane_HW in cv2.split(pictures_NHWC[row])]
        pictures_NHWC[row] = cv2.merge(planes).reshape(height, width, channels)


def auto_contrast(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """As albumentations: values of 255 don't count for the lightest one; channels of one value stay as they are."""
    taken = pictures_NHWC[rows_K]
    num, height, width, channels = taken.shape
    planes = [plane.reshape(num, -1) for plane in cv2.split(taken.reshape(num * height, width, channels))]
    low_K1C = np.stack([plane_KD.min(1) for plane_KD in planes], axis=1).astype(np.float64)[:, np.newaxis]
    high_K1C = np.stack([np.where(plane_KD == 255, 0, plane_KD).max(1) for plane_KD in planes], axis=1).astype(np.float64)[:, np.newaxis]
    value_VC = np.arange(256.0)[:, np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        table_KVC = np.clip(np.round((value_VC - low_K1C) * (255 / (high_K1C - low_K1C))), 0, 255)
    table_KVC = np.where(value_VC < low_K1C, 0, np.where(value_VC > high_K1C, 255, table_KVC))
    _look_up(pictures_NHWC, rows_K, np.where(high_K1C <= low_K1C, value_VC, table_KVC).astype(np.uint8))


def solarize(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A table of 256 values for each picture."""
    _look_up(pictures_NHWC, rows_K, draws.solarize_tables(transform, stream, index_K, pictures_NHWC.shape))


def posterize(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A mask of bits for each picture."""
    mask_K = draws.bit_masks(transform, stream, index_K, pictures_NHWC.shape)
    pictures_NHWC[rows_K] &= mask_K[:, np.newaxis, np.newaxis, np.newaxis]


def _brightness(pictures_NHWC: Pictures, rows_K: IntArray, factor_K: FloatArray) -> None:
    _look_up(pictures_NHWC, rows_K, draws.line_tables(factor_K, np.zeros_like(factor_K)))


def _contrast(pictures_NHWC: Pictures, rows_K: IntArray, factor_K: FloatArray) -> None:
    taken = pictures_NHWC[rows_K]
    grey = _grey(taken) if taken.shape[3] == 3 else taken
    _look_up(pictures_NHWC, rows_K, draws.line_tables(factor_K, grey.reshape(len(rows_K), -1).mean(1) * (1 - factor_K)))


def _saturation(pictures_NHWC: Pictures, rows_K: IntArray, factor_K: FloatArray) -> None:
    taken = pictures_NHWC[rows_K]
    grey = _converted(_grey(taken)[..., np.newaxis], cv2.COLOR_GRAY2RGB)
    for row, picture_HWC, grey_HWC, factor in zip(rows_K.tolist(), taken, grey, factor_K.tolist(), strict=True):
        cv2.addWeighted(picture_HWC, factor, grey_HWC, 1 - factor, 0, pictures_NHWC[row])


def _hue(pictures_NHWC: Pictures, rows_K: IntArray, factor_K: FloatArray) -> None:
    _in_hsv(pictures_NHWC, rows_K, draws.hue_tables(factor_K))


def _in_hsv(pictures_NHWC: Pictures, rows_K: IntArray, table_KVC: draws.Table) -> None:
    hsv = _converted(pictures_NHWC[rows_K], cv2.COLOR_RGB2HSV)
    _look_up(hsv, np.arange(len(rows_K)), table_KVC)
    pictures_NHWC[rows_K] = _converted(hsv, cv2.COLOR_HSV2RGB)


def _look_up(pictures_NHWC: Pictures, rows_K: IntArray, tables: NDArray[np.uint8]) -> None:
    """Tables are (K, 256), or (K, 256, C) where channels differ."""
    for row, table in zip(rows_K.tolist(), tables[:, np.newaxis], strict=True):
        picture_HWC = pictures_NHWC[row]
        cv2.LUT(picture_HWC, table, picture_HWC)


def _converted(pictures_KHWC: Pictures, code: int) -> Pictures:
    num, height, width, channels = pictures_KHWC.shape
    rows = cv2.cvtColor(pictures_KHWC.reshape(num * height, width, channels), code)
    converted: Pictures = rows.reshape(num, height, width, -1)
    return converted


def _grey(pictures_KHWC: Pictures) -> Pictures:
    """(K, H, W)"""
    grey: Pictures = _converted(pictures_KHWC, cv2.COLOR_RGB2GRAY)[..., 0]
    return grey
