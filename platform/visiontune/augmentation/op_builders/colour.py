"""Builders of ops that change colours and tones; what they share with the others is said in geometry.py."""

from __future__ import annotations

from typing import Any

import albumentations as alb

from visiontune.augmentation.op_builders.geometry import always, around_zero, nothing
from visiontune.spec.declarations.image_size import ImageSize

MAX_HUE = 30.0
MAX_SATURATION = 80.0
MAX_VALUE = 50.0
MAX_BRIGHTNESS = 0.4
MAX_FACTOR = 0.9
MAX_JITTER = 0.4
MAX_HUE_TURN = 0.1
MAX_SHIFT = 60 / 255
MAX_GAMMA = 2.5
MAX_CURVE = 0.3
MAX_BITS = 7
MAX_PCA = 3.0
MAX_GRADIENT = 0.2
MAX_PLASMA = 0.5
MAX_SHADOW = 0.8
WHITE, COLDEST, HOTTEST = 6000, 3000, 15_000


def hue_saturation_value(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: hue shifted by up to 60 degrees (30 of OpenCV's 180), saturation by 80 and value by 50 of 255."""
    return always(
        alb.HueSaturationValue,
        hue_shift_limit=around_zero(MAX_HUE * magnitude),
        sat_shift_limit=around_zero(MAX_SATURATION * magnitude),
        val_shift_limit=around_zero(MAX_VALUE * magnitude),
    )


def random_brightness_contrast(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: contrast times 0.6 to 1.4, brightness up to 0.4 of the full range up or down."""
    limit = around_zero(MAX_BRIGHTNESS * magnitude)
    return always(alb.RandomBrightnessContrast, brightness_limit=limit, contrast_limit=limit)


def color_jitter(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: brightness, contrast and saturation times 0.6 to 1.4, hue turned by up to 36 degrees, in random order."""
    factor = _factor(MAX_JITTER * magnitude)
    hue = around_zero(MAX_HUE_TURN * magnitude)
    return always(alb.ColorJitter, brightness=factor, contrast=factor, saturation=factor, hue=hue)


def brightness(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: times 0.1 to 1.9 (RandAugment's range, Cubuk et al. 2020)."""
    return _jitter(brightness=_factor(MAX_FACTOR * magnitude))


def contrast(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: distance to the mean grey times 0.1 to 1.9."""
    return _jitter(contrast=_factor(MAX_FACTOR * magnitude))


def saturation(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: distance to the picture in grey times 0.1 to 1.9; RandAugment calls it colour."""
    return _jitter(saturation=_factor(MAX_FACTOR * magnitude))


def hue(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: turned by up to 180 degrees."""
    return _jitter(hue=around_zero(0.5 * magnitude))


def rgb_shift(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: up to 60 of 255 more or less in each channel by itself."""
    # Above 1 albumentations takes the limit as of 255.
    limit = around_zero(MAX_SHIFT * magnitude)
    return always(alb.RGBShift, r_shift_limit=limit, g_shift_limit=limit, b_shift_limit=limit)


def channel_shuffle(*, image_size: ImageSize) -> Any:
    """Channels in random order: a sixth of the pictures stays as it is."""
    return always(alb.ChannelShuffle)


def channel_dropout(*, image_size: ImageSize) -> Any:
    """One channel black."""
    return always(alb.ChannelDropout)


def to_gray(*, image_size: ImageSize) -> Any:
    """Luma in all three channels."""
    return always(alb.ToGray)


def to_sepia(*, image_size: ImageSize) -> Any:
    """Brown tones, like an old photograph."""
    return always(alb.ToSepia)


def fancy_pca(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: shifts along the colours' principal axes with a standard deviation of 3 (Krizhevsky et al. 2012 took 0.1)."""
    return always(alb.FancyPCA, alpha=MAX_PCA * magnitude)


def planckian_jitter(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: light of 3,000 to 15,000 kelvin; 6,000 is white (Zini et al. 2023)."""
    limit = (round(WHITE - (WHITE - COLDEST) * magnitude), round(WHITE + (HOTTEST - WHITE) * magnitude))
    return always(alb.PlanckianJitter, temperature_limit=limit) if magnitude else nothing()


def random_gamma(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: gamma of 1 / 2.5 to 2.5."""
    gamma = MAX_GAMMA**magnitude
    return always(alb.RandomGamma, gamma_limit=(100 / gamma, 100 * gamma)) if magnitude else nothing()


def random_tone_curve(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the curve at dark and at light tones moves with a standard deviation of 0.3 of the full range."""
    return always(alb.RandomToneCurve, scale=MAX_CURVE * magnitude) if magnitude else nothing()


def clahe(*, image_size: ImageSize) -> Any:
    """Histograms of 4 x 4 tiles made flat, cut off at up to 4 times the mean (Zuiderveld 1994)."""
    return always(alb.CLAHE, clip_limit=(1.0, 4.0), tile_grid_size=(4, 4))


def equalize(*, image_size: ImageSize) -> Any:
    """Each channel's histogram made flat."""
    return always(alb.Equalize)


def auto_contrast(*, image_size: ImageSize) -> Any:
    """Each channel's darkest value to 0, its lightest below 255 to 255."""
    return always(alb.AutoContrast, method="pil")


def invert_img(*, image_size: ImageSize) -> Any:
    """255 minus the picture."""
    return always(alb.InvertImg)


def solarize(magnitude: float, *, image_size: ImageSize) -> Any:
    """Values above a threshold are inverted. At 1 the threshold lies anywhere, at 0 above all values."""
    return always(alb.Solarize, threshold_range=(1 - magnitude, 1.0)) if magnitude else nothing()


def posterize(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the first 1 to 8 bits are kept."""
    return always(alb.Posterize, num_bits=(8 - round(MAX_BITS * magnitude), 8))


def illumination(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: lighter towards one side and darker towards the other, by up to 20 %; by 1 % at least."""
    return always(alb.Illumination, intensity_range=(0.01, max(0.01, MAX_GRADIENT * magnitude))) if magnitude else nothing()


def plasma_brightness_contrast(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: clouds of brightness and contrast, up to 0.5 more or less."""
    limit = around_zero(MAX_PLASMA * magnitude)
    return always(alb.PlasmaBrightnessContrast, brightness_range=limit, contrast_range=limit) if magnitude else nothing()


def plasma_shadow(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: clouds of shadow that take up to 80 % of the light."""
    return always(alb.PlasmaShadow, shadow_intensity_range=(0.0, MAX_SHADOW * magnitude)) if magnitude else nothing()


def random_shadow(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: one or two five-cornered shadows that take up to 80 % of the light."""
    intensity = (0.0, MAX_SHADOW * magnitude)
    return always(alb.RandomShadow, shadow_intensity_range=intensity, shadow_roi=(0.0, 0.0, 1.0, 1.0)) if magnitude else nothing()


def _factor(limit: float) -> tuple[float, float]:
    return (1 - limit, 1 + limit)


def _jitter(**ranges: tuple[float, float]) -> Any:
    """ColorJitter of one kind."""
    fixed = {"brightness": (1.0, 1.0), "contrast": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": (0.0, 0.0)}
    return always(alb.ColorJitter, **{**fixed, **ranges})
