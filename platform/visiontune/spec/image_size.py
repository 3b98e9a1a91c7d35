"""The size of pictures: pixels of a square's side, or [height, width] of what is no square."""

from __future__ import annotations

from collections.abc import Sequence

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
