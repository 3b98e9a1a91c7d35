"""What the batched ops that change colours, tones and texture draw for each picture; random_geometry.py says how all of them work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.engines.random_geometry import Mask, Shape, between
from visiontune.augmentation.engines.reference import IntArray
from visiontune.augmentation.keyed_random import FloatArray, Stream, as_uniforms, below, halves

Table = NDArray[np.uint8]

HUES = 180
"""OpenCV's hue counts two degrees."""
NEUTRAL = (1.0, 1.0, 1.0, 0.0)
"""Factors of brightness, contrast and saturation and a turn of the hue that change nothing."""
_VALUES = np.arange(256, dtype=np.float32)


def hsv_shifts(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> FloatArray:
    """(K, 3) of hue, saturation and value."""
    ranges = (transform.hue_shift_limit, transform.sat_shift_limit, transform.val_shift_limit)
    return between(stream.uniforms(index_K, 3), ranges)


def hsv_tables(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> tuple[Table, Mask]:
    """(K, 256, 3) from values to values in HSV, and where they change any. Saturation 0 stays 0."""
    shift_K3 = hsv_shifts(transform, stream, index_K, shape)
    hue_K1, sat_K1, val_K1 = shift_K3.T[:, :, np.newaxis]
    table_KVC = np.empty((len(index_K), 256, 3), np.uint8)
    value_V = np.arange(256)
    table_KVC[..., 0] = np.where(hue_K1 == 0, value_V, np.mod(value_V + hue_K1, HUES))
    table_KVC[..., 1] = np.clip(value_V + np.trunc(sat_K1), 0, 255)
    table_KVC[:, 0, 1] = np.where(sat_K1[:, 0] == 0, table_KVC[:, 0, 1], 0)
    table_KVC[..., 2] = np.clip(value_V + np.trunc(val_K1), 0, 255)
    return table_KVC, (shift_K3 != 0).any(1)


def hue_tables(turn_K: FloatArray) -> Table:
    """(K, 256, 3) from values to values in HSV; `turn_K` are shares of a whole turn of the hue."""
    table_KVC = np.tile(np.arange(256, dtype=np.uint8)[:, np.newaxis], (len(turn_K), 1, 3))
    table_KVC[..., 0] = np.mod(np.arange(256) + HUES * turn_K[:, np.newaxis], HUES)
    return table_KVC


def tone_tables(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> Table:
    """(K, 256) for brightness and contrast."""
    contrast_K, brightness_K = between(stream.uniforms(index_K, 2), (transform.contrast_limit, transform.brightness_limit)).T
    return line_tables(1.0 + contrast_K, brightness_K * 255)


def line_tables(factor_K: FloatArray, offset_K: FloatArray) -> Table:
    """(K, 256): value times factor plus offset, cut to a byte."""
    factor_K1, offset_K1 = (column_K.astype(np.float32)[:, np.newaxis] for column_K in (factor_K, offset_K))
    return np.clip(_VALUES * factor_K1 + offset_K1, 0, 255).astype(np.uint8)  # type: ignore[no-any-return]


def gamma_tables(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> Table:
    """(K, 256)."""
    gamma_K1 = between(stream.uniforms(index_K, 1), (transform.gamma_limit,)) / 100
    return (np.arange(0, 256 / 255, 1 / 255) ** gamma_K1 * 255).astype(np.uint8)


def shift_tables(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> Table:
    """(K, 256, 3). The first word of the stream is for a seed that is not used, and is left out."""
    word_K4 = stream.words(index_K, 4)
    shift_K3 = between(as_uniforms(word_K4[:, 1:]), transform.noise_params["ranges"]) * 255
    shift_K13 = np.trunc(shift_K3).astype(np.float32)[:, np.newaxis]
    return np.clip(_VALUES[:, np.newaxis] + shift_K13, 0, 255).astype(np.uint8)  # type: ignore[no-any-return]


def solarize_tables(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> Table:
    """(K, 256): values from a threshold on are inverted."""
    threshold_K1 = between(stream.uniforms(index_K, 1), (transform.threshold_range,))
    value_V = np.arange(256)
    return np.where(value_V >= threshold_K1 * 255, 255 - value_V, value_V).astype(np.uint8)


def bit_masks(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> Table:
    """(K,) of the bits that are kept."""
    low, high = transform.num_bits
    bits_K = low + below(stream.uniforms(index_K, 1)[:, 0], high - low + 1)
    return (256 - 2 ** (8 - bits_K)).astype(np.uint8)  # type: ignore[no-any-return]


def jitters(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> tuple[FloatArray, IntArray, Mask]:
    """(K, 4) factors of brightness, contrast and saturation and the turn of the hue; (K, 4) their order; and where it is sure."""
    word_K12 = stream.words(index_K, 12)  # of 8 one picture in 4,000 would be unsure, and a GPU would wait for it in most chunks
    ranges = (transform.brightness, transform.contrast, transform.saturation, transform.hue)
    order_K4, is_sure_K = _shuffles(halves(word_K12[:, 4:]), 4)
    return between(as_uniforms(word_K12[:, :4]), ranges), order_K4, is_sure_K


def jitter_rounds(factor_K4: FloatArray, order_K4: IntArray, channels: int) -> Iterator[tuple[int, Mask]]:
    """Which kind of change which pictures get next: each picture's own in its order, without those that change nothing."""
    is_change_4 = np.array([True, True, channels == 3, channels == 3])
    is_change_K4 = np.take_along_axis((factor_K4 != NEUTRAL) & is_change_4, order_K4, 1)
    changes_first_K4 = np.argsort(~is_change_K4, axis=1, kind="stable")
    order_K4, is_change_K4 = (np.take_along_axis(one_K4, changes_first_K4, 1) for one_K4 in (order_K4, is_change_K4))
    for order_K, is_change_K in zip(order_K4.T, is_change_K4.T, strict=True):
        for kind in np.unique(order_K[is_change_K]).tolist():
            yield kind, is_change_K & (order_K == kind)


def channel_orders(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> IntArray:
    """(K, 3): which channel comes where."""
    u_K2 = stream.uniforms(index_K, 2)
    order_K3 = np.tile(np.arange(3), (len(index_K), 1))
    for position, u_K in ((2, u_K2[:, 0]), (1, u_K2[:, 1])):
        _swap(order_K3, position, below(u_K, position + 1))
    return order_K3


def dropped_channels(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> IntArray:
    """(K,) the channel. The first number of the stream decides how many, which is one, and is left out."""
    return below(stream.uniforms(index_K, 2)[:, 1], 3)


def _shuffles(half_KW: NDArray[np.uint64], num: int) -> tuple[IntArray, Mask]:
    """(K, num) orders as numpy's generator shuffles a list, and where W words were enough.

    It draws numbers below the next power of two, again and again until one is no larger than the position.
    """
    order_KN, is_sure = np.tile(np.arange(num), (len(half_KW), 1)), np.ones(len(half_KW), bool)
    next_K = np.zeros(len(half_KW), np.int64)
    for position in range(num - 1, 0, -1):
        other_KW = (half_KW & np.uint64((1 << position.bit_length()) - 1)).astype(np.int64)
        is_good = (other_KW <= position) & (np.arange(half_KW.shape[1]) >= next_K[:, np.newaxis])
        is_sure &= is_good.any(1)
        first_K = is_good.argmax(1)
        _swap(order_KN, position, np.minimum(other_KW[np.arange(len(half_KW)), first_K], position))
        next_K = first_K + 1
    return order_KN, is_sure


def _swap(order_KN: IntArray, position: int, other_K: IntArray) -> None:
    rows = np.arange(len(order_KN))
    order_KN[rows, other_K], order_KN[:, position] = order_KN[:, position].copy(), order_KN[rows, other_K].copy()
