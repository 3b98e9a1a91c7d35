"""Ops as code for torchvision v2: an entry for each albumentations transform that has an equal there, with the transform's ranges.

Equal means the same picture for the same numbers drawn, up to one level of rounding (four for hues, of which OpenCV has 180);
the drawing is torch's own. Functions that the code calls by their bare names are in torchvision_code.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from visiontune.spec.declarations.image_size import ImageSize, sides

MakeCode = Callable[[Any, ImageSize], str | None]
"""(transform, image_size) to code; None for arguments for which torchvision has no equal."""


def _affine(transform: Any, size: ImageSize) -> str:
    nothing = {"x": (0.0, 0.0), "y": (0.0, 0.0)}
    percent, shear, scale = transform.translate_percent or nothing, transform.shear or nothing, transform.scale
    ranges = (percent["x"], percent["y"], shear["x"], shear["y"], scale["x"], scale["y"], transform.rotate)
    return f"Drawn(affine, {', '.join(map(_range, ranges))})"


def _resized_crop(transform: Any, size: ImageSize) -> str:
    return f"v2.RandomResizedCrop({size}, scale={_range(transform.scale)}, ratio={_range(transform.ratio)}, antialias=False)"


def _pad_and_crop(transform: Any, size: ImageSize) -> str | None:
    kinds = [type(one).__name__ for one in transform.transforms]
    padding = transform.transforms[0].padding  # as torchvision has it: (left and right, top and bottom)
    return f"v2.RandomCrop({size}, padding={padding})" if kinds == ["Pad", "RandomCrop"] else None


def _hole(transform: Any, size: ImageSize) -> str | None:
    """RandomErasing rounds the root of an area: that of whole boxes is exact."""
    (low, high), (least, most) = transform.hole_height_range, transform.num_holes_range
    if (low, high) != tuple(transform.hole_width_range) or low != high or (least, most) != (1, 1):
        return None
    height, width = sides(size)
    rows, columns = int(height * low), int(width * low)
    if not rows or not columns:
        return "v2.Identity()"
    area, ratio = rows * columns / (height * width), rows / columns
    return f"v2.RandomErasing(p=1.0, scale=({area!r}, {area!r}), ratio=({ratio!r}, {ratio!r}))"


def _jitter(transform: Any, size: ImageSize) -> str:
    kinds = {name: getattr(transform, name) for name in ("brightness", "contrast", "saturation", "hue")}
    used = {name: limits for name, limits in kinds.items() if tuple(limits) not in ((1.0, 1.0), (0.0, 0.0))}
    return f"v2.ColorJitter({', '.join(f'{name}={_range(limits)}' for name, limits in used.items())})"


def _quarters(*turns: int) -> str:
    return ", ".join(f"v2.RandomRotation(({turn}, {turn}))" for turn in turns)


def _range(limits: Sequence[float], unit: float = 1.0) -> str:
    low, high = (float(limit) * unit for limit in limits)
    return f"({low!r}, {high!r})"


_BILINEAR = "v2.InterpolationMode.BILINEAR"
_TRANSPOSED = "v2.Lambda(transpose)"
_FLIPS = "v2.RandomHorizontalFlip(p=1.0), v2.RandomVerticalFlip(p=1.0)"

CODES: Mapping[str, MakeCode] = {
    "NoOp": lambda transform, size: "v2.Identity()",
    "HorizontalFlip": lambda transform, size: "v2.RandomHorizontalFlip(p=1.0)",
    "VerticalFlip": lambda transform, size: "v2.RandomVerticalFlip(p=1.0)",
    "Transpose": lambda transform, size: _TRANSPOSED,
    "RandomRotate90": lambda transform, size: f"v2.RandomChoice([v2.Identity(), {_quarters(90, 180, 270)}])",
    "D4": lambda transform, size: (
        f"v2.RandomChoice([v2.Identity(), {_quarters(90, 180, 270)}, {_FLIPS}, {_TRANSPOSED}, "
        f"v2.Compose([{_TRANSPOSED}, v2.RandomRotation((180, 180))])])"
    ),
    "Affine": _affine,
    "Rotate": lambda transform, size: f"v2.RandomRotation({_range(transform.limit)}, interpolation={_BILINEAR}, fill=None)",
    "Sequential": _pad_and_crop,
    "RandomResizedCrop": _resized_crop,
    "CoarseDropout": _hole,
    "Erasing": lambda transform, size: (
        f"v2.RandomErasing(p=1.0, scale={_range(transform.scale)}, ratio={_range(transform.ratio)})" if transform.fill == 0 else None
    ),
    "ColorJitter": _jitter,
    "ChannelShuffle": lambda transform, size: "v2.RandomChannelPermutation()",
    "ToGray": lambda transform, size: "v2.Grayscale(3)",
    "RandomGamma": lambda transform, size: (
        f"Drawn(F.adjust_gamma, ({transform.gamma_limit[0] / 100!r}, {transform.gamma_limit[1] / 100!r}))"
    ),
    "Equalize": lambda transform, size: "v2.Lambda(equalize)" if transform.mode == "cv" and transform.by_channels else None,
    "AutoContrast": lambda transform, size: "v2.Lambda(auto_contrast)" if transform.method == "pil" else None,
    "InvertImg": lambda transform, size: "v2.RandomInvert(p=1.0)",
    "Solarize": lambda transform, size: (
        f"Drawn(F.solarize, ({255 * transform.threshold_range[0]!r}, {255 * transform.threshold_range[1]!r}))"
    ),
    "Posterize": lambda transform, size: f"Drawn(posterize, ({transform.num_bits[0]}, {transform.num_bits[1] + 1}))",
    "GaussNoise": lambda transform, size: f"Drawn(noise, {_range(transform.std_range)})",
    "GaussianBlur": lambda transform, size: f"Drawn(blur, {_range(transform.sigma_limit)})",
    "Sharpen": lambda transform, size: f"Drawn(sharpen, {_range(transform.alpha)})" if tuple(transform.lightness) == (1.0, 1.0) else None,
}
