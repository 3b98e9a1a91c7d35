"""Ops of the device engine that change colours and tones; device.py says how all of them work."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from visiontune.augmentation.engines import random_colour as draws
from visiontune.augmentation.engines.device_colour_spaces import grey_of, hsv_of, rgb_of
from visiontune.augmentation.engines.device_geometry import change, change_each
from visiontune.augmentation.engines.reference import IntArray, part_of
from visiontune.augmentation.keyed_random import FloatArray, Stream


def hue_saturation_value(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """A table of 256 values for each picture and channel of HSV."""
    shift_K3 = draws.hsv_shifts(transform, stream, index_K, pictures_NHWC.shape)
    is_changed = (shift_K3 != 0).any(1)
    change(pictures_NHWC, rows_K[is_changed], _in_hsv, shift_K3[is_changed])


def random_brightness_contrast(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """A table of 256 values for each picture."""
    change(pictures_NHWC, rows_K, _looked_up, draws.tone_tables(transform, stream, index_K, pictures_NHWC.shape))


def color_jitter(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Up to four rounds, in each of them those pictures together that get the same kind of change."""
    factor_K4, order_K4, is_sure = draws.jitters(transform, stream, index_K, pictures_NHWC.shape)
    changes = (_brightness, _contrast, _saturation, _hue)
    for kind, mine in draws.jitter_rounds(factor_K4, order_K4, pictures_NHWC.shape[3]):
        mine &= is_sure
        changes[kind](pictures_NHWC, rows_K[mine], factor_K4[mine, kind])
    change_each(part_of(transform, ~is_sure), stream, pictures_NHWC, rows_K[~is_sure], index_K[~is_sure])


def random_gamma(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """A table for each picture."""
    change(pictures_NHWC, rows_K, _looked_up, draws.gamma_tables(transform, stream, index_K, pictures_NHWC.shape))


def rgb_shift(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """A table for each picture and channel."""
    change(pictures_NHWC, rows_K, _looked_up, draws.shift_tables(transform, stream, index_K, pictures_NHWC.shape))


def channel_shuffle(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """A gather over channels."""
    order_K3 = draws.channel_orders(transform, stream, index_K, pictures_NHWC.shape)
    change(pictures_NHWC, rows_K, lambda taken, order: taken.gather(3, order[:, None, None, :].expand_as(taken)), order_K3)


def channel_dropout(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """One channel black in each."""
    is_kept_K3 = np.arange(3) != draws.dropped_channels(transform, stream, index_K, pictures_NHWC.shape)[:, np.newaxis]
    change(pictures_NHWC, rows_K, lambda taken, is_kept: taken * is_kept[:, None, None, :], is_kept_K3)


def to_gray(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    change(pictures_NHWC, rows_K, lambda taken: grey_of(taken).to(torch.uint8).expand_as(taken))


def invert_img(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    change(pictures_NHWC, rows_K, lambda taken: 255 - taken)


def equalize(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn; a channel of one value stays as it is."""
    change(pictures_NHWC, rows_K, _equalized)


def auto_contrast(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """The same values as in batched_colour.py."""
    change(pictures_NHWC, rows_K, _stretched)


def solarize(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """A table of 256 values for each picture."""
    change(pictures_NHWC, rows_K, _looked_up, draws.solarize_tables(transform, stream, index_K, pictures_NHWC.shape))


def posterize(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """A mask of bits for each picture."""
    mask_K = draws.bit_masks(transform, stream, index_K, pictures_NHWC.shape)
    change(pictures_NHWC, rows_K, lambda taken, mask: taken & mask[:, None, None, None], mask_K)


def _brightness(pictures_NHWC: Tensor, rows_K: IntArray, factor_K: FloatArray) -> None:
    change(pictures_NHWC, rows_K, _looked_up, draws.line_tables(factor_K, np.zeros_like(factor_K)))


def _contrast(pictures_NHWC: Tensor, rows_K: IntArray, factor_K: FloatArray) -> None:
    change(pictures_NHWC, rows_K, _contrasted, factor_K)


def _saturation(pictures_NHWC: Tensor, rows_K: IntArray, factor_K: FloatArray) -> None:
    change(pictures_NHWC, rows_K, _saturated, factor_K.astype(np.float32), (1 - factor_K).astype(np.float32))


def _hue(pictures_NHWC: Tensor, rows_K: IntArray, factor_K: FloatArray) -> None:
    change(pictures_NHWC, rows_K, _in_hsv, np.outer(draws.HUES * factor_K, (1.0, 0.0, 0.0)))


def _contrasted(taken_KHWC: Tensor, factor_K: Tensor) -> Tensor:
    """About the mean of the grey picture: double as in the tables of the batched engine, float32 from there on."""
    grey = grey_of(taken_KHWC) if taken_KHWC.shape[3] == 3 else taken_KHWC
    offset_K = (grey.reshape(len(grey), -1).double().mean(1) * (1 - factor_K)).float()
    lines_KHWC = taken_KHWC.float() * factor_K.float()[:, None, None, None] + offset_K[:, None, None, None]
    return lines_KHWC.clamp(0, 255).to(torch.uint8)


def _saturated(taken_KHWC: Tensor, factor_K: Tensor, grey_factor_K: Tensor) -> Tensor:
    mixed = taken_KHWC.float() * factor_K[:, None, None, None] + grey_of(taken_KHWC).float() * grey_factor_K[:, None, None, None]
    return mixed.round().clamp(0, 255).to(torch.uint8)


def _in_hsv(taken_KHWC: Tensor, shift_K3: Tensor) -> Tensor:
    """As hsv_tables says, but the tables are made here: on the host they took 8 us a picture, more than all other draws."""
    hue_K1, sat_K1, val_K1 = shift_K3[:, :, None].unbind(1)
    value_V = torch.arange(256, device=taken_KHWC.device, dtype=torch.float64)
    hue_KV = torch.where(hue_K1 == 0, value_V, torch.remainder(value_V + hue_K1, draws.HUES))
    sat_KV = (value_V + sat_K1.trunc()).clamp(0, 255) * (value_V > 0)
    table_KVC = torch.stack([hue_KV, sat_KV, (value_V + val_K1.trunc()).clamp(0, 255)], 2).to(torch.uint8)
    return rgb_of(_looked_up(hsv_of(taken_KHWC), table_KVC))


def _looked_up(values_KHWC: Tensor, tables: Tensor) -> Tensor:
    """Tables are (K, 256), or (K, 256, C) where channels differ."""
    num, channels = values_KHWC.shape[0], values_KHWC.shape[3]
    table_KVC = tables if tables.ndim == 3 else tables[:, :, None].expand(-1, -1, channels)
    values_KDC = values_KHWC.reshape(num, -1, channels).long()
    return table_KVC.gather(1, values_KDC).reshape(values_KHWC.shape)


def _equalized(taken_KHWC: Tensor) -> Tensor:
    num, _, _, channels = taken_KHWC.shape
    values_KDC = taken_KHWC.reshape(num, -1, channels)
    planes = torch.arange(num * channels, device=taken_KHWC.device).reshape(num, 1, channels)
    place = (planes * 256 + values_KDC).flatten()
    count = torch.zeros(num * channels * 256, dtype=torch.int64, device=place.device)
    # torch.bincount asks for the largest value, and so waits for a GPU.
    count_KCV = count.scatter_add_(0, place, torch.ones_like(place)).reshape(num, channels, 256)
    first_KC1 = count_KCV.gather(2, values_KDC.amin(1)[:, :, None].long())
    scale_KC1 = _quotient(255, (values_KDC.shape[1] - first_KC1).float())
    table_KCV = ((count_KCV.cumsum(2) - first_KC1).float() * scale_KC1).round().clamp(0, 255).to(torch.uint8)
    is_flat_KC1 = first_KC1 == values_KDC.shape[1]
    same_V = torch.arange(256, device=taken_KHWC.device, dtype=torch.uint8)
    return _looked_up(taken_KHWC, torch.where(is_flat_KC1, same_V, table_KCV).transpose(1, 2))


def _stretched(taken_KHWC: Tensor) -> Tensor:
    """Darkest to 0, lightest to 255; values of 255 don't count for the lightest."""
    values_KDC = taken_KHWC.reshape(len(taken_KHWC), -1, taken_KHWC.shape[3])
    low_K1C = values_KDC.amin(1, keepdim=True).double()
    high_K1C = torch.where(values_KDC == 255, 0, values_KDC).amax(1, keepdim=True).double()
    value_KDC = values_KDC.double()
    scaled = ((value_KDC - low_K1C) * _quotient(255, high_K1C - low_K1C)).round().clamp(0, 255)
    scaled = torch.where(value_KDC > high_K1C, 255.0, scaled)
    return torch.where(high_K1C <= low_K1C, value_KDC, scaled).to(torch.uint8).reshape(taken_KHWC.shape)


def _quotient(number: float, divisors: Tensor) -> Tensor:
    """torch's own number / tensor multiplies by the reciprocal, which is off by a last digit."""
    return torch.full_like(divisors, number) / divisors
