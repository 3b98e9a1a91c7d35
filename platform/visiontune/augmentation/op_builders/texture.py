"""Builders of ops that blur, sharpen, add noise or weather; what they share with the others is said in geometry.py.

Lengths in pixels follow the picture's size: what is said of 32 pixels is seven times as long at 224.
"""

from __future__ import annotations

from typing import Any

import albumentations as alb

from visiontune.augmentation.op_builders.geometry import always, nothing
from visiontune.spec.declarations.image_size import ImageSize, shorter

MAX_NOISE = 0.2
MAX_KERNEL = 0.1
MAX_SIGMA = 1 / 16
MAX_ZOOM = 0.4
MAX_SHARP = 0.5
MIN_SCALE = 0.2
MIN_QUALITY = 5
MAX_LENS = 0.4


def gauss_noise(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: standard deviation up to 0.2 of the full range, for each pixel and channel by itself."""
    return always(alb.GaussNoise, std_range=(0.0, MAX_NOISE * magnitude))


def additive_noise(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: Laplace noise, which has heavy tails, of a scale up to 0.15 of the full range, for each pixel and channel by itself."""
    params = {"mean_range": (0.0, 0.0), "scale_range": (0.0, 0.15 * magnitude)}
    return always(alb.AdditiveNoise, noise_type="laplace", spatial_mode="per_pixel", noise_params=params) if magnitude else nothing()


def multiplicative_noise(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: times 0.4 to 1.6, for each pixel and channel by itself."""
    multiplier = (1 - 0.6 * magnitude, 1 + 0.6 * magnitude)
    return always(alb.MultiplicativeNoise, multiplier=multiplier, per_channel=True, elementwise=True) if magnitude else nothing()


def shot_noise(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: photons counted in steps of up to 0.4 of the full range, in linear light."""
    return always(alb.ShotNoise, scale_range=(0.001 * magnitude, 0.4 * magnitude)) if magnitude else nothing()


def iso_noise(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: a camera's noise in colour and light, of intensity up to 2."""
    return always(alb.ISONoise, color_shift=(0.0, 0.3 * magnitude), intensity=(0.0, 2 * magnitude)) if magnitude else nothing()


def salt_and_pepper(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: up to 20 % of the pixels are white or black."""
    return always(alb.SaltAndPepper, amount=(0.0, 0.2 * magnitude))


def blur(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the mean over squares of 3 to 7 of 32 pixels."""
    return _kernel(alb.Blur, magnitude, image_size)


def median_blur(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the median over squares of 3 to 7 of 32 pixels."""
    return _kernel(alb.MedianBlur, magnitude, image_size)


def motion_blur(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the mean along lines of 3 to 7 of 32 pixels."""
    return _kernel(alb.MotionBlur, magnitude, image_size)


def advanced_blur(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: an asymmetric Gaussian with a standard deviation of up to 2 of 32 pixels, in squares of 3 to 7."""
    sigma = (0.1, max(0.1, MAX_SIGMA * shorter(image_size) * magnitude))
    return _kernel(alb.AdvancedBlur, magnitude, image_size, sigma_x_limit=sigma, sigma_y_limit=sigma)


def gaussian_blur(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: a standard deviation of up to 2 of 32 pixels."""
    sigma = (0.05 * magnitude, MAX_SIGMA * shorter(image_size) * magnitude)
    return always(alb.GaussianBlur, sigma_limit=sigma, blur_limit=0) if magnitude else nothing()


def glass_blur(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: neighbours up to 4 of 32 pixels apart change places; at least one pixel."""
    return (
        always(alb.GlassBlur, sigma=0.1, max_delta=max(1, round(shorter(image_size) / 8 * magnitude)), iterations=1)
        if magnitude
        else nothing()
    )


def defocus(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the mean over discs with a radius of up to 4 of 32 pixels; at least one pixel."""
    return always(alb.Defocus, radius=(1, max(1, round(shorter(image_size) / 8 * magnitude)))) if magnitude else nothing()


def zoom_blur(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the mean of the picture and of up to 1.4 times its size."""
    return always(alb.ZoomBlur, max_factor=(1.0, 1 + MAX_ZOOM * magnitude), step_factor=(0.01, 0.03)) if magnitude else nothing()


def downscale(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: down to 0.2 of its size, and up again."""
    return always(alb.Downscale, scale_range=(1 - (1 - MIN_SCALE) * magnitude, 1.0)) if magnitude else nothing()


def image_compression(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: JPEG with a quality of 5 to 100."""
    return always(alb.ImageCompression, quality_range=(round(100 - (100 - MIN_QUALITY) * magnitude), 100)) if magnitude else nothing()


def sharpen(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: edges of the eight neighbours added with a weight of up to 0.5; brightness stays."""
    return always(alb.Sharpen, alpha=(0.0, MAX_SHARP * magnitude), lightness=(1.0, 1.0))


def unsharp_mask(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the distance to a blurred picture is added up to once more."""
    return always(alb.UnsharpMask, alpha=(0.0, magnitude), threshold=0) if magnitude else nothing()


def emboss(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: a relief with a weight of up to 1."""
    return always(alb.Emboss, alpha=(0.0, magnitude))


def ringing_overshoot(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: frequencies above a quarter of the highest are cut off hard, which rings at edges."""
    cutoff = (3.1415 - 0.75 * 3.1415 * magnitude, 3.1415)
    return always(alb.RingingOvershoot, blur_limit=(7, 7), cutoff=cutoff) if magnitude else nothing()


def morphological(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the lightest value within discs of 5 of 32 pixels."""
    side = 1 + round(shorter(image_size) / 8 * magnitude)
    return always(alb.Morphological, scale=(side, side)) if side > 1 else nothing()


def chromatic_aberration(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: red and blue bent by a lens with coefficients of up to 0.4."""
    limit = (-MAX_LENS * magnitude, MAX_LENS * magnitude)
    return always(alb.ChromaticAberration, primary_distortion_limit=limit, secondary_distortion_limit=limit) if magnitude else nothing()


def random_rain(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: streaks of 8 of 32 pixels, and 40 % of the light gone."""
    length, width = max(1, round(shorter(image_size) / 4 * magnitude)), max(1, round(shorter(image_size) / 64))
    darker = 1 - 0.4 * magnitude
    return (
        always(alb.RandomRain, drop_length=length, drop_width=width, blur_value=1, brightness_coefficient=darker)
        if magnitude
        else nothing()
    )


def random_snow(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: dark parts up to 2.5 times as light."""
    return always(alb.RandomSnow, snow_point_range=(0.0, 0.6 * magnitude), brightness_coeff=1 + 1.5 * magnitude) if magnitude else nothing()


def random_sun_flare(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: a flare with a radius of half the side in the upper half, and up to ten circles."""
    radius, circles = max(2, round(shorter(image_size) / 2 * magnitude)), (1, 1 + round(9 * magnitude))
    return always(alb.RandomSunFlare, src_radius=radius, num_flare_circles_range=circles) if magnitude else nothing()


def spatter(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: drops on the lens, of an intensity of up to 1."""
    return always(alb.Spatter, intensity=(0.0, magnitude), gauss_sigma=(1.0, 1.0)) if magnitude else nothing()


def _kernel(transform: Any, magnitude: float, image_size: ImageSize, **args: Any) -> Any:
    """Odd sides from 3 up to a fifth of the picture's."""
    side = 1 + 2 * round(MAX_KERNEL * shorter(image_size) * magnitude)
    return always(transform, blur_limit=(3, side), **args) if side >= 3 else nothing()
