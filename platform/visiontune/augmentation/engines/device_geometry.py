"""Ops of the device engine that move pixels or hide them; device.py says how all of them work."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.engines import random_geometry
from visiontune.augmentation.engines.batched_geometry import symmetric
from visiontune.augmentation.engines.reference import IntArray, apply_each
from visiontune.augmentation.keyed_random import FloatArray, Stream
from visiontune.augmentation.mixing import blanked
from visiontune.augmentation.to_device import to_device


def horizontal_flip(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    change(pictures_NHWC, rows_K, lambda taken: taken.flip(2))


def vertical_flip(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    change(pictures_NHWC, rows_K, lambda taken: taken.flip(1))


def transpose(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Nothing is drawn."""
    change(pictures_NHWC, rows_K, lambda taken: taken.transpose(1, 2))


def random_rotate_90(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Turned by 0, 90, 180 or 270 degrees: a quarter of the pictures each."""
    which_K = random_geometry.quarter_turns(transform, stream, index_K, pictures_NHWC.shape)
    change(pictures_NHWC, rows_K, _rearranged, which_K)


def d4(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """One of the eight symmetries: an eighth of the pictures each."""
    which_K = random_geometry.symmetries(transform, stream, index_K, pictures_NHWC.shape)
    change(pictures_NHWC, rows_K, _rearranged, which_K)


def affine(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """One bilinear sampling of all pictures."""
    _warp(pictures_NHWC, rows_K, random_geometry.affine_moves(transform, stream, index_K, pictures_NHWC.shape))


def rotate(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """An affine op with a rotation alone."""
    _warp(pictures_NHWC, rows_K, random_geometry.rotations(transform, stream, index_K, pictures_NHWC.shape))


def pad_and_crop(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """A gather out of padded pictures."""
    (pad_y, pad_x), corner_K2 = random_geometry.crop_corners(transform, stream, index_K, pictures_NHWC.shape)
    size, padding = pictures_NHWC.shape[1:3], (0, 0, pad_x, pad_x, pad_y, pad_y)
    change(pictures_NHWC, rows_K, lambda taken, corner: _cut_out(F.pad(taken, padding), corner, size), corner_K2)


def random_resized_crop(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Crops of other shapes."""
    box_K4, fits = random_geometry.resized_boxes(transform, stream, index_K, pictures_NHWC.shape)
    change(pictures_NHWC, rows_K[fits], _cropped, box_K4[fits])
    change_each(transform, stream, pictures_NHWC, rows_K[~fits], index_K[~fits])


def crop_and_resize(pictures_NHWC: Tensor, box_N4: IntArray) -> None:
    """A box of each picture (top, left, bottom, right), scaled to the size of the picture."""
    change(pictures_NHWC, np.arange(len(box_N4)), _cropped, box_N4)


def random_sized_crop(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Crops of the picture's shape."""
    box_K4, _ = random_geometry.shaped_boxes(transform, stream, index_K, pictures_NHWC.shape)
    change(pictures_NHWC, rows_K, _cropped, box_K4)


def coarse_dropout(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """One black box in each picture."""
    box_K4, is_sure = random_geometry.holes(transform, stream, index_K, pictures_NHWC.shape)
    change(pictures_NHWC, rows_K[is_sure], _blanked, box_K4[is_sure])
    change_each(transform, stream, pictures_NHWC, rows_K[~is_sure], index_K[~is_sure])


def erasing(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """One black box in each picture."""
    change(pictures_NHWC, rows_K, _blanked, random_geometry.erased(transform, stream, index_K, pictures_NHWC.shape))


def change(pictures_NHWC: Tensor, rows_K: IntArray, make: Callable[..., Tensor], *drawn: NDArray[Any]) -> None:
    """Put make(rows, *drawn) in place of these rows; what is drawn goes to their device."""
    if len(rows_K) == 0:
        return
    rows, *values = (to_device(one, pictures_NHWC.device) for one in (rows_K, *drawn))
    pictures_NHWC[rows] = make(pictures_NHWC[rows], *values)


def change_each(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Apply the transform itself, on the CPU, to those few pictures for which it may draw other numbers (random_geometry.py)."""
    if len(rows_K) == 0:
        return
    rows = to_device(rows_K, pictures_NHWC.device)
    taken = pictures_NHWC[rows].cpu().numpy()
    apply_each(transform, stream, taken, np.arange(len(rows_K)), index_K)
    pictures_NHWC[rows] = to_device(taken, pictures_NHWC.device)


@cache
def _sources(side: int) -> IntArray:
    """(8, side, side): which pixel comes where under each symmetry."""
    pixel_1HW1: Any = np.arange(side * side).reshape(1, side, side, 1)
    return np.stack([symmetric(pixel_1HW1, name)[0, ..., 0] for name in random_geometry.SYMMETRIES]).astype(np.int64)


def _rearranged(taken_KHWC: Tensor, which_K: Tensor) -> Tensor:
    return _moved(taken_KHWC, to_device(_sources(taken_KHWC.shape[1]), taken_KHWC.device)[which_K])


def _cut_out(padded_KHWC: Tensor, corner_K2: Tensor, size: tuple[int, ...]) -> Tensor:
    """Parts of that size. Sources are made on the device: eight bytes for each pixel are more than a picture has."""
    row_H, column_W = (torch.arange(side, device=padded_KHWC.device) for side in size)
    row_KH, column_KW = corner_K2[:, :1] + row_H, corner_K2[:, 1:] + column_W
    return _moved(padded_KHWC, row_KH[:, :, None] * padded_KHWC.shape[2] + column_KW[:, None, :])


def _moved(taken_KHWC: Tensor, source_KHW: Tensor) -> Tensor:
    num, channels = taken_KHWC.shape[0], taken_KHWC.shape[3]
    source = source_KHW.reshape(num, -1, 1).expand(-1, -1, channels)
    return taken_KHWC.reshape(num, -1, channels).gather(1, source).reshape(*source_KHW.shape, channels)


def _blanked(taken_KHWC: Tensor, box_K4: Tensor) -> Tensor:
    return blanked(taken_KHWC.permute(0, 3, 1, 2), box_K4).permute(0, 2, 3, 1)


def _warp(pictures_NHWC: Tensor, rows_K: IntArray, matrix_K33: FloatArray) -> None:
    """Matrices say where a pixel goes; sampling asks where it comes from."""
    change(pictures_NHWC, rows_K, _warped, np.linalg.inv(matrix_K33)[:, :2].astype(np.float32))


def _warped(taken_KHWC: Tensor, matrix_K23: Tensor) -> Tensor:
    _, height, width, _ = taken_KHWC.shape
    y_HW, x_HW = torch.meshgrid(*(torch.arange(size, device=taken_KHWC.device) for size in (height, width)), indexing="ij")
    point_3D = torch.stack([x_HW, y_HW, torch.ones_like(x_HW)]).reshape(3, -1).float()
    x_KHW, y_KHW = (matrix_K23 @ point_3D).reshape(-1, 2, height, width).unbind(1)
    return _sampled(taken_KHWC, x_KHW, y_KHW)


def _cropped(taken_KHWC: Tensor, box_K4: Tensor) -> Tensor:
    """Each box scaled to the size of the picture; beyond a box its edge is repeated."""
    _, height, width, _ = taken_KHWC.shape
    top_K1, left_K1, bottom_K1, right_K1 = box_K4[:, :, np.newaxis].float().unbind(1)
    y_KH = _stretched(top_K1, bottom_K1, height)
    x_KW = _stretched(left_K1, right_K1, width)
    return _sampled(taken_KHWC, x_KW[:, np.newaxis].expand(-1, height, -1), y_KH[:, :, np.newaxis].expand(-1, -1, width))


def _stretched(low_K1: Tensor, high_K1: Tensor, size: int) -> Tensor:
    middle_S = (torch.arange(size, device=low_K1.device) + 0.5) / size
    return torch.clamp(low_K1 + middle_S * (high_K1 - low_K1) - 0.5, low_K1, high_K1 - 1)


def _sampled(taken_KHWC: Tensor, x_KHW: Tensor, y_KHW: Tensor) -> Tensor:
    """Bilinear, black outside; x and y count pixels from 0, in their middle."""
    _, height, width, _ = taken_KHWC.shape
    grid_KHW2 = torch.stack([(2 * x_KHW + 1) / width - 1, (2 * y_KHW + 1) / height - 1], dim=-1)
    sampled_KCHW = F.grid_sample(taken_KHWC.permute(0, 3, 1, 2).float(), grid_KHW2, padding_mode="zeros", align_corners=False)
    return sampled_KCHW.round().to(torch.uint8).permute(0, 2, 3, 1)
