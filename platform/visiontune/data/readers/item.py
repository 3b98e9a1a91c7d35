"""What readers of files make of their annotations: a picture file, or a box in it, with its label."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels of the upright picture, right and bottom beyond the last pixel."""


class Shares(NamedTuple):
    """A box in shares of the upright picture's width and height, 0 to 1, as annotations have it that know no size."""

    left: float
    top: float
    right: float
    bottom: float


class Item(NamedTuple):
    """A picture: a file, or the `number`th annotated object in it. `size` is the (width, height) that the annotation gives, if any.

    Where a picture may have several labels, or none, `label` is all of them `joined`.
    """

    path: str
    label: str
    group: str | None = None
    box: Box | Shares | None = None
    number: int = 0
    size: tuple[int, int] | None = None


def joined(labels: Iterable[str]) -> str:
    """Several labels as one text, the same in any order."""
    return json.dumps(sorted({*labels}), ensure_ascii=False)


def parted(label: str) -> list[str]:
    """The labels of such a text.

    >>> parted(joined(["dog", "cat", "dog"]))
    ['cat', 'dog']
    """
    found: list[str] = json.loads(label)
    return found
