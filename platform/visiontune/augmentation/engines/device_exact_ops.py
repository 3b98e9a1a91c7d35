"""Ops at a stated strength on pictures in a tensor, each picture with a strength of its own: one change for all of them.

The same pixels as exact_ops.py, which says what the strengths mean: within one level of 255 where colours are computed, within
interpolation where pixels are moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.engines.device_geometry import change
from visiontune.augmentation.engines.device_texture import blurred
from visiontune.augmentation.engines.exact_ops import BLUR_SIDE, GEOMETRY, LUMA, sources
from visiontune.augmentation.engines.reference import IntArray
from visiontune.augmentation.keyed_random import FloatArray

OnDevice = Callable[[Tensor, Tensor], Tensor]


def apply_exact_on_device(name: str, pictures_NHWC: Tensor, rows_K: IntArray, value_K: FloatArray, interpolation: str = "nearest") -> None:
    """Change these rows in place."""
    if name in GEOMETRY:
        matrix_K23 = sources(name, value_K, pictures_NHWC.shape[1:3])
        change(pictures_NHWC, rows_K, lambda taken, matrix: _warped(taken, matrix.float(), interpolation), matrix_K23)
    else:
        change(pictures_NHWC, rows_K, CHANGES[name], value_K)


def _warped(taken_KHWC: Tensor, matrix_K23: Tensor, interpolation: str) -> Tensor:
    _, height, width, _ = taken_KHWC.shape
    y_HW, x_HW = torch.meshgrid(*(torch.arange(size, device=taken_KHWC.device) for size in (height, width)), indexing="ij")
    point_3D = torch.stack([x_HW, y_HW, torch.ones_like(x_HW)]).reshape(3, -1).float()
    x_KHW, y_KHW = (matrix_K23 @ point_3D).reshape(-1, 2, height, width).unbind(1)
    grid_KHW2 = torch.stack([(2 * x_KHW + 1) / width - 1, (2 * y_KHW + 1) / height - 1], dim=-1)
    picture_KCHW = taken_KHWC.permute(0, 3, 1, 2).float()
    warped_KCHW = F.grid_sample(picture_KCHW, grid_KHW2, mode=interpolation, padding_mode="zeros", align_corners=False)
    return warped_KCHW.round().to(torch.uint8).permute(0, 2, 3, 1)


def _brightness(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    return _bytes(taken_KHWC.float() * _spread(value_K))


def _contrast(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    grey = _grey(taken_KHWC).floor() if taken_KHWC.shape[3] == 3 else taken_KHWC.float()
    mean_K = grey.reshape(len(grey), -1).mean(1)
    return _bytes(taken_KHWC.float() * _spread(value_K) + _spread(mean_K * (1 - value_K)))


def _saturation(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    if taken_KHWC.shape[3] != 3:
        return taken_KHWC
    return _bytes(taken_KHWC.float() * _spread(value_K) + _grey(taken_KHWC).floor()[..., None] * _spread(1 - value_K))


def _sharpen(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    if min(taken_KHWC.shape[1:3]) <= 2:
        return taken_KHWC
    _, height, width, _ = taken_KHWC.shape
    whole_KHWC = taken_KHWC.float()
    inner_KHWC = whole_KHWC[:, 1:-1, 1:-1]
    around_KHWC = 4 * inner_KHWC
    for y in range(3):  # a sum of shifted pictures: a GPU's convolution may round to 10 bits (TF32)
        for x in range(3):
            around_KHWC = around_KHWC + whole_KHWC[:, y : height - 2 + y, x : width - 2 + x]
    changed_KHWC = taken_KHWC.clone()
    blurred_KHWC = (around_KHWC / 13).round()
    changed_KHWC[:, 1:-1, 1:-1] = _bytes(inner_KHWC + _spread(1 - value_K) * (blurred_KHWC - inner_KHWC))
    return changed_KHWC


def _posterize(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    mask_K = (256 - 2 ** (8 - value_K)).to(torch.uint8)
    return taken_KHWC & mask_K[:, None, None, None]


def _solarize(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    return torch.where(taken_KHWC >= (255 * value_K)[:, None, None, None], 255 - taken_KHWC, taken_KHWC)


def _auto_contrast(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    low_K11C, high_K11C = taken_KHWC.amin((1, 2), keepdim=True).float(), taken_KHWC.amax((1, 2), keepdim=True).float()
    is_flat_K11C = low_K11C == high_K11C
    scale_K11C = torch.where(is_flat_K11C, 1.0, (high_K11C - low_K11C) * (1 / 255))
    return _bytes((taken_KHWC.float() - torch.where(is_flat_K11C, 0.0, low_K11C)) / scale_K11C)


def _equalize(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    num, height, width, channels = taken_KHWC.shape
    value_PD = taken_KHWC.permute(0, 3, 1, 2).reshape(num * channels, -1).long()
    none_PV = torch.zeros(len(value_PD), 256, dtype=torch.long, device=value_PD.device)
    count_PV = none_PV.scatter_add_(1, value_PD, torch.ones_like(value_PD))
    step_P1 = (height * width - count_PV.gather(1, value_PD.amax(1, keepdim=True))) // 255
    before_PV = count_PV.cumsum(1) - count_PV
    flat_PV = ((before_PV + step_P1 // 2) // step_P1.clamp(min=1)).clamp(0, 255)
    flat_PV[:, 0] = 0
    table_PV = torch.where(step_P1 == 0, torch.arange(256, device=value_PD.device), flat_PV)
    return table_PV.gather(1, value_PD).to(torch.uint8).reshape(num, channels, height, width).permute(0, 2, 3, 1)


def _to_gray(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    return taken_KHWC if taken_KHWC.shape[3] != 3 else _bytes(_grey(taken_KHWC))[..., None].expand_as(taken_KHWC)


def _gaussian_blur(taken_KHWC: Tensor, value_K: Tensor) -> Tensor:
    """Down the columns and along the rows."""
    place_S = torch.arange(-(BLUR_SIDE // 2), BLUR_SIDE // 2 + 1, device=taken_KHWC.device)
    weight_KS = torch.exp(-((place_S / value_K[:, None]) ** 2) / 2)
    return blurred(taken_KHWC, (weight_KS / weight_KS.sum(1, keepdim=True)).float())


CHANGES: Mapping[str, OnDevice] = {
    "Brightness": _brightness,
    "Contrast": _contrast,
    "Saturation": _saturation,
    "Sharpen": _sharpen,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": _auto_contrast,
    "Equalize": _equalize,
    "ToGray": _to_gray,
    "GaussianBlur": _gaussian_blur,
}


def _grey(taken_KHWC: Tensor) -> Tensor:
    red, green, blue = taken_KHWC.float().unbind(3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _spread(value_K: Tensor) -> Tensor:
    return value_K.float()[:, None, None, None]


def _bytes(values: Tensor) -> Tensor:
    return values.clamp(0, 255).to(torch.uint8)
