"""Augmentation ops and policies. An op's builder takes (magnitude, image_size) and gives an albumentations transform."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Section, Table

_PROBABILITY = {"probability": Arg(float, "chance that a picture gets the op", 0.5, 0.0, 1.0)}
_BOTH = {**_PROBABILITY, "magnitude": Arg(float, "strength: 0 changes nothing, 1 is the strongest", 0.5, 0.0, 1.0)}

OPS = Table(
    "op",
    {
        "HorizontalFlip": Entry("mirror left and right", "visiontune.augmentation.ops:horizontal_flip", _PROBABILITY),
        "Affine": Entry("shift, scale, rotate and shear", "visiontune.augmentation.ops:affine", _BOTH),
        "RandomResizedCrop": Entry("random crop scaled back", "visiontune.augmentation.ops:random_resized_crop", _BOTH),
        "HueSaturationValue": Entry("shift in HSV; colour pictures only", "visiontune.augmentation.ops:hue_saturation_value", _BOTH),
        "RandomBrightnessContrast": Entry("brightness and contrast", "visiontune.augmentation.ops:random_brightness_contrast", _BOTH),
        "CoarseDropout": Entry("black holes (DeVries & Taylor 2017)", "visiontune.augmentation.ops:coarse_dropout", _BOTH),
        "GaussNoise": Entry("additive Gaussian noise", "visiontune.augmentation.ops:gauss_noise", _BOTH),
    },
)

POLICIES = Table(
    "policy",
    {
        "none": Entry("pictures as they are"),
        "fixed": Entry(
            "the named ops in the order of the file, each with its own probability and magnitude",
            "visiontune.augmentation.policy:fixed",
            {name: Section(op.doc, op.args, is_space=True) for name, op in OPS.entries.items()},
        ),
    },
    default="none",
)
