"""The batched engine: ops for many pictures at once, which saves Python's own time for each picture.

Each takes the albumentations transform, from which it reads the ranges, draws the same numbers in the same order as the
transform does, and changes the given rows of pictures_NHWC (uint8) in place: bit-equal to the transform's own call. K counts the
rows, at least one. Ops that are not here are left to the reference engine (reference.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from visiontune.augmentation.engines import batched_colour, batched_geometry, batched_texture
from visiontune.augmentation.engines.reference import Batched, apply_each

BATCHED: Mapping[str, Batched] = {
    "HorizontalFlip": batched_geometry.horizontal_flip,
    "VerticalFlip": batched_geometry.vertical_flip,
    "Transpose": batched_geometry.transpose,
    "RandomRotate90": batched_geometry.random_rotate_90,
    "D4": batched_geometry.d4,
    "Affine": batched_geometry.affine,
    "Rotate": batched_geometry.rotate,
    "ShearX": batched_geometry.affine,
    "ShearY": batched_geometry.affine,
    "TranslateX": batched_geometry.affine,
    "TranslateY": batched_geometry.affine,
    "PadAndCrop": batched_geometry.pad_and_crop,
    "RandomResizedCrop": batched_geometry.random_resized_crop,
    "RandomSizedCrop": batched_geometry.random_sized_crop,
    "CoarseDropout": batched_geometry.coarse_dropout,
    "Erasing": batched_geometry.erasing,
    "HueSaturationValue": batched_colour.hue_saturation_value,
    "RandomBrightnessContrast": batched_colour.random_brightness_contrast,
    "ColorJitter": batched_colour.color_jitter,
    "Brightness": batched_colour.color_jitter,
    "Contrast": batched_colour.color_jitter,
    "Saturation": batched_colour.color_jitter,
    "Hue": batched_colour.color_jitter,
    "RandomGamma": batched_colour.random_gamma,
    "RGBShift": batched_colour.rgb_shift,
    "ChannelShuffle": batched_colour.channel_shuffle,
    "ChannelDropout": batched_colour.channel_dropout,
    "ToGray": batched_colour.to_gray,
    "InvertImg": batched_colour.invert_img,
    "Equalize": batched_colour.equalize,
    "AutoContrast": batched_colour.auto_contrast,
    "Solarize": batched_colour.solarize,
    "Posterize": batched_colour.posterize,
    "Blur": batched_texture.blur,
    "GaussianBlur": batched_texture.gaussian_blur,
    "Sharpen": batched_texture.sharpen,
    "GaussNoise": batched_texture.gauss_noise,
}


def engine_of(name: str, engine: str = "batched") -> Batched:
    """The function that applies an op: the batched engine's where `engine` is batched and it has the op, else the reference engine's."""
    return BATCHED.get(name, apply_each) if engine == "batched" else apply_each


def left_to_reference(names: Iterable[str]) -> tuple[str, ...]:
    """Which of these ops the batched engine lacks."""
    return tuple(dict.fromkeys(name for name in names if name not in BATCHED))
