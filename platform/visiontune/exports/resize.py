"""The rules by which a picture gets the training shape (data/picture/shape.py, frame.py), as operations of a graph, for any size.

OpenCV's averages and interpolation over again: sides become products with matrices that are made of the size that comes, and what OpenCV
rounds on its way, in 11 bits of a share and 16 of a product, is rounded here. On the pictures tried, of 1 to 1,000 pixels a side,
every value is that of OpenCV 5 on x86-64, but for one of thousands that lies between two whole numbers; its other builds may differ
by 1 of 255 from each other.
Letters: N pictures, C channels, H and W of them as they come, S the side that is wanted, L old pixels of a side, B blocks of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from visiontune.data.picture.frame import MOST_LENGTHS
from visiontune.data.picture.shape import MUCH_SMALLER
from visiontune.data.picture.stored_form import Form
from visiontune.spec.declarations.image_size import ImageSize, sides

_ONE = 2048.0
"""A share of 1, in OpenCV's integers."""


class Side(NamedTuple):
    """Of `length` old pixels from `first` on `total` new ones are made, of which those from `start` on are wanted; outside all is black."""

    first: Tensor
    length: Tensor
    total: Tensor
    start: Tensor


class _Between(NamedTuple):
    """Where each new pixel of a side lies: behind the old pixel `left_S`, by `share_S` of the way to the next one."""

    left_S: Tensor
    share_S: Tensor


def framed(x_NCHW: Tensor, form: Form) -> Tensor:
    """(N, C, height, width), what validation sees of whole pictures: as the form keeps them, then at the training size."""
    if form.is_large:
        x_NCHW = shrunk(x_NCHW, form.stored_size, form.frame) if form.frame else centred(x_NCHW, form.stored_size)
        return squashed(x_NCHW, form.image_size)
    return fitted(x_NCHW, form.image_size, form.frame or "squash")


def squashed(x_NCHW: Tensor, size: ImageSize) -> Tensor:
    """Whole pictures as `fit` makes them, 0 to 255 in whole numbers."""
    return fitted(x_NCHW, size, "squash")


def fitted(x_NCHW: Tensor, size: ImageSize, frame: str) -> Tensor:
    """(N, C, height, width) in a frame by `fit`: averaged where there is much to average, else interpolated."""
    shape, both = sides(size), _sides(x_NCHW, sides(size), frame)
    rows, columns = both
    is_area = rows.length * columns.length > MUCH_SMALLER * rows.total * columns.total
    is_mean = is_area & (rows.length >= rows.total) & (columns.length >= columns.total)
    rows_SH, columns_SW = (_shares(new, x_NCHW.shape[dim], side) for new, dim, side in zip(shape, (2, 3), both, strict=True))
    share = rows.total * columns.total / (rows.length * columns.length)
    means = rows_SH @ (x_NCHW @ columns_SW.T) * share.float()
    averaged = _half_up_where((rows.length == 2 * rows.total) & (columns.length == 2 * columns.total), means)
    row, column = (_between(new, side, is_area) for new, side in zip(shape, both, strict=True))
    return _within(torch.where(is_mean, averaged, _interpolated(x_NCHW, row, column, rows, columns)), shape, both)


def shrunk(x_NCHW: Tensor, size: ImageSize, frame: str) -> Tensor:
    """(N, C, height, width) in a frame by `shrunk`: averaged by whole numbers, then interpolated; of "crop" the middle of all of it."""
    shape = sides(size)
    both = _covering(x_NCHW, shape) if frame == "crop" else _sides(x_NCHW, shape, frame)
    return _shrunk(x_NCHW, shape, both, [torch.clamp(torch.floor(side.length / side.total), min=1) for side in both])


def centred(x_NCHW: Tensor, size: ImageSize) -> Tensor:
    """(N, C, height, width), of that shape the largest part in the middle, as `centre_crop`."""
    shape = sides(size)
    lengths = [_length(x_NCHW, dim) for dim in (2, 3)]
    factor = torch.clamp(torch.minimum(*(torch.floor(old / new) for old, new in zip(lengths, shape, strict=True))), min=1)
    parts = [side._replace(length=torch.floor(side.length / factor) * factor) for side in _sides(x_NCHW, shape, "crop")]
    rows, columns = (side._replace(first=torch.floor((old - side.length) / 2)) for side, old in zip(parts, lengths, strict=True))
    return _shrunk(x_NCHW, shape, (rows, columns), [factor, factor])


def _sides(x_NCHW: Tensor, shape: tuple[int, int], frame: str) -> tuple[Side, Side]:
    """Rows and columns. As `largest_part` and `inner_size` have it."""
    zero, news = torch.zeros((), dtype=torch.float64), [torch.tensor(float(new), dtype=torch.float64) for new in shape]
    lengths = height, width = _length(x_NCHW, 2), _length(x_NCHW, 3)
    if frame == "squash":
        parts, totals = lengths, news
    else:
        is_tall = height * shape[1] > width * shape[0]
        other_height = torch.clamp(torch.floor((2 * width * shape[0] + shape[1]) / (2 * shape[1])), min=1)
        other_width = torch.clamp(torch.floor((2 * height * shape[1] + shape[0]) / (2 * shape[0])), min=1)
        inner_height = torch.clamp(torch.floor((2 * height * shape[1] + width) / (2 * width)), min=1)
        inner_width = torch.clamp(torch.floor((2 * width * shape[0] + height) / (2 * height)), min=1)
        if frame == "crop":
            parts, totals = (torch.where(is_tall, other_height, height), torch.where(is_tall, width, other_width)), news
        else:
            is_tall = height * shape[1] >= width * shape[0]
            parts, totals = lengths, [torch.where(is_tall, news[0], inner_height), torch.where(is_tall, inner_width, news[1])]
    firsts = (torch.floor((length - part) / 2) for length, part in zip(lengths, parts, strict=True))
    starts = (-torch.floor((new - total) / 2) for new, total in zip(news, totals, strict=True))
    rows, columns = (Side(*one) for one in zip(firsts, parts, totals, (start + zero for start in starts), strict=True))
    return rows, columns


def _covering(x_NCHW: Tensor, shape: tuple[int, int]) -> tuple[Side, Side]:
    """As `kept_part` and `covering_size` have it."""
    in_frame = _sides(x_NCHW, shape, "crop")
    lengths = [_length(x_NCHW, dim) for dim in (2, 3)]
    height, width = (torch.minimum(old, MOST_LENGTHS * side.length) for old, side in zip(lengths, in_frame, strict=True))
    is_tall = height * shape[1] >= width * shape[0]
    covering_height = torch.floor((2 * height * shape[1] + width) / (2 * width))
    covering_width = torch.floor((2 * width * shape[0] + height) / (2 * height))
    totals = (
        torch.clamp(torch.where(is_tall, covering_height, shape[0]), min=shape[0]),
        torch.clamp(torch.where(is_tall, shape[1], covering_width), min=shape[1]),
    )
    rows, columns = (
        Side(torch.floor((old - part) / 2), part, total, torch.floor((total - new) / 2))
        for old, part, total, new in zip(lengths, (height, width), totals, shape, strict=True)
    )
    return rows, columns


def _shrunk(x_NCHW: Tensor, shape: tuple[int, int], both: tuple[Side, Side], factors: list[Tensor]) -> Tensor:
    blocks, left = [], []
    for new, dim, side, factor in zip(shape, (2, 3), both, factors, strict=True):
        num = torch.floor(side.length / factor)
        first = side.first + torch.floor((side.length - num * factor) / 2)
        block_L = torch.floor((_numbers(x_NCHW.shape[dim]) - first) / factor)
        begin = torch.clamp(torch.floor((side.start + 0.5) * (num / side.total) - 0.5), min=0)
        # Fewer than two for each new pixel are left, and a neighbour at either end: room for all of them.
        is_in = (_numbers(2 * new + 2)[:, None] + begin == block_L) & (block_L < num)
        blocks.append(is_in.float())
        left.append(side._replace(first=-begin, length=num))
    sums = blocks[0] @ (x_NCHW @ blocks[1].T)
    averaged = _half_up_where((factors[0] == 2) & (factors[1] == 2), sums * (1 / (factors[0] * factors[1])).float())
    row, column = (_between(new, side, torch.tensor(False)) for new, side in zip(shape, left, strict=True))
    return _within(_interpolated(averaged, row, column, *left), shape, (left[0], left[1]))


def _within(x_NCHW: Tensor, shape: tuple[int, int], both: tuple[Side, Side]) -> Tensor:
    """Black where no picture is."""
    is_in = [(new_S >= 0) & (new_S < side.total) for new_S, side in zip(map(_wanted, shape, both), both, strict=True)]
    return x_NCHW * (is_in[0][:, None] & is_in[1][None, :]).float()


def _wanted(size: int, side: Side) -> Tensor:
    return _numbers(size) + side.start


def _interpolated(x_NCHW: Tensor, row: _Between, column: _Between, rows: Side, columns: Side) -> Tensor:
    """Columns first, then rows, as OpenCV does."""
    is_end = (column.left_S < 0) | (column.left_S >= columns.length - 1)
    share_S = torch.where(is_end, 0.0, column.share_S)
    left, right = (_taken(column.left_S + step, x_NCHW.shape[3], columns) for step in (0, 1))
    x_NCHS = x_NCHW @ (left * _fixed(1 - share_S) + right * _fixed(share_S)).T
    total = torch.full_like(x_NCHS[:, :, :1], 2.0)
    for step, weight_S in ((0, 1 - row.share_S), (1, row.share_S)):
        old = _taken(row.left_S + step, x_NCHW.shape[2], rows) @ x_NCHS
        total = total + torch.floor(torch.floor(old / 16) * _fixed(weight_S) / 65536)
    return torch.floor(total / 4)


def _between(size: int, side: Side, is_area: Tensor) -> _Between:
    """By the middles of pixels; with INTER_AREA, where one side grows, by their edges. Old pixels count from `first`."""
    new_S, length, total = _wanted(size, side), side.length, side.total
    middle_S = ((new_S + 0.5) * (length / total) - 0.5).float()
    left_S = torch.floor(new_S * length / total)
    over_S = (new_S + 1 - (left_S + 1) * total / length).float()
    over_S = torch.where(over_S <= 0, 0.0, over_S - torch.floor(over_S))
    return _Between(
        torch.where(is_area, left_S, torch.floor(middle_S).double()), torch.where(is_area, over_S, middle_S - torch.floor(middle_S))
    )


def _taken(at_S: Tensor, num: int, side: Side) -> Tensor:
    """(S, num) with a 1 at the old pixel of each new one, the nearest that there is."""
    inside_S = side.first + torch.minimum(torch.clamp(at_S, min=0), side.length - 1)
    return (inside_S[:, None] == _numbers(num)).float()


def _fixed(share_S: Tensor) -> Tensor:
    return torch.round(share_S * _ONE).float()[:, None]


def _shares(size: int, num: int, side: Side) -> Tensor:
    """(S, L): how much of each old pixel a new one covers, 0 to 1."""
    at_L, scale = _numbers(num) - side.first, side.length / side.total
    low_S1 = _wanted(size, side)[:, None] * scale
    covered_SL = torch.minimum(low_S1 + scale, at_L + 1) - torch.maximum(low_S1, at_L)
    return torch.clamp(covered_SL, min=0).float()


def _half_up_where(is_two: Tensor, x: Tensor) -> Tensor:
    """Means of two by two pixels are rounded half up, others half to even."""
    return torch.where(is_two, torch.floor(x + 0.5), torch.round(x))


def _numbers(num: int) -> Tensor:
    return torch.arange(num, dtype=torch.float64)


def _length(x: Tensor, dim: int) -> Tensor:
    return torch.scalar_tensor(x.shape[dim], dtype=torch.float64)
