"""Grey and HSV of bytes on a device, as OpenCV has them: grey and RGB to HSV to the bit, HSV to RGB to one level.

There OpenCV itself rounds down in runs of 32 pixels and to the nearest in what is left of a row; here all is rounded down.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.augmentation.engines.random_colour import HUES
from visiontune.augmentation.to_device import to_device

_GREY_SHIFT, _GREY_FACTORS = 15, (9798, 19235, 3735)
_HSV_SHIFT = 12
_SECTORS = np.array([(0, 3, 1), (2, 0, 1), (1, 0, 3), (1, 2, 0), (3, 1, 0), (0, 1, 2)])
"""Which of (v, v (1 - s), v (1 - s f), v (1 - s (1 - f))) red, green and blue are in each sixth of the hues."""


def grey_of(taken_KHWC: Tensor) -> Tensor:
    """(K, H, W, 1) int32: OpenCV's luma of RGB bytes."""
    red, green, blue = (taken_KHWC[..., channel].int() * factor for channel, factor in enumerate(_GREY_FACTORS))
    return ((red + green + blue + (1 << (_GREY_SHIFT - 1))) >> _GREY_SHIFT)[..., None]


def hsv_of(rgb: Tensor) -> Tensor:
    """(..., 3) int32, hue below 180: as OpenCV's RGB2HSV of bytes, whose divisions are tables of 12 bits after the point."""
    red, green, blue = rgb.int().unbind(-1)
    value, lowest = rgb.int().amax(-1), rgb.int().amin(-1)
    spread = value - lowest
    divided_S, divided_H = (to_device(table, rgb.device) for table in _divisions())
    half = 1 << (_HSV_SHIFT - 1)
    saturation = (spread * divided_S[value] + half) >> _HSV_SHIFT
    sixth = torch.where(value == green, blue - red + 2 * spread, red - green + 4 * spread)
    hue = (torch.where(value == red, green - blue, sixth) * divided_H[spread] + half) >> _HSV_SHIFT
    return torch.stack([hue + HUES * (hue < 0), saturation, value], dim=-1)


def rgb_of(hsv: Tensor) -> Tensor:
    """(..., 3) uint8, as OpenCV's HSV2RGB of bytes, in float32."""
    hue, saturation, value = (one * factor for one, factor in zip(hsv.float().unbind(-1), (6 / HUES, 1 / 255, 1 / 255), strict=True))
    sector = hue.floor()
    within = hue - sector
    tones = [value, value * (1 - saturation), value * (1 - saturation * within), value * (1 - saturation * (1 - within))]
    which = to_device(_SECTORS, hsv.device)[sector.long() % 6]
    rgb = torch.stack(tones, dim=-1).gather(-1, which)
    return (rgb * 255).clamp(0, 255).to(torch.uint8)


@cache
def _divisions() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(256,) int32 each: 255 / v and 180 / (6 v) in 1 / 4096ths, 0 for v = 0."""
    value_V = np.arange(1, 256)
    tables = (np.rint((numerator << _HSV_SHIFT) / (factor * value_V)) for numerator, factor in ((255, 1.0), (HUES, 6.0)))
    first, second = (np.concatenate([[0], table]).astype(np.int32) for table in tables)
    return first, second
