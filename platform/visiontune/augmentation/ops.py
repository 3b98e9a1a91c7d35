"""Builders of the table's ops: (magnitude, image_size) to an albumentations transform that always applies (p=1).

Pictures are uint8 HWC, 0 to 255, one channel or three (RGB). Magnitude 0 leaves a picture as it is, 1 is the strongest;
in between the ranges grow linearly (the aspect ratio of crops: its logarithm). An argument that albumentations does not take is a
ValueError (strict=True), where by itself it only warns.
"""

from __future__ import annotations

import os
from typing import Any

# Without this, importing albumentations asks a server for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as alb

MAX_DEGREES = 30.0
MAX_SHEAR = 20.0
MAX_SHIFT = 0.25
MAX_SCALE = 0.3
MIN_AREA = 0.08
MAX_RATIO = 4 / 3
MAX_HUE = 30.0
MAX_SATURATION = 80.0
MAX_VALUE = 50.0
MAX_BRIGHTNESS = 0.4
MAX_HOLE = 0.5
MAX_NOISE = 0.2


def horizontal_flip(*, image_size: int) -> Any:
    """Mirror left and right."""
    return alb.HorizontalFlip(p=1.0, strict=True)


def affine(magnitude: float, *, image_size: int) -> Any:
    """At 1: up to 30 degrees, 25 % shift, scale 0.7 to 1.3 and 20 degrees of shear on each axis by itself; black outside."""
    return alb.Affine(
        rotate=_around_zero(MAX_DEGREES * magnitude),
        shear=_around_zero(MAX_SHEAR * magnitude),
        translate_percent=_around_zero(MAX_SHIFT * magnitude),
        scale=(1 - MAX_SCALE * magnitude, 1 + MAX_SCALE * magnitude),
        p=1.0,
        strict=True,
    )


def random_resized_crop(magnitude: float, *, image_size: int) -> Any:
    """At 1: from 8 % of the area, aspect ratio 3:4 to 4:3 (Szegedy et al. 2015), scaled back to the picture's size."""
    ratio = MAX_RATIO**magnitude
    return alb.RandomResizedCrop(
        size=(image_size, image_size),
        scale=(1 - (1 - MIN_AREA) * magnitude, 1.0),
        ratio=(1 / ratio, ratio),
        p=1.0,
        strict=True,
    )


def hue_saturation_value(magnitude: float, *, image_size: int) -> Any:
    """At 1: hue shifted by up to 60 degrees (30 of OpenCV's 180), saturation by 80 and value by 50 of 255."""
    return alb.HueSaturationValue(
        hue_shift_limit=_around_zero(MAX_HUE * magnitude),
        sat_shift_limit=_around_zero(MAX_SATURATION * magnitude),
        val_shift_limit=_around_zero(MAX_VALUE * magnitude),
        p=1.0,
        strict=True,
    )


def random_brightness_contrast(magnitude: float, *, image_size: int) -> Any:
    """At 1: contrast times 0.6 to 1.4, brightness up to 0.4 of the full range up or down."""
    limit = _around_zero(MAX_BRIGHTNESS * magnitude)
    return alb.RandomBrightnessContrast(brightness_limit=limit, contrast_limit=limit, p=1.0, strict=True)


def coarse_dropout(magnitude: float, *, image_size: int) -> Any:
    """At 1: one black square of half the side, 16 of 32 pixels as in the paper; rounded down to whole pixels, always inside."""
    side = (MAX_HOLE * magnitude, MAX_HOLE * magnitude)
    return alb.CoarseDropout(num_holes_range=(1, 1), hole_height_range=side, hole_width_range=side, p=1.0, strict=True)


def gauss_noise(magnitude: float, *, image_size: int) -> Any:
    """At 1: standard deviation up to 0.2 of the full range, for each pixel and channel by itself."""
    return alb.GaussNoise(std_range=(0.0, MAX_NOISE * magnitude), p=1.0, strict=True)


def _around_zero(limit: float) -> tuple[float, float]:
    return (-limit, limit)
