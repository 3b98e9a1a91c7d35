"""Builders of ops that move pixels or hide them: (magnitude, image_size) to an albumentations transform that always applies (p=1).

An op that is on or off takes image_size alone.

Pictures are uint8 HWC, 0 to 255, one channel or three (RGB). Magnitude 0 leaves a picture as it is, 1 is the strongest;
in between the ranges grow linearly (the aspect ratio of crops: its logarithm). What a transform draws it draws uniformly, so most
pictures get less than the strongest. What lies outside a moved picture is black. An argument that albumentations does not take is
a ValueError (strict=True), where by itself it only warns. The other builders are in colour.py and texture.py.
"""

from __future__ import annotations

from typing import Any

import albumentations as alb

from visiontune.spec.declarations.image_size import ImageSize, shorter, sides

MAX_DEGREES = 30.0
MAX_SHEAR = 20.0
MAX_SHIFT = 0.25
MAX_SCALE = 0.3
MAX_PAD = 0.25
MIN_AREA = 0.08
MIN_SIDE = 0.5
MAX_RATIO = 4 / 3
MAX_CROP_OR_PAD = 0.25
MAX_PERSPECTIVE = 0.2
MAX_DISPLACEMENT = 0.06
MAX_LENS = 0.8
MAX_STEP = 0.6
MAX_SPLINE = 0.8
MAX_HOLE = 0.5
MAX_GRID_HOLE = 0.6
MAX_ERASED = 0.33
MAX_STRIPE = 0.25
MAX_DROPPED = 0.3
GRID = (4, 4)


def always(transform: Any, **args: Any) -> Any:
    """The transform with p=1; an argument that it does not take is a ValueError."""
    # The constructors of these three refuse unknown arguments anyway, and `strict` is one.
    lacks_strict = transform in (alb.RandomRotate90, alb.ToSepia, alb.MedianBlur)
    return transform(**args, p=1.0) if lacks_strict else transform(**args, p=1.0, strict=True)


def nothing() -> Any:
    """The transform that changes nothing, at magnitude 0, of ops that have no neutral arguments."""
    return always(alb.NoOp)


def around_zero(limit: float) -> tuple[float, float]:
    """The range from -limit to limit."""
    return (-limit, limit)


def horizontal_flip(*, image_size: ImageSize) -> Any:
    """Mirror left and right."""
    return always(alb.HorizontalFlip)


def vertical_flip(*, image_size: ImageSize) -> Any:
    """Mirror top and bottom."""
    return always(alb.VerticalFlip)


def transpose(*, image_size: ImageSize) -> Any:
    """Mirror at the main diagonal."""
    return always(alb.Transpose)


def random_rotate_90(*, image_size: ImageSize) -> Any:
    """0, 90, 180 or 270 degrees: a quarter of the pictures stays as it is."""
    return always(alb.RandomRotate90)


def d4(*, image_size: ImageSize) -> Any:
    """One of the eight symmetries of the square: an eighth of the pictures stays as it is."""
    return always(alb.D4)


def affine(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: up to 30 degrees, 25 % shift, scale 0.7 to 1.3 and 20 degrees of shear on each axis by itself."""
    return always(
        alb.Affine,
        rotate=around_zero(MAX_DEGREES * magnitude),
        shear=around_zero(MAX_SHEAR * magnitude),
        translate_percent=around_zero(MAX_SHIFT * magnitude),
        scale=(1 - MAX_SCALE * magnitude, 1 + MAX_SCALE * magnitude),
    )


def rotate(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: up to 30 degrees; corners are cut off."""
    return always(alb.Rotate, limit=around_zero(MAX_DEGREES * magnitude))


def shear_x(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: up to 20 degrees."""
    return always(alb.Affine, shear={"x": around_zero(MAX_SHEAR * magnitude), "y": (0.0, 0.0)})


def shear_y(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: up to 20 degrees."""
    return always(alb.Affine, shear={"x": (0.0, 0.0), "y": around_zero(MAX_SHEAR * magnitude)})


def translate_x(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: up to 25 % of the width."""
    return always(alb.Affine, translate_percent={"x": around_zero(MAX_SHIFT * magnitude), "y": (0.0, 0.0)})


def translate_y(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: up to 25 % of the height."""
    return always(alb.Affine, translate_percent={"x": (0.0, 0.0), "y": around_zero(MAX_SHIFT * magnitude)})


def pad_and_crop(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: padded by 25 % of each side, then a crop of the old size. The usual 4 of 32 pixels are at 0.5 (He et al. 2016)."""
    height, width = sides(image_size)
    pad_y, pad_x = (round(MAX_PAD * side * magnitude) for side in (height, width))
    pad = always(alb.Pad, padding=pad_y if pad_y == pad_x else (pad_x, pad_y))
    return alb.Sequential([pad, always(alb.RandomCrop, height=height, width=width)], p=1.0)


def random_resized_crop(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: from 8 % of the area, 3:4 to 4:3 times the picture's aspect ratio (Szegedy et al. 2015), scaled back to its size."""
    ratio, (height, width) = MAX_RATIO**magnitude, sides(image_size)
    scale = (1 - (1 - MIN_AREA) * magnitude, 1.0)
    return always(alb.RandomResizedCrop, size=(height, width), scale=scale, ratio=(width / height / ratio, width / height * ratio))


def random_sized_crop(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: a part of the picture's shape from half its side up, scaled back to the picture's size."""
    height, width = sides(image_size)
    smallest = round(height * (1 - (1 - MIN_SIDE) * magnitude))
    return always(alb.RandomSizedCrop, min_max_height=(smallest, height), size=(height, width), w2h_ratio=width / height)


def crop_and_pad(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: each side by itself moves in or out by up to 25 %, then all is scaled back to the picture's size."""
    return always(alb.CropAndPad, percent=around_zero(MAX_CROP_OR_PAD * magnitude))


def perspective(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: corners move inwards with a standard deviation of up to 20 % of the side."""
    return always(alb.Perspective, scale=(0.0, MAX_PERSPECTIVE * magnitude)) if magnitude else nothing()


def elastic_transform(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: smooth displacements with a standard deviation of 6 % of the shorter side (Simard et al. 2003)."""
    sigma = max(1.0, shorter(image_size) / 10)
    # Smoothing white noise by a Gaussian of this width leaves 1 / (2 sqrt(pi) sigma) of its deviation.
    alpha = MAX_DISPLACEMENT * shorter(image_size) * magnitude * 2 * 3.1416**0.5 * sigma
    return always(alb.ElasticTransform, alpha=alpha, sigma=sigma, noise_distribution="gaussian")


def grid_distortion(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the columns and rows of a 4 x 4 grid are up to 60 % wider or narrower."""
    return always(alb.GridDistortion, num_steps=4, distort_limit=around_zero(MAX_STEP * magnitude)) if magnitude else nothing()


def grid_elastic_deform(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: the inner corners of a 4 x 4 grid move by up to an eighth of the shorter side, in whole pixels."""
    pixels = round(shorter(image_size) / 8 * magnitude)
    return always(alb.GridElasticDeform, num_grid_xy=GRID, magnitude=pixels) if pixels else nothing()


def optical_distortion(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: a lens with a first coefficient of up to 0.8, barrel or cushion."""
    return always(alb.OpticalDistortion, distort_limit=around_zero(MAX_LENS * magnitude)) if magnitude else nothing()


def thin_plate_spline(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: 4 x 4 control points move with a standard deviation of up to 8 % of the side."""
    return always(alb.ThinPlateSpline, scale_range=(0.0, MAX_SPLINE * magnitude)) if magnitude else nothing()


def random_grid_shuffle(*, image_size: ImageSize) -> Any:
    """The four quarters change places: one picture in 24 stays as it is."""
    return always(alb.RandomGridShuffle, grid=(2, 2))


def coarse_dropout(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: one black box of half of each side, 16 of 32 pixels as in the paper; rounded down to whole pixels, always inside."""
    side = (MAX_HOLE * magnitude, MAX_HOLE * magnitude)
    return always(alb.CoarseDropout, num_holes_range=(1, 1), hole_height_range=side, hole_width_range=side)


def grid_dropout(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: a black hole of 60 % of the side in each cell of a 4 x 4 grid (Chen et al. 2020), in whole pixels, at least one."""
    ratio = MAX_GRID_HOLE * magnitude
    return always(alb.GridDropout, ratio=ratio, holes_number_xy=GRID, random_offset=True) if magnitude else nothing()


def erasing(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: one black rectangle of 2 % to 33 % of the area, aspect ratio 0.3 to 3.3 (Zhong et al. 2020)."""
    return always(alb.Erasing, scale=(MAX_ERASED * magnitude / 16, MAX_ERASED * magnitude)) if magnitude else nothing()


def xy_masking(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: one black stripe of up to a quarter of the side from left to right, one from top to bottom."""
    height, width = ((min(1, longest), longest) for longest in (round(MAX_STRIPE * side * magnitude) for side in sides(image_size)))
    if not height[1] and not width[1]:
        return nothing()
    return always(alb.XYMasking, num_masks_x=1, num_masks_y=1, mask_x_length=width, mask_y_length=height)


def pixel_dropout(magnitude: float, *, image_size: ImageSize) -> Any:
    """At 1: 30 % of the pixels are black."""
    return always(alb.PixelDropout, dropout_prob=MAX_DROPPED * magnitude)
