"""The size of pictures: pixels of a square's side, or [height, width] of what is no square."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

ImageSize = int | tuple[int, int]
"""An int wherever pictures are square, so that files, builders and digests of squares are what they were; else (height, width)."""


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width)."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return int(height), int(width)


def image_size(size: int | Sequence[int]) -> ImageSize:
    """The one way to write a size: a square's side as an int."""
    height, width = sides(size)
    return height if height == width else (height, width)


def pixels(size: int | Sequence[int]) -> str:
    """In words, without the unit: 32, or 24 x 32 of height x width."""
    height, width = sides(size)
    return str(height) if height == width else f"{height} x {width}"


def both_sides(size: int | Sequence[int]) -> str:
    """32 x 32, or 24 x 32: height x width."""
    return " x ".join(map(str, sides(size)))


def scaled(size: ImageSize, share: float, multiple: int = 1) -> ImageSize:
    """Both sides times `share`, each to the nearest multiple of so many pixels and at least one."""
    return image_size([max(1, round(share * side / multiple)) * multiple for side in sides(size)])


def with_shorter(size: ImageSize, shorter: int) -> ImageSize:
    """Of the same shape, with a shorter side of so many pixels."""
    return image_size([round(shorter * side / min(sides(size))) for side in sides(size)])


def smaller(one: ImageSize, other: ImageSize) -> ImageSize:
    """The shorter of both along each side."""
    return image_size([*map(min, sides(one), sides(other))])


def shorter(size: ImageSize) -> int:
    """Pixels of the shorter side."""
    return min(sides(size))


def as_square(size: ImageSize) -> int:
    """The side of a square with about as many pixels."""
    return round(sqrt(prod(sides(size))))


def written(size: ImageSize) -> int | list[int]:
    """As YAML and JSON have it."""
    return size if isinstance(size, int) else [*size]


def are_positions(size: Sequence[int], whole: ImageSize) -> bool:
    """Whether (height, width) may count positions along both sides of such pictures, at some stride: as channels or tokens don't."""
    (height, width), (rows, columns) = size, sides(whole)
    return abs(height * columns - width * rows) <= (0 if rows == columns else 2 * max(rows, columns))


def are_alike(one: ImageSize, other: ImageSize) -> bool:
    """Whether both are of one shape, up to a tenth of a side."""
    (height, width), (rows, columns) = sides(one), sides(other)
    return 0.9 * height * columns <= width * rows <= height * columns / 0.9
