"""Pictures and transforms that the tests of this folder share."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from visiontune.spec.declarations.image_size import ImageSize, sides
from visiontune.spec.tables.ops import OPS


def photographs(num: int, size: ImageSize, channels: int) -> np.ndarray:
    """Smooth, colourful pictures: on white noise every warp is equally far away."""
    height, width = sides(size)
    rng = np.random.default_rng(7)
    coarse_NHWC = rng.integers(0, 256, (num, 4, 4, channels), dtype=np.uint8)
    grown = [cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) for coarse in coarse_NHWC]
    return np.stack(grown).reshape(num, height, width, channels)


def digits(num: int, size: int = 8) -> np.ndarray:
    """Real ones, grey."""
    from sklearn.datasets import load_digits

    images = (load_digits().images[:num] * (255 / 16)).astype(np.uint8)
    return np.stack([cv2.resize(image, (size, size)) for image in images])[..., np.newaxis]


def transform_of(name: str, magnitude: float, size: ImageSize = 32) -> Any:
    """What the table's builder makes; ops without a magnitude take none."""
    args = {"magnitude": magnitude} if "magnitude" in OPS.entries[name].args else {}
    return OPS.entries[name].load()(**args, image_size=size)
