"""Augmentation ops. A builder takes image_size, and magnitude too where the entry has one, and gives an albumentations transform.

Names are albumentations' own where it has them. Magnitude 0 changes nothing, 1 is the strongest, and most ranges are drawn from
uniformly; what 1 means stands after "to". Ops without a magnitude are on or off. Left out of albumentations' picture-only
transforms: those that need other pictures or files (FDA, HistogramMatching, PixelDistributionAdaptation, TemplateTransform,
TextImage), change type or shape (Normalize, ToFloat, FromFloat, ToRGB), suit one trade (HEStain), draw nothing on small pictures
(RandomGravel), or take over 20 ms at 32 pixels (RandomFog, Superpixels).
"""

from __future__ import annotations

from collections.abc import Mapping

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

_MOVED, _COLOURED, _TEXTURED = (f"visiontune.augmentation.op_builders.{module}" for module in ("geometry", "colour", "texture"))
_PROBABILITY = {"probability": Arg(float, "chance that a picture gets the op", 0.5, 0.0, 1.0, auto=Range(0.0, 1.0))}
_BOTH = {**_PROBABILITY, "magnitude": Arg(float, "strength: 0 changes nothing, 1 is the strongest", 0.5, 0.0, 1.0, auto=Range(0.0, 1.0))}

OPS = Table(
    "op",
    {
        "HorizontalFlip": Entry("mirror left and right", f"{_MOVED}:horizontal_flip", _PROBABILITY),
        "VerticalFlip": Entry("mirror top and bottom", f"{_MOVED}:vertical_flip", _PROBABILITY),
        "Transpose": Entry("mirror at the main diagonal", f"{_MOVED}:transpose", _PROBABILITY),
        "RandomRotate90": Entry("0, 90, 180 or 270 degrees", f"{_MOVED}:random_rotate_90", _PROBABILITY),
        "D4": Entry("one of the eight symmetries of the square", f"{_MOVED}:d4", _PROBABILITY),
        "Affine": Entry(
            "shift, scale, rotate and shear: to 30 degrees, 25 % shift, scale .7 to 1.3, 20 degrees of shear", f"{_MOVED}:affine", _BOTH
        ),
        "Rotate": Entry("rotate: to 30 degrees", f"{_MOVED}:rotate", _BOTH),
        "ShearX": Entry("shear along x: to 20 degrees", f"{_MOVED}:shear_x", _BOTH),
        "ShearY": Entry("shear along y: to 20 degrees", f"{_MOVED}:shear_y", _BOTH),
        "TranslateX": Entry("shift along x: to 25 % of the width", f"{_MOVED}:translate_x", _BOTH),
        "TranslateY": Entry("shift along y: to 25 % of the height", f"{_MOVED}:translate_y", _BOTH),
        "PadAndCrop": Entry(
            "pad with black, crop the old size: to 25 % of the side; .5 is the usual 4 of 32 pixels", f"{_MOVED}:pad_and_crop", _BOTH
        ),
        "RandomResizedCrop": Entry("crop of another shape scaled back: to 8 % of the area", f"{_MOVED}:random_resized_crop", _BOTH),
        "RandomSizedCrop": Entry("crop of the picture's shape scaled back: to half the side", f"{_MOVED}:random_sized_crop", _BOTH),
        "CropAndPad": Entry("each side in or out by itself, scaled back: to 25 %", f"{_MOVED}:crop_and_pad", _BOTH),
        "Perspective": Entry("move the corners: to a deviation of 20 % of the side", f"{_MOVED}:perspective", _BOTH),
        "ElasticTransform": Entry("smooth displacements (Simard et al. 2003): to 6 % of the side", f"{_MOVED}:elastic_transform", _BOTH),
        "GridDistortion": Entry("columns and rows of a grid of other sizes: to 60 %", f"{_MOVED}:grid_distortion", _BOTH),
        "GridElasticDeform": Entry("corners of a 4 x 4 grid move: to an eighth of the side", f"{_MOVED}:grid_elastic_deform", _BOTH),
        "OpticalDistortion": Entry("barrel or cushion: to a coefficient of .8", f"{_MOVED}:optical_distortion", _BOTH),
        "ThinPlateSpline": Entry("4 x 4 points bend the picture: to 8 % of the side", f"{_MOVED}:thin_plate_spline", _BOTH),
        "RandomGridShuffle": Entry("the four quarters change places", f"{_MOVED}:random_grid_shuffle", _PROBABILITY),
        "CoarseDropout": Entry("a black square (cutout, DeVries & Taylor 2017): to half the side", f"{_MOVED}:coarse_dropout", _BOTH),
        "GridDropout": Entry("a hole in each cell of a 4 x 4 grid (Chen et al. 2020): to 60 %", f"{_MOVED}:grid_dropout", _BOTH),
        "Erasing": Entry("a black rectangle (Zhong et al. 2020): to 33 % of the area", f"{_MOVED}:erasing", _BOTH),
        "XYMasking": Entry("a black stripe each way: to 25 % of the side", f"{_MOVED}:xy_masking", _BOTH),
        "PixelDropout": Entry("black pixels: to 30 %", f"{_MOVED}:pixel_dropout", _BOTH),
        "HueSaturationValue": Entry(
            "lighting in HSV: to 60 degrees of hue, 80 of saturation, 50 of value, of 255", f"{_COLOURED}:hue_saturation_value", _BOTH
        ),
        "RandomBrightnessContrast": Entry(
            "brightness and contrast: to .4 of the full range and times .6 to 1.4", f"{_COLOURED}:random_brightness_contrast", _BOTH
        ),
        "ColorJitter": Entry(
            "brightness, contrast, saturation, hue in random order: to .6 to 1.4 and 36 degrees", f"{_COLOURED}:color_jitter", _BOTH
        ),
        "Brightness": Entry("lighter or darker: to times .1 to 1.9", f"{_COLOURED}:brightness", _BOTH),
        "Contrast": Entry("farther from the mean grey or nearer: to times .1 to 1.9", f"{_COLOURED}:contrast", _BOTH),
        "Saturation": Entry("RandAugment's colour, farther from grey or nearer: to times .1 to 1.9", f"{_COLOURED}:saturation", _BOTH),
        "Hue": Entry("turn the hue: to 180 degrees", f"{_COLOURED}:hue", _BOTH),
        "RGBShift": Entry("more or less of each channel by itself: to 60 of 255", f"{_COLOURED}:rgb_shift", _BOTH),
        "ChannelShuffle": Entry("channels in random order", f"{_COLOURED}:channel_shuffle", _PROBABILITY),
        "ChannelDropout": Entry("one channel black", f"{_COLOURED}:channel_dropout", _PROBABILITY),
        "ToGray": Entry("without colour", f"{_COLOURED}:to_gray", _PROBABILITY),
        "ToSepia": Entry("brown, as an old photograph", f"{_COLOURED}:to_sepia", _PROBABILITY),
        "FancyPCA": Entry("shift along the colours' main axes (Krizhevsky et al. 2012): to 3", f"{_COLOURED}:fancy_pca", _BOTH),
        "PlanckianJitter": Entry("colour of the light (Zini et al. 2023): to 3,000 to 15,000 K", f"{_COLOURED}:planckian_jitter", _BOTH),
        "RandomGamma": Entry("gamma: to 1 / 2.5 to 2.5", f"{_COLOURED}:random_gamma", _BOTH),
        "RandomToneCurve": Entry("bend the tone curve: to a deviation of .3", f"{_COLOURED}:random_tone_curve", _BOTH),
        "CLAHE": Entry("local histograms made flat", f"{_COLOURED}:clahe", _PROBABILITY),
        "Equalize": Entry("histograms made flat", f"{_COLOURED}:equalize", _PROBABILITY),
        "AutoContrast": Entry("darkest value to 0, lightest to 255", f"{_COLOURED}:auto_contrast", _PROBABILITY),
        "InvertImg": Entry("negative", f"{_COLOURED}:invert_img", _PROBABILITY),
        "Solarize": Entry("invert what is lighter than a threshold: to any threshold", f"{_COLOURED}:solarize", _BOTH),
        "Posterize": Entry("keep the first bits only: to 1 of 8", f"{_COLOURED}:posterize", _BOTH),
        "Illumination": Entry("lighter to one side: to 20 %", f"{_COLOURED}:illumination", _BOTH),
        "PlasmaBrightnessContrast": Entry("clouds of light: to .5", f"{_COLOURED}:plasma_brightness_contrast", _BOTH),
        "PlasmaShadow": Entry("clouds of shadow: to 80 %", f"{_COLOURED}:plasma_shadow", _BOTH),
        "RandomShadow": Entry("one or two shadows with edges: to 80 %", f"{_COLOURED}:random_shadow", _BOTH),
        "GaussNoise": Entry("Gaussian noise for each pixel and channel: to a deviation of .2", f"{_TEXTURED}:gauss_noise", _BOTH),
        "AdditiveNoise": Entry("Laplace noise for each pixel and channel: to a scale of .15", f"{_TEXTURED}:additive_noise", _BOTH),
        "MultiplicativeNoise": Entry("each pixel and channel times .4 to 1.6", f"{_TEXTURED}:multiplicative_noise", _BOTH),
        "ShotNoise": Entry("photons counted in linear light: to steps of .4", f"{_TEXTURED}:shot_noise", _BOTH),
        "ISONoise": Entry("a camera's noise in colour and light: to an intensity of 2", f"{_TEXTURED}:iso_noise", _BOTH),
        "SaltAndPepper": Entry("white and black pixels: to 20 %", f"{_TEXTURED}:salt_and_pepper", _BOTH),
        "Blur": Entry("mean over squares: to 7 of 32 pixels", f"{_TEXTURED}:blur", _BOTH),
        "MedianBlur": Entry("median over squares: to 7 of 32 pixels", f"{_TEXTURED}:median_blur", _BOTH),
        "MotionBlur": Entry("mean along lines: to 7 of 32 pixels", f"{_TEXTURED}:motion_blur", _BOTH),
        "GaussianBlur": Entry("to a deviation of 2 of 32 pixels", f"{_TEXTURED}:gaussian_blur", _BOTH),
        "AdvancedBlur": Entry("a lopsided bell: to a deviation of 2 of 32 pixels", f"{_TEXTURED}:advanced_blur", _BOTH),
        "GlassBlur": Entry("neighbours change places: to 4 of 32 pixels apart", f"{_TEXTURED}:glass_blur", _BOTH),
        "Defocus": Entry("mean over discs: to a radius of 4 of 32 pixels", f"{_TEXTURED}:defocus", _BOTH),
        "ZoomBlur": Entry("mean over sizes: to 1.4 times", f"{_TEXTURED}:zoom_blur", _BOTH),
        "Downscale": Entry("smaller and back: to .2 of the size", f"{_TEXTURED}:downscale", _BOTH),
        "ImageCompression": Entry("JPEG: to a quality of 5", f"{_TEXTURED}:image_compression", _BOTH),
        "Sharpen": Entry("RandAugment's sharpness, edges added: to a weight of .5", f"{_TEXTURED}:sharpen", _BOTH),
        "UnsharpMask": Entry("the distance to a blurred picture added: to a weight of 1", f"{_TEXTURED}:unsharp_mask", _BOTH),
        "Emboss": Entry("relief: to a weight of 1", f"{_TEXTURED}:emboss", _BOTH),
        "RingingOvershoot": Entry("high frequencies cut off: to a quarter of the highest", f"{_TEXTURED}:ringing_overshoot", _BOTH),
        "Morphological": Entry("lightest value in discs: to 5 of 32 pixels", f"{_TEXTURED}:morphological", _BOTH),
        "ChromaticAberration": Entry("red and blue bent by a lens: to coefficients of .4", f"{_TEXTURED}:chromatic_aberration", _BOTH),
        "RandomRain": Entry("rain: to streaks of a quarter of the side", f"{_TEXTURED}:random_rain", _BOTH),
        "RandomSnow": Entry("snow: to dark parts 2.5 times as light", f"{_TEXTURED}:random_snow", _BOTH),
        "RandomSunFlare": Entry("sun flare: to a radius of half the side", f"{_TEXTURED}:random_sun_flare", _BOTH),
        "Spatter": Entry("drops on the lens: to an intensity of 1", f"{_TEXTURED}:spatter", _BOTH),
    },
)

COLOUR = "colour"
"""Trait of a plugin's op that grey pictures can't get; of those here COLOUR_OPS says it."""

COLOUR_OPS = frozenset(
    {
        *("HueSaturationValue", "Saturation", "Hue", "RGBShift", "ChannelShuffle", "ChannelDropout", "ToGray", "ToSepia"),
        *("PlanckianJitter", "ISONoise", "ChromaticAberration", "RandomRain", "RandomSnow", "RandomSunFlare", "Spatter"),
    }
)
"""Ops that need three channels."""

TURNING = frozenset({"Transpose", "RandomRotate90", "D4"})
"""Ops that swap height and width, so that pictures must be square."""

LABEL_CHANGING = frozenset(
    {
        *("HorizontalFlip", "VerticalFlip", "Transpose", "RandomRotate90", "D4", "RandomGridShuffle"),
        *("RandomResizedCrop", "RandomSizedCrop", "CoarseDropout", "Erasing"),
        *("HueSaturationValue", "Hue", "ChannelShuffle", "ToGray", "InvertImg"),
    }
)
"""Ops that can make another class of a picture: they turn it (6 and 9), may lose the object, or change what colour it has."""

FORMER_OPS: Mapping[str, str] = {
    **{
        former: f"which albumentations 2 calls {now}"
        for former, now in {
            "Cutout": "CoarseDropout",
            "IAAAffine": "Affine",
            "IAAAdditiveGaussianNoise": "GaussNoise",
            "IAACropAndPad": "CropAndPad",
            "IAAEmboss": "Emboss",
            "IAAFliplr": "HorizontalFlip",
            "IAAFlipud": "VerticalFlip",
            "IAAPerspective": "Perspective",
            "IAASharpen": "Sharpen",
            "JpegCompression": "ImageCompression",
        }.items()
    },
    **{
        other: f"for which visiontune has {now}"
        for other, now in {
            "Flip": "HorizontalFlip and VerticalFlip",
            "IAAPiecewiseAffine": "ThinPlateSpline",
            "IAASuperpixels": "Downscale",
            "MixUp": "`mixing` in section augmentation",
            "Normalize": "section preprocessing",
            "PadIfNeeded": "PadAndCrop",
            "PiecewiseAffine": "ThinPlateSpline",
            "RandomBrightness": "Brightness",
            "RandomContrast": "Contrast",
            "RandomCrop": "PadAndCrop",
            "RandomErasing": "Erasing",
            "RandomFog": "PlasmaBrightnessContrast",
            "RandomScale": "RandomSizedCrop",
            "Resize": "image_size in section data",
            "SafeRotate": "Rotate",
            "ShiftScaleRotate": "Affine",
            "Superpixels": "Downscale",
            "SquareSymmetry": "D4",
        }.items()
    },
}
"""Names of albumentations 1.x, and those of 2.x that the table doesn't have; what to say after them."""

FORMER_ARGS: Mapping[str, str] = {
    "p": "which is called probability here",
    "always_apply": "for which visiontune has probability: 1.0",
    **{
        former: f"which albumentations 2 calls {now}, and visiontune sets by magnitude"
        for former, now in {
            "var_limit": "std_range",
            "max_holes": "num_holes_range",
            "min_holes": "num_holes_range",
            "max_height": "hole_height_range",
            "min_height": "hole_height_range",
            "max_width": "hole_width_range",
            "min_width": "hole_width_range",
            "quality_lower": "quality_range",
            "quality_upper": "quality_range",
            "scale_min": "scale_range",
            "scale_max": "scale_range",
            "slant_lower": "slant_range",
            "slant_upper": "slant_range",
            "snow_point_lower": "snow_point_range",
            "snow_point_upper": "snow_point_range",
            "threshold": "threshold_range",
        }.items()
    },
    **dict.fromkeys(
        (
            *("limit", "rotate", "shear", "scale", "ratio", "translate_percent", "translate_px", "std_range", "num_holes_range"),
            *("hole_height_range", "hole_width_range", "blur_limit", "sigma_limit", "brightness_limit", "contrast_limit", "brightness"),
            *("contrast", "saturation", "hue", "hue_shift_limit", "sat_shift_limit", "val_shift_limit", "gamma_limit", "num_bits"),
            *("threshold_range", "quality_range", "alpha", "sigma", "distort_limit", "multiplier", "size", "height", "width"),
        ),
        "which visiontune sets by magnitude",
    ),
}
"""Arguments of albumentations' own, those of 1.x among them; what to say after them."""
