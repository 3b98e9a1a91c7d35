"""The rule by which a picture gets the training shape (data/picture/shape.py), as operations of a graph, for pictures of any size.

OpenCV's averages and interpolation over again: sides become products with matrices that are made of the size that comes, and what OpenCV
rounds on its way, in 11 bits of a share and 16 of a product, is rounded here. On the pictures tried, of 1 to 1,000 pixels a side,
every value is that of OpenCV 5 on x86-64, but for one of thousands that lies between two whole numbers; its other builds may differ
by 1 of 255 from each other.
Sizes are (height, width). Letters: N pictures, C channels, H and W of them as they come, S a side that is wanted, L old pixels of a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from visiontune.data.picture.shape import MUCH_SMALLER

_ONE = 2048.0
"""A share of 1, in OpenCV's integers."""


class _Between(NamedTuple):
    """Where each new pixel of a side lies: behind the old pixel `left_S`, by `share_S` of the way to the next one."""

    left_S: Tensor
    share_S: Tensor


def squashed(x_NCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, *size), whole pictures, 0 to 255 in whole numbers: averaged where there is much to average, else interpolated."""
    lengths = height, width = _length(x_NCHW, 2), _length(x_NCHW, 3)
    is_area = height * width > MUCH_SMALLER * size[0] * size[1]
    is_mean = is_area & (height >= size[0]) & (width >= size[1])
    rows_SH, columns_SW = (_shares(side, x_NCHW.shape[dim], length) for side, dim, length in zip(size, (2, 3), lengths, strict=True))
    means = rows_SH @ (x_NCHW @ columns_SW.T) * (size[0] * size[1] / (height * width)).float()
    averaged = _half_up_where((height == 2 * size[0]) & (width == 2 * size[1]), means)
    row, column = (_between(side, length, is_area) for side, length in zip(size, lengths, strict=True))
    return torch.where(is_mean, averaged, _interpolated(x_NCHW, row, column))


def centred(x_NCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, *size), the largest part of that shape in the middle: averaged by a whole number, then interpolated; as `centre_crop`."""
    lengths = height, width = _length(x_NCHW, 2), _length(x_NCHW, 3)
    factor = torch.clamp(torch.minimum(torch.floor(height / size[0]), torch.floor(width / size[1])), min=1)
    nums = [torch.floor(side / factor) for side in _largest_part(height, width, size)]
    sides = []
    for dim, length, num, side in zip((2, 3), lengths, nums, size, strict=True):
        first = torch.floor((length - num * factor) / 2)
        block_L = torch.floor((_numbers(x_NCHW.shape[dim]) - first) / factor)
        is_in = (_numbers(2 * side + 1)[:, None] == block_L) & (block_L < num)  # about twice the side is left at most
        sides.append(is_in.float())
    sums = sides[0] @ (x_NCHW @ sides[1].T)
    averaged = _half_up_where(factor == 2, sums * (1 / (factor * factor)).float())
    row, column = (_between(side, num, torch.tensor(False)) for side, num in zip(size, nums, strict=True))
    return _interpolated(averaged, row, column, nums)


def _largest_part(height: Tensor, width: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """As `largest_part`, in whole numbers that a double holds exactly."""
    is_wide = height * size[1] <= width * size[0]
    rows = torch.clamp(torch.floor((2 * width * size[0] + size[1]) / (2 * size[1])), min=1)
    columns = torch.clamp(torch.floor((2 * height * size[1] + size[0]) / (2 * size[0])), min=1)
    return torch.where(is_wide, height, rows), torch.where(is_wide, columns, width)


def _interpolated(x_NCHW: Tensor, row: _Between, column: _Between, nums: Sequence[Tensor] | None = None) -> Tensor:
    """Columns first, then rows, as OpenCV does. Of each side the first of `nums` pixels count, None: all."""
    height, width = nums or [_length(x_NCHW, dim) for dim in (2, 3)]
    is_end = (column.left_S < 0) | (column.left_S >= width - 1)
    share_S = torch.where(is_end, 0.0, column.share_S)
    left, right = (_taken(column.left_S + step, x_NCHW.shape[3], width) for step in (0, 1))
    x_NCHS = x_NCHW @ (left * _fixed(1 - share_S) + right * _fixed(share_S)).T
    total = torch.full_like(x_NCHS[:, :, :1], 2.0)
    for step, weight_S in ((0, 1 - row.share_S), (1, row.share_S)):
        old = _taken(row.left_S + step, x_NCHW.shape[2], height) @ x_NCHS
        total = total + torch.floor(torch.floor(old / 16) * _fixed(weight_S) / 65536)
    return torch.floor(total / 4)


def _between(size: int, length: Tensor, is_area: Tensor) -> _Between:
    """By the middles of pixels; with INTER_AREA, where one side grows, by their edges."""
    new_S = _numbers(size)
    middle_S = ((new_S + 0.5) * (length / size) - 0.5).float()
    left_S = torch.floor(new_S * length / size)
    over_S = (new_S + 1 - (left_S + 1) * size / length).float()
    over_S = torch.where(over_S <= 0, 0.0, over_S - torch.floor(over_S))
    return _Between(
        torch.where(is_area, left_S, torch.floor(middle_S).double()), torch.where(is_area, over_S, middle_S - torch.floor(middle_S))
    )


def _taken(at_S: Tensor, num: int, length: Tensor) -> Tensor:
    """(S, num) with a 1 at the old pixel of each new one, the nearest that there is."""
    inside_S = torch.minimum(torch.clamp(at_S, min=0), length - 1)
    return (inside_S[:, None] == _numbers(num)).float()


def _fixed(share_S: Tensor) -> Tensor:
    return torch.round(share_S * _ONE).float()[:, None]


def _shares(size: int, num: int, length: Tensor) -> Tensor:
    """(S, L): how much of each old pixel a new one covers, 0 to 1."""
    at_L, scale = _numbers(num), length / size
    low_S1 = _numbers(size)[:, None] * scale
    covered_SL = torch.minimum(low_S1 + scale, at_L + 1) - torch.maximum(low_S1, at_L)
    return torch.clamp(covered_SL, min=0).float()


def _half_up_where(is_two: Tensor, x: Tensor) -> Tensor:
    """Means of two by two pixels are rounded half up, others half to even."""
    return torch.where(is_two, torch.floor(x + 0.5), torch.round(x))


def _numbers(num: int) -> Tensor:
    return torch.arange(num, dtype=torch.float64)


def _length(x: Tensor, dim: int) -> Tensor:
    return torch.scalar_tensor(x.shape[dim], dtype=torch.float64)
