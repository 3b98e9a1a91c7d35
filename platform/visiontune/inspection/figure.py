"""Matplotlib's figures and colour maps as uint8 pictures (H, W, 3), without a display."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


def new_figure(width: float, height: float) -> Any:
    """A figure of so many inches, drawn by Agg: pyplot would look for a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def pixels_of(figure: Any) -> Picture:
    """The figure drawn."""
    figure.canvas.draw()
    pixels: Picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    return pixels


def stretched(x: Floats) -> Picture:
    """The lowest value black, the highest white; grey where all are equal."""
    low, high = float(x.min()), float(x.max())
    if high <= low:
        return np.full(x.shape, 128, np.uint8)
    return np.asarray(np.rint((x - low) * (255 / (high - low))).astype(np.uint8))


def coloured_by(value_HW: Floats, name: str = "viridis") -> Picture:
    """Values from 0 to 1 in the colours of a map."""
    colour = np.rint(_table(name) * 255).astype(np.uint8)
    return np.asarray(colour[np.rint(np.clip(value_HW, 0, 1) * (len(colour) - 1)).astype(np.int64)])


def heated(picture_HWC: Picture, heat_HW: Floats) -> Picture:
    """A picture in grey under a map of heat from 0 (as it is) to 1 (the hottest colour)."""
    grey_HW1 = picture_HWC.mean(2, keepdims=True).repeat(3, 2)
    weight_HW1 = 0.75 * np.clip(heat_HW, 0, 1)[..., None] ** 0.7
    return np.asarray(np.rint(grey_HW1 * (1 - weight_HW1) + coloured_by(heat_HW, "inferno") * weight_HW1).astype(np.uint8))


def enlarged(picture_HWC: Picture, side: int) -> Picture:
    """RGB, the longer side at least `side` pixels: by whole numbers, so that a pixel stays a square."""
    factor = max(1, -(-side // max(picture_HWC.shape[:2])))
    large = picture_HWC.repeat(factor, 0).repeat(factor, 1)
    return large if large.shape[2] == 3 else large.repeat(3, 2)


@cache
def _table(name: str) -> NDArray[np.float64]:
    from matplotlib import colormaps

    return np.asarray(colormaps[name](np.linspace(0, 1, 256))[:, :3])
