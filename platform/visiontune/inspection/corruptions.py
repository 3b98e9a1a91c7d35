"""How much of its accuracy a network keeps on corrupted pictures, after Hendrycks & Dietterich 2019, at their five severities.

Five of their kinds, one of each family and JPEG beside blur, with the strengths of their CIFAR-10-C for pictures of up to 64 pixels and of
ImageNet-C above; what they say in pixels of 32 or 224 is scaled with the size. Where a policy of the recipe has such ops, the network was
trained for it, and the figures say less of other corruptions.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.keyed_random import Stream
from visiontune.errors import plural
from visiontune.inference.classifier import Classifier
from visiontune.inspection.answers import answers
from visiontune.spec.declarations.image_size import ImageSize, as_square

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

Images = NDArray[np.uint8]
Corrupt = Callable[[Images, NDArray[np.int64], float], Images]

SEVERITIES = (1, 2, 3, 4, 5)
SMALL_SIZE = 64
_SMALL: Mapping[str, tuple[float, ...]] = {
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "gaussian blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "gaussian noise": (0.04, 0.06, 0.08, 0.09, 0.1),
    "jpeg": (80, 65, 58, 50, 40),
}
_LARGE: Mapping[str, tuple[float, ...]] = {
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "gaussian blur": (1, 2, 3, 4, 6),
    "gaussian noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "jpeg": (25, 18, 15, 10, 7),
}
UNITS: Mapping[str, str] = {
    "brightness": "added to the value of HSV, of 1",
    "contrast": "factor",
    "gaussian blur": "standard deviation in pixels, where the side has 32; 224 for pictures above 64",
    "gaussian noise": "standard deviation, of 1",
    "jpeg": "quality",
}


@dataclass(frozen=True)
class Robustness:
    """`top1` of each corruption at the severities 1 to 5, whose strengths are `strengths`; `clean` without any."""

    num_pictures: int
    clean: float
    top1: Mapping[str, tuple[float, ...]]
    strengths: Mapping[str, tuple[float, ...]]

    @property
    def mean(self) -> float:
        """Over all corruptions and severities."""
        return float(np.mean([value for values in self.top1.values() for value in values]))


def strengths_of(image_size: ImageSize) -> Mapping[str, tuple[float, ...]]:
    """The published ones for that size, blur in pixels of 32 or of 224."""
    return _SMALL if as_square(image_size) <= SMALL_SIZE else _LARGE


def robustness(
    classifier: Classifier, store: Store, rows_N: NDArray[np.int64], tell: Callable[[int, int], object] = lambda done, num: None
) -> Robustness:
    """Of the pictures of these rows, corrupted before preprocessing."""
    images_NHWC, labels_N = np.asarray(store.images_NHWC[rows_N]), store.labels_N[rows_N]
    strengths, top1 = strengths_of(store.image_size), {}
    for number, (name, values) in enumerate(strengths.items()):
        tell(number, len(strengths))
        guess_SN = [classifier.predict(corrupted(name, value, images_NHWC, rows_N)) for value in values]
        top1[name] = tuple(float((guess_N == labels_N).mean()) for guess_N in guess_SN)
    return Robustness(len(rows_N), answers(classifier, store, rows_N).top1, top1, strengths)


def corrupted(name: str, strength: float, images_NHWC: Images, index_N: NDArray[np.int64]) -> Images:
    """The pictures corrupted; noise is that of their indices, the same for every strength but for its size."""
    return _KINDS[name](images_NHWC, index_N, strength)


def robustness_lines(found: Robustness) -> list[str]:
    """A table of val_top1, a line for each corruption."""
    rows = [("corruption", *(f"severity {severity}" for severity in SEVERITIES), "mean")]
    rows += [(name, *(f"{value:.3f}" for value in values), f"{np.mean(values):.3f}") for name, values in found.top1.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"val_top1 {found.clean:.3f} as they are, {found.mean:.3f} corrupted ({plural(found.num_pictures, 'picture')})", *table]


def _brightness(images_NHWC: Images, index_N: NDArray[np.int64], strength: float) -> Images:
    """Hue and saturation stay: all channels by the factor by which the largest grows."""
    x_NHWC = images_NHWC / np.float32(255)
    value_NHW1 = x_NHWC.max(3, keepdims=True)
    brighter_NHW1 = np.minimum(value_NHW1 + np.float32(strength), 1)
    return _bytes(np.where(value_NHW1 > 0, x_NHWC * brighter_NHW1 / np.maximum(value_NHW1, 1e-6), brighter_NHW1))


def _contrast(images_NHWC: Images, index_N: NDArray[np.int64], strength: float) -> Images:
    """Nearer to each channel's mean."""
    x_NHWC = images_NHWC / np.float32(255)
    mean_N11C = x_NHWC.mean((1, 2), keepdims=True)
    return _bytes((x_NHWC - mean_N11C) * np.float32(strength) + mean_N11C)


def _gaussian_blur(images_NHWC: Images, index_N: NDArray[np.int64], strength: float) -> Images:
    import cv2

    size = as_square(images_NHWC.shape[1:3])
    sigma = strength * size / (32 if size <= SMALL_SIZE else 224)
    side = 2 * int(4 * sigma + 0.5) + 1  # to four deviations, as scipy's
    return np.stack(
        [cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE).reshape(image.shape) for image in images_NHWC]
    )


def _gaussian_noise(images_NHWC: Images, index_N: NDArray[np.int64], strength: float) -> Images:
    stream, shape = Stream(), images_NHWC.shape[1:]
    stream.rekey("gaussian noise")
    out = np.empty_like(images_NHWC)
    for number, index in enumerate(index_N.tolist()):
        stream.seek(index)
        noise_HWC = stream.generator.standard_normal(shape, np.float32)
        out[number] = _bytes(images_NHWC[number] / np.float32(255) + np.float32(strength) * noise_HWC)
    return out


def _jpeg(images_NHWC: Images, index_N: NDArray[np.int64], strength: float) -> Images:
    from PIL import Image

    def one(image_HWC: Images) -> Images:
        buffer = io.BytesIO()
        Image.fromarray(image_HWC[..., 0] if image_HWC.shape[2] == 1 else image_HWC).save(buffer, "JPEG", quality=int(strength))
        return np.asarray(Image.open(buffer)).reshape(image_HWC.shape)

    return np.stack([one(image) for image in images_NHWC])


def _bytes(x: Any) -> Images:
    return np.asarray(np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8))


_KINDS: Mapping[str, Corrupt] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "gaussian blur": _gaussian_blur,
    "gaussian noise": _gaussian_noise,
    "jpeg": _jpeg,
}
