"""The device engine: ops on whole batches that lie on a GPU, or on any device of torch, uint8 NHWC.

What is drawn is drawn as for the batched engine (random_geometry.py, random_colour.py, random_texture.py), so both give the same picture:
to the bit where pixels are moved, hidden or looked up, within one level of 255 where colours are computed (ColorJitter: four, for later
changes magnify what an earlier one was off by), within interpolation where they are warped or scaled. Noise alone is another one of the
same distribution, by a hash instead of OpenCV's generator. All are functions of (seed, epoch, index).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from visiontune.augmentation.engines import device_colour, device_geometry, device_texture
from visiontune.augmentation.engines.reference import IntArray
from visiontune.augmentation.keyed_random import Stream

OnDevice = Callable[[Any, Stream, Tensor, IntArray, IntArray], None]

DEVICE: Mapping[str, OnDevice] = {
    "HorizontalFlip": device_geometry.horizontal_flip,
    "VerticalFlip": device_geometry.vertical_flip,
    "Transpose": device_geometry.transpose,
    "RandomRotate90": device_geometry.random_rotate_90,
    "D4": device_geometry.d4,
    "Affine": device_geometry.affine,
    "Rotate": device_geometry.rotate,
    "ShearX": device_geometry.affine,
    "ShearY": device_geometry.affine,
    "TranslateX": device_geometry.affine,
    "TranslateY": device_geometry.affine,
    "PadAndCrop": device_geometry.pad_and_crop,
    "RandomResizedCrop": device_geometry.random_resized_crop,
    "RandomSizedCrop": device_geometry.random_sized_crop,
    "CoarseDropout": device_geometry.coarse_dropout,
    "Erasing": device_geometry.erasing,
    "HueSaturationValue": device_colour.hue_saturation_value,
    "RandomBrightnessContrast": device_colour.random_brightness_contrast,
    "ColorJitter": device_colour.color_jitter,
    "Brightness": device_colour.color_jitter,
    "Contrast": device_colour.color_jitter,
    "Saturation": device_colour.color_jitter,
    "Hue": device_colour.color_jitter,
    "RandomGamma": device_colour.random_gamma,
    "RGBShift": device_colour.rgb_shift,
    "ChannelShuffle": device_colour.channel_shuffle,
    "ChannelDropout": device_colour.channel_dropout,
    "ToGray": device_colour.to_gray,
    "InvertImg": device_colour.invert_img,
    "Equalize": device_colour.equalize,
    "AutoContrast": device_colour.auto_contrast,
    "Solarize": device_colour.solarize,
    "Posterize": device_colour.posterize,
    "Blur": device_texture.blur,
    "GaussianBlur": device_texture.gaussian_blur,
    "Sharpen": device_texture.sharpen,
    "GaussNoise": device_texture.gauss_noise,
}


def left_to_cpu(names: Iterable[str]) -> tuple[str, ...]:
    """Which of these ops the device engine lacks."""
    return tuple(dict.fromkeys(name for name in names if name not in DEVICE))


def apply_on_device(name: str, transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Change these rows in place. Raises KeyError for an op that this engine lacks."""
    DEVICE[name](transform, stream, pictures_NHWC, rows_K, index_K)
