"""An op as the device engine applies it, on any device, and as albumentations does; and how near the two are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from made_pictures import transform_of

from visiontune.augmentation.engines.device import DEVICE, apply_on_device
from visiontune.augmentation.engines.reference import apply_each
from visiontune.augmentation.keyed_random import Stream
from visiontune.spec.declarations.image_size import image_size

WARPED = ("Affine", "Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
SCALED = ("RandomResizedCrop", "RandomSizedCrop")
COLOURED = ("HueSaturationValue", "Hue", "Saturation", "ColorJitter")
EXACT = tuple(name for name in DEVICE if name not in (*WARPED, *SCALED, *COLOURED, "Sharpen", "GaussianBlur", "GaussNoise"))
# Most levels of difference, and the share of values with any. Later steps of a jitter magnify what the hue's was off by.
NEAR: Mapping[str, tuple[int, float]] = {
    **dict.fromkeys(EXACT, (0, 0.0)),
    **dict.fromkeys(WARPED, (1, 0.001)),
    **dict.fromkeys(SCALED, (1, 0.2)),
    **dict.fromkeys((*COLOURED, "Sharpen", "GaussianBlur"), (1, 0.001)),
    "ColorJitter": (4, 0.001),
}


def changed(
    name: str,
    pictures: np.ndarray,
    magnitude: float,
    index: np.ndarray,
    *,
    is_device: bool = True,
    rows: np.ndarray | None = None,
    device: str = "cpu",
) -> np.ndarray:
    """By the device engine on that device of torch, or by the transform's own call."""
    transform, stream = transform_of(name, magnitude, image_size(pictures.shape[1:3])), Stream()
    transform.set_random_state(stream.generator, stream.py_random)
    stream.rekey(3, 1, name)
    out, rows = pictures.copy(), np.arange(len(pictures)) if rows is None else rows
    if not is_device:
        apply_each(transform, stream, out, rows, index)
        return out
    there = torch.from_numpy(out).to(device)
    apply_on_device(name, transform, stream, there, rows, index)
    return there.cpu().numpy()
