"""Boxes around outlines: of points, of ellipses, of turned boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable

from visiontune.data.readers.item import Box


def around(points: Iterable[tuple[float, float]]) -> Box:
    """The smallest box around some points. Raises ValueError for none."""
    columns, rows = zip(*points, strict=True)
    return min(columns), min(rows), max(columns), max(rows)


def around_ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Box:
    """The box around an ellipse that is not turned."""
    return x - radius_x, y - radius_y, x + radius_x, y + radius_y


def around_turned(box: Box, degrees: float, pivot: tuple[float, float]) -> Box:
    """The smallest box around a box that is turned clockwise about a point, y pointing down."""
    left, top, right, bottom = box
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(x - pivot[0], y - pivot[1]) for x in (left, right) for y in (top, bottom)]
    return around((pivot[0] + x * cos - y * sin, pivot[1] + x * sin + y * cos) for x, y in corners)
