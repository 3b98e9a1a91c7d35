"""The device engine: ops on whole batches that lie on a GPU, or on any device of torch, uint8 NHWC.

What is drawn is drawn as for the batched engine (draws.py), so both give the same picture: to the bit where pixels are moved, hidden
or looked up, within one level of 255 where colours are computed, within interpolation where they are warped or scaled. Noise
alone is another one of the same distribution, by a hash instead of OpenCV's generator. All are functions of (seed, epoch, index).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visiontune.augmentation import device_colour, device_moves
from visiontune.augmentation.batched import engine_of
from visiontune.augmentation.keyed import Stream
from visiontune.augmentation.reference import IntArray

OnDevice = Callable[[Any, Stream, Tensor, IntArray, IntArray], None]

DEVICE: Mapping[str, OnDevice] = {
    "HorizontalFlip": device_moves.horizontal_flip,
    "VerticalFlip": device_moves.vertical_flip,
    "Transpose": device_moves.transpose,
    "RandomRotate90": device_moves.random_rotate_90,
    "D4": device_moves.d4,
    "Affine": device_moves.affine,
    "Rotate": device_moves.rotate,
    "ShearX": device_moves.affine,
    "ShearY": device_moves.affine,
    "TranslateX": device_moves.affine,
    "TranslateY": device_moves.affine,
    "PadAndCrop": device_moves.pad_and_crop,
    "RandomResizedCrop": device_moves.random_resized_crop,
    "RandomSizedCrop": device_moves.random_sized_crop,
    "CoarseDropout": device_moves.coarse_dropout,
    "HueSaturationValue": device_colour.hue_saturation_value,
    "RandomBrightnessContrast": device_colour.random_brightness_contrast,
    "ColorJitter": device_colour.color_jitter,
    "Brightness": device_colour.color_jitter,
    "Contrast": device_colour.color_jitter,
    "Saturation": device_colour.color_jitter,
    "Hue": device_colour.color_jitter,
    "RGBShift": device_colour.rgb_shift,
    "ChannelShuffle": device_colour.channel_shuffle,
    "ChannelDropout": device_colour.channel_dropout,
    "ToGray": device_colour.to_gray,
    "InvertImg": device_colour.invert_img,
    "Equalize": device_colour.equalize,
    "AutoContrast": device_colour.auto_contrast,
    "Solarize": device_colour.solarize,
    "Posterize": device_colour.posterize,
    "Sharpen": device_colour.sharpen,
    "GaussNoise": device_colour.gauss_noise,
}


def left_to_cpu(names: Iterable[str]) -> tuple[str, ...]:
    """Which of these ops the device engine lacks."""
    return tuple(dict.fromkeys(name for name in names if name not in DEVICE))


def apply_on_device(name: str, transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Change these rows in place; an op that is lacking here is applied on the CPU, to copies."""
    if name in DEVICE:
        DEVICE[name](transform, stream, pictures_NHWC, rows_K, index_K)
        return
    rows = torch.from_numpy(rows_K).to(pictures_NHWC.device)
    taken = pictures_NHWC[rows].cpu().numpy()
    engine_of(name)(transform, stream, taken, np.arange(len(rows_K)), index_K)
    pictures_NHWC[rows] = torch.from_numpy(taken).to(pictures_NHWC.device)
