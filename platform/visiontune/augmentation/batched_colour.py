"""Batched ops that change colours, tones and texture; batched.py says how all of them work.

What OpenCV does alike for every picture it does on all rows of all pictures as one tall picture.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.batched_moves import between
from visiontune.augmentation.keyed import FloatArray, Stream, as_uniforms, below, bounded, halves
from visiontune.augmentation.reference import IntArray, Pictures, apply_each

_VALUES = np.arange(256, dtype=np.float32)
_HUES = 180


def hue_saturation_value(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """In HSV, a table for each picture and channel. Saturation 0 stays 0."""
    ranges = (transform.hue_shift_limit, transform.sat_shift_limit, transform.val_shift_limit)
    shift_K3 = between(stream.uniforms(index_K, 3), ranges)
    is_shifted = (shift_K3 != 0).any(1)
    if not is_shifted.any():
        return
    rows, (hue_K1, sat_K1, val_K1) = rows_K[is_shifted], shift_K3[is_shifted].T[:, :, np.newaxis]
    table_KVC = np.empty((len(rows), 256, 3), np.uint8)
    value_V = np.arange(256)
    table_KVC[..., 0] = np.where(hue_K1 == 0, value_V, np.mod(value_V + hue_K1, _HUES))
    table_KVC[..., 1] = np.clip(value_V + np.trunc(sat_K1), 0, 255)
    table_KVC[:, 0, 1] = np.where(sat_K1[:, 0] == 0, table_KVC[:, 0, 1], 0)
    table_KVC[..., 2] = np.clip(value_V + np.trunc(val_K1), 0, 255)
    hsv = _converted(pictures_NHWC[rows], cv2.COLOR_RGB2HSV)
    _look_up(hsv, np.arange(len(rows)), table_KVC)
    pictures_NHWC[rows] = _converted(hsv, cv2.COLOR_HSV2RGB)


def random_brightness_contrast(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A table of 256 values for each picture."""
    contrast_K, brightness_K = between(stream.uniforms(index_K, 2), (transform.contrast_limit, transform.brightness_limit)).T
    _look_up(pictures_NHWC, rows_K, _lines(1.0 + contrast_K, brightness_K * 255))


def color_jitter(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Four steps, in each of them those pictures together whose order has the same kind at that place."""
    word_K8 = stream.words(index_K, 8)
    ranges = (transform.brightness, transform.contrast, transform.saturation, transform.hue)
    factor_K4 = between(as_uniforms(word_K8[:, :4]), ranges)
    order_K4, is_sure = _shuffles(halves(word_K8[:, 4:]), 4)
    changes = (_brightness, _contrast, _saturation, _hue)
    neutral = (1.0, 1.0, 1.0, 0.0)
    for step in range(4):
        for kind, change in enumerate(changes):
            mine = is_sure & (order_K4[:, step] == kind) & (factor_K4[:, kind] != neutral[kind])
            if mine.any() and (pictures_NHWC.shape[3] == 3 or kind < 2):
                change(pictures_NHWC, rows_K[mine], factor_K4[mine, kind])
    apply_each(transform, stream, pictures_NHWC, rows_K[~is_sure], index_K[~is_sure])


def rgb_shift(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A table for each picture and channel; the first word is for a seed that is not used."""
    word_K4 = stream.words(index_K, 4)
    shift_K3 = between(as_uniforms(word_K4[:, 1:]), transform.noise_params["ranges"]) * 255
    shift_K13 = np.trunc(shift_K3).astype(np.float32)[:, np.newaxis]
    _look_up(pictures_NHWC, rows_K, np.clip(_VALUES[:, np.newaxis] + shift_K13, 0, 255).astype(np.uint8))


def channel_shuffle(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Pictures with the same order together."""
    u_K2 = stream.uniforms(index_K, 2)
    order_K3 = np.tile(np.arange(3), (len(rows_K), 1))
    for place, u_K in ((2, u_K2[:, 0]), (1, u_K2[:, 1])):
        _swap(order_K3, place, below(u_K, place + 1))
    for order in list(permutations(range(3)))[1:]:
        rows = rows_K[(order_K3 == order).all(1)]
        pictures_NHWC[rows] = pictures_NHWC[rows][..., order]


def channel_dropout(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """The first number is for how many: one."""
    pictures_NHWC[rows_K, :, :, below(stream.uniforms(index_K, 2)[:, 1], 3)] = transform.fill


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
    """albumentations counts no value of 255; channels of one value stay as they are."""
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
    threshold_K1 = between(stream.uniforms(index_K, 1), (transform.threshold_range,))
    value_V = np.arange(256)
    _look_up(pictures_NHWC, rows_K, np.where(value_V >= threshold_K1 * 255, 255 - value_V, value_V).astype(np.uint8))


def posterize(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """A mask of bits for each picture."""
    low, high = transform.num_bits
    bits_K = low + below(stream.uniforms(index_K, 1)[:, 0], high - low + 1)
    pictures_NHWC[rows_K] &= (256 - 2 ** (8 - bits_K)).astype(np.uint8)[:, np.newaxis, np.newaxis, np.newaxis]


def sharpen(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One filter of 3 x 3 for each picture."""
    alpha_K11, light_K11 = between(stream.uniforms(index_K, 2), (transform.alpha, transform.lightness)).T[:, :, np.newaxis, np.newaxis]
    same, edges = np.zeros((3, 3), np.float32), np.full((3, 3), -1, np.float32)
    same[1, 1], edges[1, 1] = 1, 0
    middle_K33 = np.zeros((len(rows_K), 3, 3), np.float32)
    middle_K33[:, 1, 1] = (8 + light_K11[:, 0, 0]).astype(np.float32)
    kernel_K33 = (1 - alpha_K11).astype(np.float32) * same + alpha_K11.astype(np.float32) * (edges + middle_K33)
    for row, picture_HWC, kernel_33 in zip(rows_K.tolist(), pictures_NHWC[rows_K], kernel_K33, strict=True):
        cv2.filter2D(picture_HWC, -1, kernel_33, pictures_NHWC[row])


def gauss_noise(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """OpenCV's generator, seeded with 16 bits for each picture; noise is cut to whole values."""
    word_K3 = stream.words(index_K, 3)
    std_K, mean_K = between(as_uniforms(word_K3[:, :2]), (transform.std_range, transform.mean_range)).T
    seed_K, _ = bounded(halves(word_K3[:, 2:])[:, 0], 1 << 16)
    channels = pictures_NHWC.shape[3]
    one_C, noise_HWC = np.ones(channels, np.float32), np.zeros(pictures_NHWC.shape[1:])
    for row, seed, mean, std in zip(rows_K.tolist(), seed_K.tolist(), mean_K.tolist(), std_K.tolist(), strict=True):
        cv2.setRNGSeed(seed)
        cv2.randn(noise_HWC, mean * one_C, std * one_C)
        whole_HWC = np.trunc(noise_HWC.astype(np.float32) * 255)
        whole_HWC += pictures_NHWC[row]
        pictures_NHWC[row] = np.clip(whole_HWC, 0, 255, out=whole_HWC)


def _brightness(pictures_NHWC: Pictures, rows_K: IntArray, factor_K: FloatArray) -> None:
    _look_up(pictures_NHWC, rows_K, _lines(factor_K, np.zeros_like(factor_K)))


def _contrast(pictures_NHWC: Pictures, rows_K: IntArray, factor_K: FloatArray) -> None:
    taken = pictures_NHWC[rows_K]
    grey = _grey(taken) if taken.shape[3] == 3 else taken
    _look_up(pictures_NHWC, rows_K, _lines(factor_K, grey.reshape(len(rows_K), -1).mean(1) * (1 - factor_K)))


def _saturation(pictures_NHWC: Pictures, rows_K: IntArray, factor_K: FloatArray) -> None:
    taken = pictures_NHWC[rows_K]
    grey = _converted(_grey(taken)[..., np.newaxis], cv2.COLOR_GRAY2RGB)
    for row, picture_HWC, grey_HWC, factor in zip(rows_K.tolist(), taken, grey, factor_K.tolist(), strict=True):
        cv2.addWeighted(picture_HWC, factor, grey_HWC, 1 - factor, 0, pictures_NHWC[row])


def _hue(pictures_NHWC: Pictures, rows_K: IntArray, factor_K: FloatArray) -> None:
    value_V = np.arange(256)
    table_KVC = np.repeat(np.tile(value_V.astype(np.uint8), (len(rows_K), 1))[..., np.newaxis], 3, axis=2)
    table_KVC[..., 0] = np.mod(value_V + _HUES * factor_K[:, np.newaxis], _HUES)
    hsv = _converted(pictures_NHWC[rows_K], cv2.COLOR_RGB2HSV)
    _look_up(hsv, np.arange(len(rows_K)), table_KVC)
    pictures_NHWC[rows_K] = _converted(hsv, cv2.COLOR_HSV2RGB)


def _lines(factor_K: FloatArray, offset_K: FloatArray) -> NDArray[np.uint8]:
    """(K, 256): value times factor plus offset, cut to a byte."""
    factor_K1, offset_K1 = (column_K.astype(np.float32)[:, np.newaxis] for column_K in (factor_K, offset_K))
    return np.clip(_VALUES * factor_K1 + offset_K1, 0, 255).astype(np.uint8)  # type: ignore[no-any-return]


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


def _shuffles(half_KW: NDArray[np.uint64], num: int) -> tuple[IntArray, NDArray[np.bool_]]:
    """(K, num) orders as numpy's generator shuffles a list, and where W words were enough.

    It draws a place among so many as a power of two has, again and again until there is such a place.
    """
    order_KN, is_sure = np.tile(np.arange(num), (len(half_KW), 1)), np.ones(len(half_KW), bool)
    next_K = np.zeros(len(half_KW), np.int64)
    for place in range(num - 1, 0, -1):
        other_KW = (half_KW & np.uint64((1 << place.bit_length()) - 1)).astype(np.int64)
        is_good = (other_KW <= place) & (np.arange(half_KW.shape[1]) >= next_K[:, np.newaxis])
        is_sure &= is_good.any(1)
        first_K = is_good.argmax(1)
        _swap(order_KN, place, np.minimum(other_KW[np.arange(len(half_KW)), first_K], place))
        next_K = first_K + 1
    return order_KN, is_sure


def _swap(order_KN: IntArray, place: int, other_K: IntArray) -> None:
    rows = np.arange(len(order_KN))
    order_KN[rows, other_K], order_KN[:, place] = order_KN[:, place].copy(), order_KN[rows, other_K].copy()
